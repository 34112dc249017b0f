"""Several collectors, and forks of their processes, at one file."""

from __future__ import annotations

import fcntl
import json
import os
import sys

from recost.notice import to_error
from recost_collector.exporters import Retry
from recost_collector.exporters.lines import LineFile
from recost_collector.exporters.ndjson import NdjsonExporter
from tests.exporters.support import StubLease, file_destination, lines_of, make_frame, outcome_of, retry_of
from tests.harness import start_child, wait_for_child

EACH = 40
"""Frames that one of several collectors delivers, beside the others."""


def test_a_file_that_moves_aside_while_we_open_it_is_left_alone(path, exporter):
    """Another collector rotates between our opening the file and our lock on it."""
    first, second = make_frame(), make_frame()
    exporter.export(first)
    aside = path.with_name("shop.1.jsonl")

    def rotate_before_the_lock(_frame, event, function):
        if event == "c_call" and function is fcntl.flock and not aside.exists():
            path.rename(aside)

    sys.setprofile(rotate_before_the_lock)
    try:
        exporter.export(second)
    finally:
        sys.setprofile(None)
    assert lines_of(aside) == [first.body]
    assert lines_of(path) == [second.body]


def test_while_another_process_writes_we_come_back_in_a_second(path, exporter):
    exporter.export(make_frame())
    before = path.read_bytes()
    with open(path, "rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        retry = retry_of(exporter.export, make_frame())
    assert retry.after_s == 1.0
    assert isinstance(to_error(retry.notice), BlockingIOError)
    assert path.read_bytes() == before


def test_a_fork_in_the_middle_of_an_append_does_not_keep_the_lock(path):
    """The child has a copy of the descriptor for as long as it lives; only an unlock frees that as well."""
    path.parent.mkdir()
    file = LineFile(str(path))
    waiting, done = os.pipe()

    def hold_a_copy():
        os.close(done)
        os.read(waiting, 1)

    child = start_child(hold_a_copy)
    try:
        file.close()
        LineFile(str(path)).close()
    finally:
        os.close(done)
        os.close(waiting)
        assert wait_for_child(child) == 0


def test_without_the_lease_the_file_is_not_touched(path, lease, exporter):
    lease.answers = iter([False])
    assert retry_of(exporter.export, make_frame()).after_s is not None
    assert not path.parent.exists()


def test_a_lease_lost_while_the_lock_was_awaited_counts(path, lease, exporter):
    first = make_frame()
    exporter.export(first)
    intents = {name: (path.parent.parent / "state" / name).read_bytes() for name in os.listdir(lease.state_dir)}
    lease.answers = iter([True, False])
    retry_of(exporter.export, make_frame())
    assert lines_of(path) == [first.body]
    assert {name: (path.parent.parent / "state" / name).read_bytes() for name in intents} == intents


def export_all(exporter, frames):
    """Without the pause that ``Retry`` asks for: here the collectors shall meet."""
    for frame in frames:
        while (outcome := outcome_of(exporter.export, frame)) is not None:
            assert isinstance(outcome, Retry)
            assert outcome.after_s is not None, outcome


def test_collectors_of_two_containers_share_a_file(path, tmp_path):
    """Each with a state directory of its own, all appending at once: every line is whole and there once."""
    children = []
    for collector in range(4):
        frames = [make_frame(b'{"collector":%d,"n":%d,"filler":"%s"}' % (collector, n, b"x" * n)) for n in range(EACH)]
        exporter = NdjsonExporter(file_destination(path), StubLease(tmp_path / f"state{collector}"))
        children.append(start_child(lambda e=exporter, f=frames: export_all(e, f)))
    assert [wait_for_child(child) for child in children] == [0] * 4
    windows = [json.loads(line) for line in lines_of(path)]
    for collector in range(4):
        assert [window["n"] for window in windows if window["collector"] == collector] == list(range(EACH))


def test_collectors_that_rotate_under_each_other_break_no_line(path, tmp_path):
    children = []
    for collector in range(3):
        frames = [make_frame(b'{"collector":%d,"n":%d}' % (collector, n)) for n in range(EACH)]
        destination = file_destination(path, file_max_bytes=100)
        exporter = NdjsonExporter(destination, StubLease(tmp_path / f"state{collector}"))
        children.append(start_child(lambda e=exporter, f=frames: export_all(e, f)))
    assert [wait_for_child(child) for child in children] == [0] * 3
    for file in (path, path.with_name("shop.1.jsonl")):
        windows = [json.loads(line) for line in lines_of(file)]
        assert 1 <= len(windows) <= 4
        assert len({(window["collector"], window["n"]) for window in windows}) == len(windows)
