"""A runtime directory that one process has for itself, where processes share none: its end, and what a killed one left.

It is ``<above>/<pid>-<random>/``.  Whoever begins to lead brings the rings of the dead into his own, and goes on in
each where its spool says that it was read to, as the next leader of a shared directory would.
"""

from __future__ import annotations

import contextlib
import os
import re
import time

from filelock import Timeout

from recost.leader import LEADER_LOCK
from recost.ring.files import RING_PREFIX, open_ring
from recost.ring.layout import HEAD, TAIL, BadRing, OtherLayout
from recost_collector.election import new_file_lock
from recost_collector.keys import PREFIX as KEY_PREFIX

NAME = re.compile(r"\d+-[0-9a-f]{8}")
YOUNG_S = 10.0
"""A process that has just made its directory may not lead in it yet."""
PATIENCE_S = 0.3
"""For a thread of ours that has its ring mapped still: it is on its way out."""


def inherit(directory: str) -> None:
    """Bring the rings and keys of dead processes beside ``directory`` into it. Never raises."""
    for other in _others(directory):
        lock = new_file_lock(os.path.join(other, LEADER_LOCK))
        try:
            lock.acquire(timeout=0)
        except (OSError, Timeout):  # it lives
            continue
        _move(other, directory)
        lock.release(force=True)
        _clear(other)


def leave(directory: str) -> None:
    """Remove it, but for rings that hold something unread: the next process takes these over. Never raises."""
    until = time.monotonic() + PATIENCE_S
    while not _clear(directory) and time.monotonic() < until:
        time.sleep(0.01)


def _others(directory: str) -> list[str]:
    above, own = os.path.split(directory)
    now = time.time()
    with contextlib.suppress(OSError), os.scandir(above) as entries:
        found = [entry for entry in entries if NAME.fullmatch(entry.name) and entry.name != own]
        return [entry.path for entry in found if now - entry.stat().st_mtime > YOUNG_S]
    return []


def _move(source: str, target: str) -> None:
    with contextlib.suppress(OSError):
        for name in os.listdir(source):
            if name.startswith((RING_PREFIX, KEY_PREFIX)):
                with contextlib.suppress(OSError):
                    os.replace(os.path.join(source, name), os.path.join(target, name))


def _clear(directory: str) -> bool:
    """Remove what may go. True: the directory is gone."""
    with contextlib.suppress(OSError):
        for name in os.listdir(directory):
            path = os.path.join(directory, name)
            if not name.startswith(RING_PREFIX) or _is_read(path):
                with contextlib.suppress(OSError):
                    os.unlink(path)
        os.rmdir(directory)
    return not os.path.lexists(directory)


def _is_read(path: str) -> bool:
    """Nobody writes the ring any more, and nothing is left in it."""
    try:
        ring = open_ring(path)
    except (OSError, OtherLayout):  # it cannot be opened now, or not by this version: what is in it is not known
        return False
    except (BadRing, ValueError):
        return True
    is_read = ring.owner_gone() and ring.words[HEAD] == ring.words[TAIL]
    ring.close()
    return is_read
