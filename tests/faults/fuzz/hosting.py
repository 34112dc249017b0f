"""A leader, an honest worker whose calls are counted, and whatever else lies in the runtime directory."""

from __future__ import annotations

import contextlib
import os
import random
from pathlib import Path
from typing import Union

import msgspec

from recost.ring.files import RING_PREFIX, create_ring
from recost.ring.layout import WORD, seed_of
from recost.ring.sentinel import new_sentinel
from recost.ring.writer import Writer
from recost_collector.leading import Leadership, lead
from tests.collector.collecting import Worker, file_session, runtime, total, turn_until

HONEST, BAD = "honest", "bad"
MOST_GUESTS = 8
RESTART = 0.05
RING_ID = slice(7 * WORD, 9 * WORD)


class Guest(Worker):
    """The owner of a ring with whatever session block."""

    def __init__(self, block: bytes, capacity: int = 1 << 16) -> None:
        self.ring = create_ring(runtime(), block, capacity)
        self.writer = Writer(self.ring.words, self.ring.data, seed_of(self.ring.header.ring_id), new_sentinel())


class Host:
    """A leader, an honest worker whose calls are counted, guests, and files that belong to nobody."""

    def __init__(self) -> None:
        self.leadership = start_leader()
        self.honest = Worker(file_session(HONEST))
        self.guests: list[Worker] = []
        self._left: list[Path] = []
        self._made = 0

    def check(self, chance: random.Random) -> None:
        """The honest worker makes calls and asks for a flush: all of them arrive, each once."""
        self._made += self.honest.calls(chance.randrange(1, 20))
        self.honest.ask_for_flush()
        turn_until(self.leadership, self.honest.is_settled, what="the honest ring to settle")
        self._compare()
        if chance.random() < RESTART:
            self.leadership.give_back()  # as a kill leaves it
            self.leadership = start_leader()

    def invite(self, guest: Worker) -> Worker:
        """One more; the oldest leaves when there are many."""
        self.guests.append(guest)
        if len(self.guests) > MOST_GUESTS:
            self.guests.pop(0).leave()
        return guest

    def leave_file(self, contents: Union[bytes, bytearray], name: bytes = b"") -> Path:
        """A file with a ring's name, by default the one that its header gives; the oldest goes when there are many."""
        path = Path(runtime()) / (RING_PREFIX + (name or bytes(contents[RING_ID]).ljust(16, b"\0")).hex())
        path.write_bytes(contents)
        self._left.append(path)
        if len(self._left) > MOST_GUESTS:
            remove(self._left.pop(0))
        return path

    def finish(self) -> None:
        """All guests leave, and the collector ends in good order; what it has delivered of theirs is JSON, too."""
        for guest in self.guests:
            guest.leave()
        for path in self._left:
            remove(path)
        sources = self.leadership.service.rings.sources
        turn_until(self.leadership, lambda: list(sources) == [self.honest.name], what="the guests' rings to be reaped")
        self.leadership.finish(5.0)
        self._compare()
        for path in Path(os.environ["RECOST_LOCAL_DIR"]).glob("*.jsonl"):
            msgspec.json.Decoder().decode_lines(path.read_bytes())

    def _compare(self) -> None:
        found = total(HONEST)
        assert found == self._made, f"{self._made} calls were made, {found} are delivered"


def start_leader() -> Leadership:
    """In this process; turn it by hand."""
    leadership = lead(runtime(), "thread", 1.0)
    assert leadership is not None, "another collector leads"
    return leadership


def remove(path: Path) -> None:
    """Whatever it is."""
    with contextlib.suppress(FileNotFoundError):  # the collector has reaped it
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()
