"""The ring of this process: made where there is room, and made again when another program has taken its file away."""

from __future__ import annotations

import os
from typing import Optional

from recost import session
from recost._destination import registration
from recost._troubles import Troubles
from recost.config import RecostConfig
from recost.errors import RecostError
from recost.paths import PrivateDirError, make_private_dir, runtime_dirs
from recost.ring.files import RingFile, create_ring, remake_ring
from recost.ring.layout import RECORDS, TAIL
from recost.ring.upkeep import Condition, Upkeep
from recost.ring.writer import Writer

_MEANWHILE = "meanwhile calls go through the temporary directory, or the newest few wait in memory"
_MEND = "; set RECOST_RUNTIME_DIR to a directory of this user with room"
UNREADABLE = ("overwritten", "cut off")
_TOLD = {
    "removed": "another program (systemd's RemoveIPC=, a cleaner) removed the file of this process's ring",
    "overwritten": "another program wrote into the ring of this process",
    "cut off": "another program truncated the ring of this process",
}


def make_ring(settings: RecostConfig, troubles: Troubles) -> Optional[RingFile]:
    """A ring in the first runtime directory that takes one; None, reported once, when none does."""
    block = session.encode(registration(settings, os.environ))
    for directory in runtime_dirs():
        try:
            make_private_dir(directory)
            return create_ring(directory, block, settings.ring_bytes)
        except OSError as exc:
            why = f"no ring can be made in {directory}: {exc.strerror or exc}"
            mend = "" if isinstance(exc, PrivateDirError) else _MEND  # the former says it
            troubles.during("ring", RecostError(f"{why}; {_MEANWHILE}{mend}"))
    return None


def make_again(condition: Condition, ring: RingFile, writer: Writer, upkeep: Upkeep) -> tuple[Optional[RingFile], int]:
    """A removed ring with all that is in it, in a new file, or None; and how many calls are lost with it, at most.

    ``writer`` must be closed.
    """
    if condition == "removed":
        try:
            new = remake_ring(ring)
        except OSError:
            return None, upkeep.unread
        new.words[TAIL], new.words[RECORDS] = writer.published
        return new, 0
    return None, upkeep.unread + writer.refused if condition in UNREADABLE else 0


def tell(condition: Condition, lost: int, troubles: Troubles) -> None:
    """What became of the ring and of what was in it. An application that closes descriptors is told nothing."""
    if condition in _TOLD:
        outcome = f"calls lost with it: {lost} at most" if lost else "nothing is lost"
        troubles.later(RecostError(f"{_TOLD[condition]}; another is made, {outcome}"))
