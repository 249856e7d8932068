"""Byte code for a bundle: a function's disk cannot be written to, so what is not compiled in the bundle is compiled
again at each cold start.

The files are *unchecked* (PEP 552): Python takes them without a look at the source, whose times a zip does not keep.
They hold no time of their own, so the same source gives the same bytes.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from windlass.errors import BundleError

__all__ = ["byte_code", "python_for"]

ROOT = "/var/task"
"""Where Lambda unpacks a bundle; tracebacks name the files by it."""


def python_for(version: str) -> Path | None:
    """A Python of this version (`3.12`) on this machine, None without one: this one, or `python3.12` on the PATH."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return Path(sys.executable)
    found = shutil.which(f"python{version}")
    if found is None:
        return None
    # What is on the PATH may be a stand-in that starts nothing.
    says = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([found, "-I", "-S", "-c", says], capture_output=True, text=True, check=False)
    return Path(found) if done.stdout.strip() == version else None


def byte_code(sources: Mapping[str, bytes], python: Path) -> dict[str, bytes]:
    """The compiled files of `sources`, which are by their paths, each beside its source in `__pycache__`. Raises
    BundleError for source that this Python cannot compile."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder).resolve()
        for path, content in sources.items():
            target = base / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        listed = "\n".join(str(base / path) for path in sorted(sources))
        # An environment of its own: neither a seed of hashes nor a variable of this one's may show in the bytes.
        command = [str(python), "-S", "-s", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
        done = subprocess.run(
            [*command, "-s", str(base), "-p", ROOT, "-i", "-"],
            input=listed,
            env={"PYTHONHASHSEED": "0", "PYTHONUTF8": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            said = (done.stdout + done.stderr).replace(f"{base}/", "").strip()
            raise BundleError(
                f"{python.name} cannot compile the bundle\n{said}\n  fix: mend it, or give another --python"
            )
        return {path.relative_to(base).as_posix(): path.read_bytes() for path in sorted(base.rglob("*.pyc"))}
