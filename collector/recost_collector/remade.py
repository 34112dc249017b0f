"""Rings whose file was removed by another program, and which their living owner has made again under the same name.

The new file begins as a copy of the old one, with the same positions: whoever reads the ring goes on where it was.
The owner holds the old file's lock until the new one is in its place.
"""

from __future__ import annotations

import os
from typing import Optional

from recost.ring.files import RingFile, open_ring
from recost.ring.layout import BadRing


def is_remade(file: RingFile) -> bool:
    """Whether another file is at its path by now: then a free lock of ``file`` says nothing about its owner."""
    try:
        found = os.lstat(file.path)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) != file.lock_inode


def open_remade(file: RingFile) -> Optional[RingFile]:
    """The new file of the ring; None when there is none."""
    if not is_remade(file):
        return None
    try:
        new = open_ring(file.path)
    except (BadRing, OSError, ValueError):
        return None
    if new.header == file.header:
        return new
    new.close()
    return None
