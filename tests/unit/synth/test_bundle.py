"""The zip that Lambda runs: what is in it, that it is the same each time, and that it answers by itself."""

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import windlass
from windlass.errors import BundleError
from windlass.graph.load import load
from windlass.synth.bundle import Bundle, bundle
from windlass.synth.byte_code import byte_code, python_for
from windlass.synth.wheels import Target, Wheels

ROOT = Path(__file__).parents[3]
FILE_SLA = ROOT / "systems" / "file_sla"
HERE = Target.here() if sys.platform == "linux" else Target()
ON_DEVELOPERS_MACHINES_ONLY = ("cli", "console", "engines/embedded", "synth", "testing")
MOST_BYTES = 5 * 1024 * 1024

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="wheels for Lambda do not run on this system")


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Bundle]:
    """Makes bundles for this machine, from what is installed: pip may ask nobody."""
    cache = tmp_path_factory.mktemp("wheels")
    return lambda system: bundle(system, Wheels(HERE, cache, pip=["--no-index"]), HERE)


@pytest.fixture(scope="module")
def bundles(make: Callable[[Path], Bundle]) -> dict[str, Bundle]:
    return {name: make(ROOT / "systems" / name) for name in ("file_sla", "presenter")}


def names(made: Bundle) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(made.content)).namelist()


def unpacked(made: Bundle, folder: Path) -> Path:
    zipfile.ZipFile(io.BytesIO(made.content)).extractall(folder)
    return folder


@pytest.fixture(scope="module")
def provided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what Lambda has of itself: boto3, and what that requires."""
    folder = tmp_path_factory.mktemp("lambda")
    for name in Wheels(HERE, folder).with_requirements(["boto3"], asked_by="Lambda"):
        files = metadata.distribution(name).files or []
        for top in {path.parts[0] for path in files if path.suffix == ".py"} - {"..", "bin"}:
            (folder / top).symlink_to(Path(str(metadata.distribution(name).locate_file(top))))
    return folder


def in_a_bare_python(folder: Path, provided: Path, script: str, **variables: str) -> str:
    """What a script prints in a Python that has nothing but the bundle and what Lambda has."""
    script = f"import sys; sys.path[:0] = sys.argv[1:]\n{script}"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-W", "error", "-c", script, str(folder), str(provided)],
        env={
            "AWS_REGION": "eu-west-1",
            "WINDLASS_CURSOR_KEY": "ab" * 32,
            "WINDLASS_STAGE": "dev",
            "WINDLASS_SYSTEM": "",
            **variables,
        },
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


CONTEXT = """
class Context:
    aws_request_id = "1"
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:f"
    def get_remaining_time_in_millis(self):
        return 30_000
"""


def http_event(method: str, path: str, body: object = None, **headers: str) -> dict[str, Any]:
    return {
        "version": "2.0",
        "routeKey": f"{method} {path}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json", **headers},
        "requestContext": {
            "http": {"method": method, "path": path, "sourceIp": "192.0.2.1"},
            "requestId": "1",
            "stage": "$default",
        },
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }


# What is in it


@pytest.mark.parametrize("name", ["file_sla", "presenter"])
def test_a_bundle_is_small(bundles: dict[str, Bundle], name: str) -> None:
    assert len(bundles[name].content) < MOST_BYTES


@pytest.mark.parametrize("name", ["file_sla", "presenter"])
def test_a_bundle_holds_nothing_of_the_developers_machine(bundles: dict[str, Bundle], name: str) -> None:
    files = names(bundles[name])
    parts = [part for file in files for part in file.split("/")]
    assert not [part for part in parts if part in ("tests", "test", "conftest.py") or part.startswith("test_")]
    assert not [file for file in files if file.startswith(tuple(f"windlass/{p}" for p in ON_DEVELOPERS_MACHINES_ONLY))]
    assert not [file for file in files if file.endswith((".md", ".svg", ".html", ".pyi", "pyproject.toml"))]
    assert not {"boto3", "botocore", "click", "granian", "argon2", "jinja2", "cronsim"} & set(parts)


def test_only_who_verifies_tokens_has_cryptography(bundles: dict[str, Bundle]) -> None:
    parts = {name: {part.name for part in made.parts} for name, made in bundles.items()}
    assert parts["file_sla"] == {"file_sla", "msgspec", "windlass"}
    assert parts["presenter"] == {"cffi", "cryptography", "msgspec", "presenter", "pyjwt", "windlass"}


def test_only_the_nouns_that_a_system_has_are_in_it(bundles: dict[str, Bundle]) -> None:
    def nouns(name: str) -> set[str]:
        known = {file.stem for file in (Path(windlass.__file__).parent / "model").glob("*.py")}
        there = {Path(file).name.partition(".")[0] for file in names(bundles[name]) if "/engines/aws/" in file}
        return (there & known) - {"__init__"}

    assert nouns("file_sla") == {"alarm", "api", "table", "user_pool"}
    assert nouns("presenter") == {"alarm", "api", "queue", "secret", "site", "table"}


def test_the_parts_add_up(bundles: dict[str, Bundle]) -> None:
    made = bundles["file_sla"]
    infos = zipfile.ZipFile(io.BytesIO(made.content)).infolist()
    assert sum(part.zipped for part in made.parts) == sum(info.compress_size for info in infos)
    assert made.unzipped == sum(info.file_size for info in infos)
    assert [part.zipped for part in made.parts] == sorted((part.zipped for part in made.parts), reverse=True)
    assert all(part.largest[0] in names(made) for part in made.parts)


def test_all_that_is_imported_is_compiled(bundles: dict[str, Bundle]) -> None:
    files = names(bundles["file_sla"])
    assert bundles["file_sla"].compiled
    assert "windlass/errors.pyc" in files
    assert "windlass/errors.py" not in files
    assert "file_sla/system.py" in files
    assert any(file.startswith("file_sla/__pycache__/system.") for file in files)
    assert "windlass/runtime/entry.py" in files


# The same each time


def test_the_same_system_gives_the_same_bytes_elsewhere_and_later(
    bundles: dict[str, Bundle], make: Callable[[Path], Bundle], tmp_path: Path
) -> None:
    # A process of its own: two folders of one name are one package to Python.
    copied = shutil.copytree(FILE_SLA, tmp_path / "other" / "file_sla")
    for file in copied.rglob("*"):
        os.utime(file, (1_000_000_000, 1_000_000_000))
    script = """
