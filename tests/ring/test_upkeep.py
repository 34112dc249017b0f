"""What an owner finds out about its ring's file, and how it makes one again that was removed."""

from __future__ import annotations

import os
import tempfile
import zlib
from pathlib import Path

import pytest

from recost.ring import upkeep
from recost.ring.files import RingFile, create_ring, open_ring, remake_ring
from recost.ring.layout import HEAD, MIN_CAPACITY, PAGE, RECORDS, SESSION_BLOCK, TAIL, WORD, seed_of
from recost.ring.reader import Cursor, Reader
from recost.ring.sentinel import new_sentinel
from recost.ring.upkeep import Upkeep
from recost.ring.writer import Writer
from tests.harness import run_child

BLOCK = b"where it all goes"


def _writer(ring: RingFile) -> Writer:
    return Writer(ring.words, ring.data, seed_of(ring.header.ring_id), new_sentinel())


@pytest.fixture
def ring(tmp_path: Path) -> RingFile:
    return create_ring(str(tmp_path), BLOCK, MIN_CAPACITY)


def test_a_ring_in_use_is_sound(ring: RingFile) -> None:
    writer = _writer(ring)
    kept = Upkeep(ring, writer)
    for _ in range(3):
        writer.offer(b"payload")
        assert kept.look() == "sound"
    ring.words[HEAD] = ring.words[TAIL]
    assert kept.look() == "sound"


def test_a_removed_one_is_told_after_a_while(ring: RingFile, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Upkeep(ring, _writer(ring))
    os.unlink(ring.path)
    assert kept.look() == "sound"
    monkeypatch.setattr(upkeep, "PATIENCE_S", 0.0)
    assert kept.look() == "removed"


@pytest.mark.parametrize("at", [0, 3 * WORD, 14 * WORD, SESSION_BLOCK, SESSION_BLOCK + len(BLOCK) - 1])
def test_a_byte_that_changes_in_what_never_changes_is_noticed(ring: RingFile, at: int) -> None:
    ring.memory[at] ^= 1
    assert Upkeep(ring, _writer(ring)).look() == "overwritten"


def test_a_head_beyond_what_was_published_says_nothing_and_is_no_reason_to_let_go(ring: RingFile) -> None:
    """The collector writes it anew at its next turn."""
    writer = _writer(ring)
    kept = Upkeep(ring, writer)
    writer.offer(b"payload")
    ring.words[HEAD] = 1 << 50
    assert kept.look() == "sound"
    assert kept.unread == 1


@pytest.mark.parametrize("size", [0, PAGE, 5 * PAGE])
def test_nothing_is_read_of_a_file_that_was_cut_off(tmp_path: Path, size: int) -> None:
    """Reading would be a SIGBUS, and end the child."""

    def child() -> None:
        ring = create_ring(str(tmp_path), BLOCK, MIN_CAPACITY)
        kept = Upkeep(ring, _writer(ring))
        os.truncate(ring.path, size)
        assert kept.look() == "cut off"

    assert run_child(child) == 0


def test_a_descriptor_that_the_program_closed_is_noticed_also_when_its_number_is_taken(tmp_path: Path) -> None:
    def child() -> None:
        ring = create_ring(str(tmp_path), BLOCK, MIN_CAPACITY)
        kept = Upkeep(ring, _writer(ring))
        os.close(ring.lock_fd)
        assert kept.look() == "unlocked"
        with tempfile.TemporaryFile() as other:
            os.dup2(other.fileno(), ring.lock_fd)
            assert kept.look() == "unlocked"

    assert run_child(child) == 0


def test_what_the_collector_had_not_come_to_at_the_last_look_is_unread_at_most(ring: RingFile) -> None:
    writer = _writer(ring)
    kept = Upkeep(ring, writer)
    positions = []
    for _ in range(4):
        writer.offer(b"payload")
        positions.append(writer.tail)
        kept.look()
    assert kept.unread == 4
    ring.words[HEAD] = positions[1]
    kept.look()
    assert kept.unread == 2
    ring.words[HEAD] = positions[3]
    writer.offer(b"payload")
    kept.look()
    assert kept.unread == 1
    ring.memory[:] = b"\xff" * len(ring.memory)
    assert kept.look() == "overwritten"
    assert kept.unread == 1


def test_a_removed_ring_is_made_again_with_everything_in_it(ring: RingFile) -> None:
    writer = _writer(ring)
    for number in range(500):
        writer.offer(b"%d" % number)
    reader = Reader(ring.words, ring.data, seed_of(ring.header.ring_id), Cursor())
    first = reader.drain(4096)
    collectors = open_ring(ring.path)
    os.unlink(ring.path)
    writer.close()

    again = remake_ring(ring)
    assert not collectors.owner_gone(), "the old lock is held until the new file is there"
    again.words[TAIL], again.words[RECORDS] = writer.published
    other = _writer(again)
    other.offer(b"more")
    seen = open_ring(again.path)
    assert seen.header == ring.header
    assert zlib.crc32(seen.session_block) == ring.header.session_crc
    rest = Reader(seen.words, seen.data, seed_of(seen.header.ring_id), Cursor(*reader.cursor)).drain(1 << 20)
    assert first + rest == [*(b"%d" % number for number in range(500)), b"more"]
    assert Upkeep(again, other).look() == "sound"
