"""A collector may be killed at any instant: every line is whole, and every frame is there once."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import sys
import time

import pytest

from recost_collector.exporters import Retry
from recost_collector.exporters.ndjson import Intent, NdjsonExporter
from tests.exporters.support import StubLease, file_destination, lines_of, make_frame
from tests.harness import run_child, start_child, wait_for_child

KILLS = 75
BIG = 256 << 10


def die_at_call(export, number):
    """Run ``export`` and kill this process before the C function that is called as the ``number``-th."""
    calls = itertools.count(1)

    def profile(_frame, event, _function):
        if event == "c_call" and next(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(profile)
    export()


@pytest.mark.parametrize("another", [False, True])
@pytest.mark.parametrize("limit", [0, 160])
@pytest.mark.parametrize("tail", [b"", b'{"cut":'])
def test_a_kill_before_any_call_of_the_exporter_changes_nothing(tmp_path, tail, limit, another):
    """Every step of an append, one after the other; with ``limit``, the append of the second frame rotates.

    ``another`` collector with a state directory of its own may append before the successor comes.
    """
    first, second, foreign = make_frame(b'{"filler":"%s"}' % (b"x" * 120)), make_frame(), make_frame()
    expected = sorted(frame.body for frame in ([first, second, foreign] if another else [first, second]))
    for number in itertools.count(1):
        place = tmp_path / str(number)
        path, lease = place / "shop.jsonl", StubLease(place / "state")
        destination = file_destination(path, file_max_bytes=limit)
        NdjsonExporter(destination, lease).export(first)
        with open(path, "ab") as file:
            file.write(tail)
        exporter = NdjsonExporter(destination, lease)
        code = run_child(lambda e=exporter, n=number: die_at_call(lambda: e.export(second), n))
        if another:
            NdjsonExporter(file_destination(path), StubLease(place / "another")).export(foreign)
        NdjsonExporter(destination, lease).export(second)
        assert sorted(lines_of(path.with_name("shop.1.jsonl"), path)) == expected, f"killed before call {number}"
        if code == 0:
            break
    assert number > 30, "the kills did not reach the append"


def test_a_line_of_which_any_part_was_written_is_there_once(tmp_path):
    """What a kill inside ``write`` leaves: the intent, and a prefix of the line."""
    path = tmp_path / "shop.jsonl"
    lease = StubLease(tmp_path / "state")
    destination = file_destination(path)
    for written in range(len(make_frame().body) + 2):
        first, second = make_frame(), make_frame()
        path.unlink(missing_ok=True)
        exporter = NdjsonExporter(destination, lease)
        exporter.export(first)
        exporter._commit(Intent(second.key, path.stat().st_size))
        with open(path, "ab") as file:
            file.write((second.body + b"\n")[:written])
        NdjsonExporter(destination, lease).export(second)
        assert lines_of(path) == [first.body, second.body], f"after {written} bytes"


def frame_number(collector, number):
    filler = b"x" * (BIG if number % 2 else 10)
    body = b'{"collector":%d,"n":%d,"filler":"%s"}' % (collector, number, filler)
    return make_frame(body, key=f"frame {number} of {collector}")


class Collector:
    """Delivers its frames one after the other, and commits the outcome of each before the next."""

    def __init__(self, number, path, folder):
        self.number = number
        self.destination, self.lease = file_destination(path), StubLease(folder)
        self.committed = folder / "committed"
        self.committed.write_text("0")

    def start(self):
        self.pid = start_child(self.run)

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        assert wait_for_child(self.pid) == -signal.SIGKILL

    def run(self):
        while True:
            self.deliver_next()

    def deliver_next(self):
        number = int(self.committed.read_text()) + 1
        try:
            NdjsonExporter(self.destination, self.lease).export(frame_number(self.number, number))
        except Retry as retry:
            if retry.after_s is None:  # not because the other one writes
                raise
            return
        new = self.committed.with_suffix(".new")
        new.write_text(str(number))
        new.rename(self.committed)


def ends_in_newline(path):
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        return file.read() in {b"", b"\n"}


@pytest.mark.parametrize("count", [1, 2])
def test_kills_at_random_instants_break_no_line_and_repeat_none(tmp_path, count):
    """With two collectors on one file, one goes on when the other is killed."""
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    path = tmp_path / "shop.jsonl"
    path.touch(0o600)
    collectors = [Collector(n, path, tmp_path / f"collector{n}") for n in range(count)]
    for collector in collectors:
        collector.start()
    cut_off = 0
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.003, 0.02))  # any instant: nothing is waited for
        unlucky = chance.choice(collectors)
        unlucky.kill()
        cut_off += not ends_in_newline(path)
        unlucky.start()
    for collector in collectors:
        collector.kill()
    for collector in collectors:
        collector.deliver_next()
    windows = [json.loads(line) for line in lines_of(path)]
    print(f"seed={seed} frames={len(windows)} cut_off={cut_off}")
    for collector in collectors:
        got = [window["n"] for window in windows if window["collector"] == collector.number]
        assert got == list(range(1, int(collector.committed.read_text()) + 1)), f"seed={seed}"
