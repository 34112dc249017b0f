"""What another program may write into a ring's file."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

from recost.ring.layout import HEADER_WORDS, WORD


def overwrite(at: int, data: bytes, path: Path) -> None:
    """As much of ``data`` as the file has room for from ``at`` on."""
    with path.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(at)
        file.write(data[: size - at])


def set_word(word: int, value: int, path: Path) -> None:
    """A word of the header, with a checksum that says that it was meant."""
    with path.open("r+b") as file:
        header = bytearray(file.read(HEADER_WORDS * WORD))
        struct.pack_into("=Q", header, word * WORD, value)
        struct.pack_into("=Q", header, (HEADER_WORDS - 1) * WORD, zlib.crc32(header[: (HEADER_WORDS - 1) * WORD]))
        file.seek(0)
        file.write(header)
