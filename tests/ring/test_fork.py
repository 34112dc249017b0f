"""A child of fork never writes into its parent's ring, however it was forked."""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path

import pytest

from recost.ring.sentinel import Sentinel, new_sentinel
from tests.harness import run_child, wait_for_child
from tests.ring.rings import OpenRing, payloads, writer_of


class NoSentinel:
    """The control: believes that it is always at home."""

    def __getitem__(self, _index: int, /) -> int:
        return 1


def test_the_sentinel_reads_false_in_a_forked_child_and_true_in_the_parent() -> None:
    ours = new_sentinel()

    def child() -> None:
        assert not ours[0]
        assert new_sentinel()[0]

    assert ours[0]
    assert run_child(child) == 0
    assert ours[0]


def test_the_sentinel_sees_a_fork_that_python_knows_nothing_of() -> None:
    ours = new_sentinel()
    libc = ctypes.PyDLL(None, use_errno=True)
    pid = libc.fork()
    if pid == 0:
        os._exit(7 if not ours[0] else 1)

    assert wait_for_child(pid) == 7


def test_where_the_kernel_cannot_wipe_the_pid_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recost.ring.sentinel.MADV_WIPEONFORK", 123456)
    ours = new_sentinel()

    def child() -> None:
        assert not ours[0]

    assert not isinstance(ours, mmap.mmap)
    assert ours[0]
    assert run_child(child) == 0


def _three_processes_write(tmp_path: Path, ours: Sentinel) -> list[bytes]:
    """The parent and two children offer 300 records each into what they take for their ring."""
    ring = OpenRing(tmp_path)
    writer = writer_of(ring.owned, ours)

    def offer(name: bytes) -> None:
        for number in range(300):
            writer.offer(b"%s %d" % (name, number))

    def child() -> None:
        offer(b"child")

    assert run_child(child) == 0
    offer(b"parent")
    assert run_child(child) == 0
    return payloads(ring.reader)


def test_children_do_not_touch_their_parents_ring(tmp_path: Path) -> None:
    assert _three_processes_write(tmp_path, new_sentinel()) == [b"parent %d" % number for number in range(300)]


def test_control_without_the_sentinel_records_are_lost_and_every_checksum_is_valid(tmp_path: Path) -> None:
    got = _three_processes_write(tmp_path, NoSentinel())

    assert 0 < len(got) < 900