import sys, hashlib
from pathlib import Path
from windlass.synth.bundle import bundle
from windlass.synth.wheels import Target, Wheels
target = Target.here()
made = bundle(Path(sys.argv[1]), Wheels(target, Path(sys.argv[2])), target)
print(made.sha256)
"""
    told = subprocess.run(
        [sys.executable, "-c", script, str(copied), str(tmp_path / "wheels")],
        env={
            **os.environ,
            "PYTHONPATH": str(Path(windlass.__file__).parents[1]),
            "PYTHONHASHSEED": "7",
            "TZ": "Asia/Tokyo",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == bundles["file_sla"].sha256
    assert make(FILE_SLA).content == bundles["file_sla"].content


def test_names_dates_and_modes_are_fixed(bundles: dict[str, Bundle]) -> None:
    infos = zipfile.ZipFile(io.BytesIO(bundles["file_sla"].content)).infolist()
    assert [info.filename for info in infos] == sorted(info.filename for info in infos)
    assert {(info.date_time, info.external_attr >> 16, info.create_system) for info in infos} == {
        ((1980, 1, 1, 0, 0, 0), 0o100644, 3)
    }


# It answers


def test_file_sla_answers_from_its_bundle_alone(bundles: dict[str, Bundle], provided: Path, tmp_path: Path) -> None:
    event = http_event("POST", "/auth", {"username": 1})
    script = f"{CONTEXT}\nfrom windlass.runtime.entry import handle\nanswer = handle({event!r}, Context())\n"
    script += "import json; print(json.dumps([answer['statusCode'], json.loads(answer['body'])['errors']]))"
    folder = unpacked(bundles["file_sla"], tmp_path)
    told = in_a_bare_python(folder, provided, script, WINDLASS_SYSTEM="file_sla", WINDLASS_HANDLER="sign_in")
    assert json.loads(told) == [400, [{"field": "body.username", "message": "Expected `str`, got `int`"}]]


@pytest.mark.parametrize("name", ["file_sla", "presenter"])
def test_every_handler_and_every_port_can_be_made_from_a_bundle(
    bundles: dict[str, Bundle], provided: Path, tmp_path: Path, name: str
) -> None:
    system = load(ROOT / "systems" / name)
    script = f"""
import os
from pathlib import Path
from windlass.engines.aws.clients import Clients
from windlass.engines.aws.engine import AwsSystem
from windlass.engines.aws.stage import Stage
from windlass.graph.load import load
system, clients = load(Path({name!r})), Clients("eu-west-1", access_key="a", secret_key="b")
stage = Stage(system.name, "dev", "eu-west-1", "123456789012", dict(os.environ))
for handler in system.handlers:
    made = AwsSystem(system, stage, clients, cursor_key=b"0" * 32, only=handler.name)
    if handler.kind == "route":
        made.http
    if handler.kind == "queue":
        made.messages(handler.trigger.removeprefix("queue "))
for service in ("dynamodb", "sqs", "secretsmanager", "cognito-idp"):
    clients.client(service)
