"""The packages that a bundle needs, as Lambda's Linux and processor need them, in the versions that are installed here:
what the tests ran with is what is deployed.

What is installed is taken as it is where it fits, as pure Python does everywhere; for the rest pip fetches wheels,
once, into a folder.
"""

from __future__ import annotations

import importlib.util
import platform
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Literal

from windlass.errors import BundleError
from windlass.synth.imports import module_name

__all__ = ["RUNTIMES", "Arch", "Package", "Target", "Wheels"]

Arch = Literal["arm64", "x86_64"]

RUNTIMES: Mapping[str, int] = {"3.11": 26, "3.12": 34, "3.13": 34, "3.14": 34}
"""The Pythons that Lambda has, with the minor version of their glibc 2: Amazon Linux 2, then Amazon Linux 2023
(https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html)."""

_OLD_NAMES = {17: "2014", 12: "2010", 5: "1"}
_TESTS = re.compile(r"(^|/)(tests?|testing)/")
_UNREAD = (".pth", ".pyc", ".pyi", ".pyx", ".pxd", ".c", ".h", ".cpp", ".hpp", "/py.typed")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a bundle is to run: a processor, and one of `RUNTIMES`; `glibc` is the minor version of its glibc 2, that
    of Lambda's Linux where it is None. Raises BundleError for another Python."""

    arch: Arch = "arm64"
    python: str = "3.12"
    glibc: int | None = None

    def __post_init__(self) -> None:
        if self.python not in RUNTIMES:
            raise BundleError(f"Lambda has no Python {self.python}\n  fix: give one of {', '.join(RUNTIMES)}")

    @classmethod
    def here(cls) -> Target:
        """This machine and Python, for a stand-in of Lambda that runs functions on it. Raises BundleError where Lambda
        has no such Python, and on a machine without glibc."""
        name, version = platform.libc_ver()
        if name != "glibc":
            raise BundleError("this machine has no glibc\n  fix: make the bundle for Lambda, and run it there")
        arch: Arch = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
        return cls(arch, f"{sys.version_info.major}.{sys.version_info.minor}", int(version.split(".")[1]))

    @property
    def machine(self) -> str:
        """The processor, by Linux's name."""
        return "aarch64" if self.arch == "arm64" else "x86_64"

    @property
    def platforms(self) -> list[str]:
        """The platform tags of wheels that run there (PEP 600), the newest first."""
        oldest = 17 if self.arch == "arm64" else 5
        platforms = []
        newest = RUNTIMES[self.python] if self.glibc is None else self.glibc
        for minor in range(newest, oldest - 1, -1):
            platforms.append(f"manylinux_2_{minor}_{self.machine}")
            if minor in _OLD_NAMES:
                platforms.append(f"manylinux{_OLD_NAMES[minor]}_{self.machine}")
        return platforms

    @property
    def tags(self) -> frozenset[str]:
        """The tags of all wheels that run there."""
        from packaging.tags import compatible_tags, cpython_tags

        version = tuple(int(part) for part in self.python.split("."))
        interpreter = f"cp{self.python.replace('.', '')}"
        native = cpython_tags(version, [interpreter], self.platforms)
        return frozenset(map(str, [*native, *compatible_tags(version, interpreter, self.platforms)]))

    @property
    def markers(self) -> dict[str, str]:
        """What requirements may ask of the environment (PEP 508)."""
        return {
            "extra": "",
            "implementation_name": "cpython",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
        }


@dataclass(frozen=True, slots=True)
class Package:
    """A distribution, with its files by their paths."""

    name: str
    version: str
    files: Mapping[str, bytes]


