"""Native modules, made smaller: what only a debugger reads is cut off.

Wheels are often built with their symbol table: two thirds of a megabyte, compressed, of cryptography's 4.5. The
loader reads none of it: it goes by the program headers (https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.pheader.html),
and what no program header covers lies at the end of the file.
"""

from __future__ import annotations

import struct

__all__ = ["stripped"]

_ELF_64_LITTLE_ENDIAN = b"\x7fELF\x02\x01"
_HEADER = 64


def stripped(content: bytes) -> bytes:
    """The file up to the end of what its program headers cover, and without a table of sections; any other file than a
    64-bit little-endian ELF as it is."""
    if not content.startswith(_ELF_64_LITTLE_ENDIAN) or len(content) < _HEADER:
        return content
    (table,) = struct.unpack_from("<Q", content, 32)
    entry, count = struct.unpack_from("<HH", content, 54)
    end = max(_HEADER, table + entry * count)
    for number in range(count):
        at = table + entry * number
        if at + 40 > len(content):
            return content  # not whole: it is not for us to make it worse
        (offset,) = struct.unpack_from("<Q", content, at + 8)
        (size,) = struct.unpack_from("<Q", content, at + 32)
        end = max(end, offset + size)
    kept = bytearray(content[:end])
    struct.pack_into("<Q", kept, 40, 0)  # where the table of sections is
    struct.pack_into("<HH", kept, 60, 0, 0)  # how many there are, and which of them names the others
    return bytes(kept)