print(len(system.handlers))
"""
    made = {f"WINDLASS_{resource}_{what}".upper(): "x" for resource in system.resources for what in ("url", "pool")}
    told = in_a_bare_python(unpacked(bundles[name], tmp_path), provided, script, **made)
    assert int(told) == len(system.handlers)


def test_presenters_authorizer_answers_and_verifies_rs256(
    bundles: dict[str, Bundle], provided: Path, tmp_path: Path
) -> None:
    key = rsa.generate_private_key(65537, 2048)
    token = jwt.encode({"sub": "ada", "exp": datetime.now(UTC) + timedelta(days=1)}, key, "RS256")
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    event = {
        **http_event("GET", "/data"),
        "type": "REQUEST",
        "routeArn": "arn:aws:execute-api:eu-west-1:1:a/b/GET/data",
    }
    script = f"""{CONTEXT}
import json, jwt
from windlass.runtime.entry import handle
refused = handle({event!r}, Context())
claims = jwt.decode({token!r}, {public!r}, algorithms=["RS256"])
print(json.dumps([[refused["isAuthorized"], *sorted(refused["context"])], claims["sub"]]))
"""
    folder = unpacked(bundles["presenter"], tmp_path)
    told = in_a_bare_python(folder, provided, script, WINDLASS_SYSTEM="presenter", WINDLASS_HANDLER="by_token")
    # The refusal is in the context, for the route's own function to tell: API Gateway has no words for it.
    assert json.loads(told) == [[True, "refused"], "ada"]


# Systems of all kinds


def system(folder: Path, name: str, text: str, **files: str) -> Path:
    """A system in a folder of that name."""
    place = folder / name
    place.mkdir()
    (place / "system.py").write_text(f"from windlass import System\n{text}\n")
    for file, content in files.items():
        path = place / file.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return place


def test_data_comes_along_and_what_is_for_people_does_not(make: Callable[[Path], Bundle], tmp_path: Path) -> None:
    place = system(tmp_path, "bundled_data", 'bundled_data = System("bundled_data")')
    for name in ("rates.json", "README.md", "diagram.svg", ".env", "calls.json", "test_it.py", "conftest.py"):
        (place / name).write_text("0")
    for name in ("tests/check.py", "__pycache__/old.pyc", "tool/pyproject.toml", "tool/tool.py", "texts/de.txt"):
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text("0")
    mine = [name for name in names(make(place)) if name.startswith("bundled_data/") and not name.endswith("pyc")]
    assert mine == ["bundled_data/rates.json", "bundled_data/system.py", "bundled_data/texts/de.txt"]


def test_a_system_in_one_file_lies_at_the_top(make: Callable[[Path], Bundle], tmp_path: Path) -> None:
    (tmp_path / "bundled_file.py").write_text('from windlass import System\napp = System("one")\n')
    assert "bundled_file.py" in names(make(tmp_path / "bundled_file.py"))


def test_a_mailer_brings_its_templates_language(make: Callable[[Path], Bundle], tmp_path: Path) -> None:
    text = 'bundled_mail = System("bundled_mail")\npost = bundled_mail.mailer("post", sender="a@example.com")'
    parts = {part.name for part in make(system(tmp_path, "bundled_mail", text)).parts}
    assert {"jinja2", "markupsafe"} <= parts


def test_what_a_function_cannot_have_is_refused(make: Callable[[Path], Bundle], tmp_path: Path) -> None:
    text = 'from windlass.testing import Driver\nbundled_driver = System("bundled_driver")'
    with pytest.raises(
        BundleError, match=r"bundled_driver\.system imports windlass\.testing\.Driver, which is not on AWS"
    ):
        make(system(tmp_path, "bundled_driver", text))


def test_a_package_that_is_not_installed_is_named(make: Callable[[Path], Bundle], tmp_path: Path) -> None:
    text = 'def late() -> None:\n    import no_such_module\nbundled_gap = System("bundled_gap")'
    with pytest.raises(BundleError, match=r"bundled_gap\.system imports no_such_module, and no package"):
        make(system(tmp_path, "bundled_gap", text))
    text = 'try:\n    import no_such_module\nexcept ImportError:\n    pass\nbundled_try = System("bundled_try")'
    assert make(system(tmp_path, "bundled_try", text)).parts


# Byte code


def test_byte_code_names_files_as_lambda_has_them_and_holds_no_time() -> None:
    python = python_for(HERE.python)
    assert python == Path(sys.executable)
    sources = {"a/b.py": b"def f():\n    return {'x', 'y'}\n", "c.py": b"raise ValueError\n"}
    compiled = byte_code(sources, python)
    assert len(compiled) == 2
    assert all(content[4:8] == b"\x01\x00\x00\x00" for content in compiled.values())  # unchecked, by its hash
    assert any(b"/var/task/a/b.py" in content for content in compiled.values())
    assert byte_code(sources, python) == compiled


def test_source_that_does_not_compile_is_told() -> None:
    with pytest.raises(BundleError, match="cannot compile the bundle"):
        byte_code({"a.py": b"def"}, Path(sys.executable))


def test_a_python_that_is_not_here_is_none() -> None:
    assert python_for("3.99") is None