class Wheels:
    """Packages for `target`. `cache` keeps the wheels that were fetched; `pip` are options for pip."""

    def __init__(self, target: Target, cache: Path, *, pip: Sequence[str] = ()) -> None:
        if importlib.util.find_spec("packaging") is None:
            raise BundleError("the package packaging is not installed\n  fix: pip install 'windlass[aws]'")
        self._target, self._pip = target, tuple(pip)
        self._cache = cache / f"python{target.python}-{target.arch}"

    def providers(self, module: str) -> list[str]:
        """The names of the installed distributions that a module can come from."""
        return sorted({_plain(name) for name in self._distributions.get(module.partition(".")[0], ())})

    def with_requirements(self, names: Iterable[str], *, asked_by: str) -> list[str]:
        """These distributions and all that they require there, sorted. Raises BundleError for what is not installed,
        since then nothing says which version it should be."""
        from packaging.requirements import Requirement

        waiting = [(_plain(name), asked_by) for name in names]
        found: set[str] = set()
        while waiting:
            name, by = waiting.pop()
            if name in found:
                continue
            found.add(name)
            for text in _installed(name, by).requires or []:
                requirement = Requirement(text)
                if requirement.marker is None or requirement.marker.evaluate(self._target.markers):
                    waiting.append((_plain(requirement.name), name))
        return sorted(found)

    def packages(self, names: Iterable[str]) -> list[Package]:
        """The distributions of that names, with their files. Raises BundleError when pip cannot get one."""
        wanted = {name: metadata.distribution(name) for name in sorted(names)}
        absent = {name: each.version for name, each in wanted.items() if not self._fits(each)}
        cached = {name: self._cached(name, version) for name, version in absent.items()}
        if missing := [f"{name}=={absent[name]}" for name, file in cached.items() if file is None]:
            self._fetch(missing)
            cached = {name: self._cached(name, version) for name, version in absent.items()}
        packages = []
        for name, distribution in wanted.items():
            wheel = cached.get(name)
            if name in absent and wheel is None:
                raise BundleError(f"pip was asked for {name} {distribution.version}, and did not bring it")
            files = _in_wheel(wheel) if wheel is not None else _in_place(distribution)
            packages.append(Package(name, distribution.version, files))
        return packages

    @cached_property
    def _distributions(self) -> Mapping[str, list[str]]:
        return metadata.packages_distributions()

    @cached_property
    def _tags(self) -> frozenset[str]:
        return self._target.tags

    def _fits(self, distribution: metadata.Distribution) -> bool:
        """Whether what is installed runs there: it came as a wheel, and one of its tags is the target's."""
        told = distribution.read_text("WHEEL") or ""
        tags = re.findall(r"^Tag: (\S+)$", told, re.MULTILINE)
        return not self._tags.isdisjoint(tags) and not _is_editable(distribution)

    def _cached(self, name: str, version: str) -> Path | None:
        from packaging.utils import canonicalize_name, parse_wheel_filename

        for file in sorted(self._cache.glob("*.whl")):
            wheel, its_version, _, tags = parse_wheel_filename(file.name)
            wanted = wheel == canonicalize_name(name) and str(its_version) == version
            if wanted and not self._tags.isdisjoint(map(str, tags)):
                return file
        return None

    def _fetch(self, pins: Sequence[str]) -> None:
        self._cache.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
        command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", self._target.python]
        for tag in self._target.platforms:
            command += ["--platform", tag]
        with tempfile.TemporaryDirectory(dir=self._cache, prefix=".") as folder:
            done = subprocess.run(
                [*command, *self._pip, "--dest", folder, *pins], capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
                raise BundleError(
                    f"pip cannot get {', '.join(pins)} for Python {self._target.python} on {self._target.arch}\n"
                    + "\n".join(errors or done.stderr.splitlines()[-5:])
                    + "\n  fix: see whether the index has it as a wheel for that Python; else install a version that is"
                )
            for file in Path(folder).glob("*.whl"):
                file.replace(self._cache / file.name)  # whole or not at all: builds may run side by side


def _plain(name: str) -> str:
    """A distribution's name, so that all spellings are one (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _installed(name: str, asked_by: str) -> metadata.Distribution:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        raise BundleError(
            f"{asked_by} needs {name}, which is not installed here, so its version is not known\n"
            f"  fix: install it, in the version that the system was tried with"
        ) from None


def _is_editable(distribution: metadata.Distribution) -> bool:
    return '"editable": true' in (distribution.read_text("direct_url.json") or "").replace('":true', '": true')


def _in_place(distribution: metadata.Distribution) -> dict[str, bytes]:
    paths = {path.as_posix(): path for path in distribution.files or ()}
    return {name: path.read_binary() for name, path in sorted(paths.items()) if _is_kept(name)}


def _in_wheel(file: Path) -> dict[str, bytes]:
    files = {}
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            # What a wheel spreads over several folders belongs into one here (PEP 427).
            path = re.sub(r"^[^/]+\.data/(purelib|platlib)/", "", name)
            if _is_kept(path):
                files[path] = archive.read(name)
    return dict(sorted(files.items()))


def _is_kept(path: str) -> bool:
    """Whether a function may need the file: the code and its data; of what describes the distribution, what says its
    version and its licence."""
    folder, _, rest = path.partition("/")
    if folder.endswith(".dist-info"):
        return rest in ("METADATA", "entry_points.txt") or bool(
            re.search("licen[cs]e|copying|notice", rest, re.IGNORECASE)
        )
    if folder.endswith((".data", ".libs")) or ".." in path.split("/"):
        return folder.endswith(".libs")
    if path.endswith(("/", *_UNREAD)):
        return False
    return not (_TESTS.search(path) and module_name(path) is not None)
