"""Finding and importing systems, and what is said about those that cannot be."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from windlass.errors import LoadError
from windlass.graph.load import discover, load

ORDERS = Path(__file__).parent / "orders"
PLAIN = "from windlass.model.system import System\n{0} = System('{0}')\n"

Write = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def fresh_imports(tmp_path: Path) -> Iterator[None]:
    """Each test begins without the systems that others have imported."""
    path = list(sys.path)
    yield
    sys.path[:] = path
    for name, module in list(sys.modules.items()):
        places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
        if any(str(place).startswith((str(tmp_path), str(ORDERS))) for place in places):
            del sys.modules[name]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return written


def refusal(path: Path) -> str:
    with pytest.raises(LoadError) as caught:
        load(path)
    return str(caught.value)


def test_a_folder_is_a_package_and_its_handlers_are_imported() -> None:
    system = load(ORDERS)
    assert system.name == "orders"
    assert [handler.name for handler in system.handlers][:2] == ["sign_in", "place"]
    assert system.handlers[0].function.__module__ == "orders.handlers"


def test_the_same_path_gives_the_same_system() -> None:
    assert load(ORDERS) is load(ORDERS / "system.py") is load(ORDERS / ".." / "orders")
    assert len(load(ORDERS).handlers) == 9


def test_handlers_that_a_test_imported_first_belong_to_the_loaded_system(write: Write) -> None:
    folder = write("basket/system.py", PLAIN.format("basket")).parent
    write("basket/handlers.py", "from .system import basket\nbasket.title = 'imported'\n")
    sys.path.append(str(folder.parent))
    handlers = __import__("basket.handlers").handlers
    assert load(folder) is handlers.basket


def test_a_folder_may_be_a_regular_package(write: Write) -> None:
    write("parcel/__init__.py", "")
    assert load(write("parcel/system.py", PLAIN.format("parcel")).parent).name == "parcel"


def test_handlers_may_be_a_package(write: Write) -> None:
    folder = write("kiosk/system.py", PLAIN.format("kiosk")).parent
    write("kiosk/handlers/__init__.py", "from ..system import kiosk\nkiosk.title = 'seen'\n")
    assert load(folder).title == "seen"


def test_a_file_is_a_module_and_its_folder_stays_off_the_path(write: Write) -> None:
    file = write("lone_app.py", PLAIN.format("lone"))
    assert load(file).name == "lone"
    assert load(file) is load(file)
    assert sys.modules["lone_app"].__file__ == str(file)
    assert str(file.parent) not in sys.path


def test_a_file_may_be_named_like_a_folder_without_code(write: Write) -> None:
    write("elsewhere/lone_name/readme.txt", "")
    file = write("lone_name.py", PLAIN.format("lone"))
    sys.path.append(str(file.parent / "elsewhere"))
    assert load(file).name == "lone"


def test_the_name_of_a_system_in_the_module_does_not_matter(write: Write) -> None:
    text = PLAIN.format("first") + "same = first\n"
    assert load(write("aliases.py", text)).name == "first"


def test_no_such_path(tmp_path: Path) -> None:
    assert refusal(tmp_path / "gone") == (
        f"{tmp_path}/gone does not exist\n  fix: name a folder that holds a system.py, or a file such as app.py"
    )


def test_a_folder_without_a_system_py(tmp_path: Path) -> None:
    assert refusal(tmp_path) == (
        f"{tmp_path} holds no system.py\n"
        f'  fix: write {tmp_path}/system.py with `app = System("app")` in it, or name another folder'
    )


def test_a_file_that_is_not_python(write: Write) -> None:
    file = write("app.yaml", "")
    assert refusal(file) == (f"{file} is not a Python file\n  fix: name a file such as app.py, or a system's folder")


@pytest.mark.parametrize(
    ("name", "better"), [("file-sla", "file_sla"), ("2fa", "fa"), ("class", "class_system"), ("--", "app")]
)
def test_a_folder_whose_name_is_no_module(write: Write, name: str, better: str) -> None:
    folder = write(f"{name}/system.py", PLAIN.format("x")).parent
    assert refusal(folder) == (
        f"the folder {folder} becomes a Python module, and {name!r} cannot name one\n"
        f"  fix: rename the folder to {better}"
    )


def test_a_file_whose_name_is_no_module(write: Write) -> None:
    assert refusal(write("my-app.py", "")).endswith("fix: rename the file to my_app.py")


def test_no_system_in_the_file(write: Write) -> None:
    file = write("empty_app.py", "")
    assert refusal(file) == (
        f'{file} declares no System\n  fix: write `from windlass import System` and `app = System("app")`'
    )


def test_two_systems_in_the_file(write: Write) -> None:
    file = write("twins.py", PLAIN.format("one") + PLAIN.format("two"))
    assert refusal(file) == (
        f"{file} holds 2 Systems (one, two), and it is not clear which one is meant\n"
        f"  fix: give each its own folder with a system.py; of another system import the module, not the System"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\ny = nowhere\n", "line 2: NameError: name 'nowhere' is not defined"),
        ("x = (\n", "line 1: SyntaxError: '(' was never closed"),
        (
            "from windlass.model.system import System\n\nSystem('a').tabel\n",
            "line 3: AttributeError: 'System' object has no attribute 'tabel'\n  fix: did you mean 'table'?",
        ),
        ("import sys\nsys.exit(3)\n", "line 2: SystemExit: 3"),
        ("import not_there_at_all\n", "line 1: ModuleNotFoundError: No module named 'not_there_at_all'"),
        (
            "from windlass.model.system import System\n\nSystem('No')\n",
            "line 3: 'No' cannot name a system\n  fix: use 1 to 40 lower-case letters, digits and underscores, "
            "starting with a letter",
        ),
    ],
    ids=["name", "syntax", "attribute", "exit", "import", "declaration"],
)
def test_an_import_that_fails_names_the_line(write: Write, text: str, said: str) -> None:
    file = write("faulty/system.py", text)
    before = list(sys.path)
    assert refusal(file.parent) == f"{file}, {said}"
    assert "faulty.system" not in sys.modules
    assert sys.path == before


def test_a_fault_in_the_handlers_names_their_line_and_leaves_no_half(write: Write) -> None:
    folder = write("halves/system.py", PLAIN.format("halves")).parent
    handlers = write("halves/handlers.py", "from .system import halves\n\n1 / 0\n")
    assert refusal(folder) == f"{handlers}, line 3: ZeroDivisionError: division by zero"
    handlers.write_text("from .system import halves\nhalves.title = 'mended'\n")
    assert load(folder).title == "mended"


def test_a_name_that_python_has_taken(write: Write) -> None:
    folder = write("queue/system.py", PLAIN.format("queue")).parent
    said = refusal(folder)
    assert said.startswith(f"{folder}/system.py would be imported as 'queue', and that name is ")
    assert said.endswith("fix: rename it; two systems that run together need two names")
    assert refusal(write("sys.py", "")).splitlines()[0].endswith("imported already, from Python itself")


@pytest.mark.parametrize("package", [True, False], ids=["package", "namespace"])
def test_a_second_folder_of_one_name(write: Write, package: bool) -> None:
    if package:
        write("here/pair/__init__.py", "")
        write("there/pair/__init__.py", "")
    first = load(write("here/pair/system.py", PLAIN.format("pair")).parent)
    second = write("there/pair/system.py", PLAIN.format("pair"))
    said = refusal(second.parent)
    assert said.startswith(f"{second} would be imported as 'pair', and that name is imported already, from ")
    assert load(second.parents[2] / "here" / "pair") is first


def test_a_second_file_of_one_name(write: Write) -> None:
    first = write("here/app_twice.py", PLAIN.format("first"))
    load(first)
    assert f"imported already, from {first}" in refusal(write("there/app_twice.py", PLAIN.format("second")))


def test_discover_takes_a_file_a_folder_and_a_folder_of_folders(write: Write) -> None:
    shop = write("systems/shop/system.py", "")
    blog = write("systems/blog/system.py", "")
    write("systems/notes/readme.md", "")
    app = write("app.py", "")
    assert discover(app) == [app]
    assert discover(shop.parent) == [shop.parent]
    assert discover(shop.parents[1]) == [blog.parent, shop.parent]


def test_discover_refuses_what_holds_nothing(tmp_path: Path) -> None:
    with pytest.raises(LoadError) as caught:
        discover(tmp_path)
    assert str(caught.value) == (
        f"neither {tmp_path} nor a folder in it holds a system.py\n"
        f'  fix: write {tmp_path}/app/system.py with `app = System("app")` in it'
    )
    with pytest.raises(LoadError, match="does not exist"):
        discover(tmp_path / "gone")


WATCHED = """
import sys
from pathlib import Path
from windlass.graph.load import load
from windlass.graph.build import build

seen = []

def watch(event, arguments):
    if event.startswith(("socket.", "subprocess.", "os.system", "os.mkdir", "os.remove", "os.rename")):
        seen.append(event)
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & 0b11:
        seen.append(f"open {arguments[0]} for writing")

sys.addaudithook(watch)
build(load(Path(sys.argv[1])))
print(seen)
"""


@pytest.mark.parametrize(
    "folder",
    [ORDERS, *sorted(path.parent for path in (Path(__file__).parents[3] / "systems").glob("*/system.py"))],
    ids=lambda folder: folder.name,
)
def test_importing_a_system_opens_no_socket_and_writes_no_file(folder: Path) -> None:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run(
        [sys.executable, "-c", WATCHED, str(folder)], env=environment, capture_output=True, text=True, check=False
    )
    assert (run.stdout, run.stderr) == ("[]\n", "")
