"""Native modules without what only a debugger reads."""

import importlib.util
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.synth.shared_object import stripped


def elf(segments: list[tuple[int, int]], size: int) -> bytes:
    """A file of that size whose program headers cover these (offset, size)."""
    content = bytearray(b"\xaa" * size)
    content[:6] = b"\x7fELF\x02\x01"
    struct.pack_into("<QQ", content, 32, 64, size - 8)
    struct.pack_into("<HHHHH", content, 54, 56, len(segments), 64, 9, 8)
    for number, (offset, length) in enumerate(segments):
        struct.pack_into("<Q", content, 64 + 56 * number + 8, offset)
        struct.pack_into("<Q", content, 64 + 56 * number + 32, length)
    return bytes(content)


def test_what_no_segment_covers_is_cut_off() -> None:
    content = elf([(0, 200), (300, 100)], 1000)
    short = stripped(content)
    assert len(short) == 400
    assert short[:40] == content[:40]
    assert short[64:] == content[64:400]
    assert struct.unpack_from("<Q", short, 40) == (0,)
    assert struct.unpack_from("<HH", short, 60) == (0, 0)


def test_it_is_done_once() -> None:
    once = stripped(elf([(0, 500)], 1000))
    assert stripped(once) == once


@given(st.binary(max_size=200))
def test_any_other_file_stays_as_it_is(content: bytes) -> None:
    if not content.startswith(b"\x7fELF\x02\x01"):
        assert stripped(content) == content


@given(st.binary(max_size=300))
def test_a_broken_file_breaks_nothing(rest: bytes) -> None:
    assert len(stripped(b"\x7fELF\x02\x01" + rest)) <= 6 + len(rest)


@pytest.mark.skipif(sys.platform != "linux", reason="the native modules of this system are not ELF files")
def test_a_stripped_module_still_works(tmp_path: Path) -> None:
    file = Path(str(importlib.util.find_spec("msgspec._core").origin))  # type: ignore[union-attr]
    package = tmp_path / "msgspec"
    package.mkdir()
    for each in file.parent.glob("*.py"):
        (package / each.name).write_bytes(each.read_bytes())
    content = stripped(file.read_bytes())
    assert len(content) < file.stat().st_size
    (package / file.name).write_bytes(content)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import msgspec; print(msgspec.json.encode([1, 2]))"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "b'[1,2]'"
