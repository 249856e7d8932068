"""Packages for another processor and Python, from a folder of wheels: no index is asked."""

import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from windlass.errors import BundleError
from windlass.synth.wheels import RUNTIMES, Target, Wheels

MSGSPEC = metadata.version("msgspec")
FOREIGN = "3.14" if sys.version_info[:2] != (3, 14) else "3.13"


def wheel(folder: Path, name: str, version: str, tag: str, files: dict[str, bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-{version}-{tag}.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for file, content in files.items():
            archive.writestr(file, content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n")
        archive.writestr(f"{info}/licenses/LICENSE", "free")
        archive.writestr(f"{info}/RECORD", "")
    return path


def offline(folder: Path) -> list[str]:
    return ["--no-index", "--find-links", str(folder)]


def tag_of(python: str, machine: str = "aarch64") -> str:
    short = f"cp{python.replace('.', '')}"
    return f"{short}-{short}-manylinux_2_17_{machine}.manylinux2014_{machine}"


def test_a_target_takes_the_wheels_of_its_linux_and_no_newer_ones() -> None:
    old, new = Target("x86_64", "3.11"), Target("arm64", "3.12")
    assert "manylinux_2_26_x86_64" in old.platforms
    assert "manylinux_2_28_x86_64" not in old.platforms
    assert "manylinux2014_x86_64" in old.platforms
    assert new.platforms[0] == "manylinux_2_34_aarch64"
    assert {"cp312-cp312-manylinux2014_aarch64", "cp311-abi3-manylinux_2_28_aarch64", "py3-none-any"} <= new.tags
    assert not {tag for tag in new.tags if "x86_64" in tag or "musl" in tag}


def test_a_python_that_lambda_has_not_is_refused() -> None:
    with pytest.raises(BundleError, match=r"Lambda has no Python 3\.9\n  fix: give one of 3\.11"):
        Target(python="3.9")
    assert all(Target(python=version).python == version for version in RUNTIMES)


def test_a_native_package_is_fetched_once_and_kept(tmp_path: Path) -> None:
    files = {
        "msgspec/__init__.py": b"",
        "msgspec/_core.so": b"native",
        "msgspec/__init__.pyi": b"",
        "msgspec/py.typed": b"",
        "msgspec/tests/test_it.py": b"",
    }
    index = tmp_path / "index"
    fetched = wheel(index, "msgspec", MSGSPEC, tag_of(FOREIGN), files)
    wheel(index, "msgspec", MSGSPEC, tag_of(FOREIGN, "x86_64"), {"msgspec/other.py": b""})
    wheels = Wheels(Target("arm64", FOREIGN), tmp_path / "cache", pip=offline(index))
    (package,) = wheels.packages(["msgspec"])
    assert (package.name, package.version) == ("msgspec", MSGSPEC)
    info = f"msgspec-{MSGSPEC}.dist-info"
    assert list(package.files) == [
        f"{info}/METADATA",
        f"{info}/licenses/LICENSE",
        "msgspec/__init__.py",
        "msgspec/_core.so",
    ]
    fetched.unlink()
    again = Wheels(Target("arm64", FOREIGN), tmp_path / "cache", pip=offline(tmp_path / "nothing"))
    assert again.packages(["msgspec"]) == [package]


def test_a_package_that_pip_cannot_get_is_named(tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    wheels = Wheels(Target("arm64", FOREIGN), tmp_path / "cache", pip=offline(tmp_path / "index"))
    with pytest.raises(BundleError) as caught:
        wheels.packages(["msgspec"])
    assert f"pip cannot get msgspec=={MSGSPEC} for Python {FOREIGN} on arm64" in str(caught.value)
    assert "  fix: " in str(caught.value)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_what_is_pure_python_is_taken_as_it_is_installed(tmp_path: Path) -> None:
    wheels = Wheels(Target("arm64", FOREIGN), tmp_path / "cache", pip=offline(tmp_path / "nothing"))
    (package,) = wheels.packages(["pyjwt"])
    assert package.files["jwt/__init__.py"]
    assert not [file for file in package.files if file.endswith((".pyc", "RECORD", "INSTALLER", "py.typed"))]
    assert any("licenses/" in file for file in package.files)


def test_requirements_follow_and_those_of_extras_and_other_systems_do_not(tmp_path: Path) -> None:
    wheels = Wheels(Target(), tmp_path)
    assert {"cffi", "cryptography", "pycparser"} <= set(wheels.with_requirements(["cryptography"], asked_by="test"))
    assert wheels.with_requirements(["PyJWT"], asked_by="test") == ["pyjwt"]
    assert wheels.providers("jwt.algorithms") == ["pyjwt"]
    assert wheels.providers("nowhere") == []


def test_what_is_not_installed_has_no_version_and_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="shop needs no-such-package, which is not installed here"):
        Wheels(Target(), tmp_path).with_requirements(["no-such-package"], asked_by="shop")
