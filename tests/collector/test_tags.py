"""Tagged calls on their way through a collector: counted once, as a view of the metrics, whatever happens to it."""

from __future__ import annotations

import os
import signal
import time

from recost.event import CallEvent, encode
from recost.ring.layout import FLUSH_SIZE, HEAD
from recost_collector.leading import lead
from tests.collector.collecting import Worker, collector, delivered, file_session, runtime, total, turn_until
from tests.harness import run_child
from tests.processes.support import tags_in


def call(worker: Worker, tag: str, path: str = "/v1/things") -> None:
    event = CallEvent(time.time_ns(), 5_000_000, "GET", "https", "api.example.com", path, 200, 10, 20, tag)
    assert worker.writer.offer(encode(event))


def test_of_300_tags_200_have_their_own_figures_and_no_call_is_missing() -> None:
    """The window is committed in many pieces: the bound holds for all of them together."""
    worker = Worker(file_session(max_batch_size=10_000))
    with collector() as leadership:
        for begin in range(0, 300, 30):
            for number in range(begin, begin + 30):
                for _ in range(1 + number % 3):
                    call(worker, f"feature {number}")
            call(worker, "")
            turn_until(leadership, lambda: worker.ring.words[HEAD] == worker.writer.tail, what="a commit")
        worker.leave()

    found = tags_in(delivered())
    assert len(delivered()) == 1
    assert found.pop("other") == sum(1 + number % 3 for number in range(200, 300))
    assert found == {f"feature {number}": 1 + number % 3 for number in range(200)}
    assert total() == 600 + 10


def test_tagged_calls_survive_a_collector_that_is_killed_with_their_window_open() -> None:
    def lead_and_die() -> None:
        leadership = lead(runtime(), "thread", 1.0)
        assert leadership is not None
        turn_until(leadership, lambda: worker.ring.words[HEAD] == worker.writer.tail, what="a commit")
        os.kill(os.getpid(), signal.SIGKILL)

    worker = Worker(file_session())
    for tag in ("a", "b", "", "a"):
        call(worker, tag)
    assert run_child(lead_and_die) == -signal.SIGKILL
    for tag in ("b", "c", ""):
        call(worker, tag)
    with collector():
        worker.leave()

    (window,) = delivered()
    assert tags_in(delivered()) == {"a": 2, "b": 2, "c": 1}
    assert [metric["requestCount"] for metric in window["metrics"]] == [7]
    assert [entry["totalLatencyMs"] for entry in window["tagMetrics"]] == [10.0, 10.0, 5.0]


def test_the_size_of_a_window_is_that_of_its_metrics_and_a_window_without_tags_is_as_ever() -> None:
    worker = Worker(file_session())
    with collector() as leadership:
        for tag in "abc":
            call(worker, tag, "/v1/one")
            call(worker, tag, "/v1/two")
        worker.ask_for_flush()
        turn_until(leadership, worker.is_settled, what="the flush")
        assert worker.ring.words[FLUSH_SIZE] == 2
        call(worker, "")
        worker.leave()

    tagged, plain = delivered()
    assert (len(tagged["metrics"]), len(tagged["tagMetrics"])) == (2, 6)
    assert list(plain) == [name for name in tagged if name != "tagMetrics"]
    assert tags_in(delivered()) == {"a": 2, "b": 2, "c": 2}


def test_more_tagged_rows_than_a_frame_may_have_are_several_frames() -> None:
    worker = Worker(file_session(max_buckets=3))
    with collector():
        for path in ("/a", "/b", "/c"):
            for tag in "vwxyz":
                call(worker, tag, path)
        worker.leave()

    assert all(len(window["metrics"]) <= 3 and len(window.get("tagMetrics", [])) <= 3 for window in delivered())
    assert (total(), sum(tags_in(delivered()).values())) == (15, 15)
    assert tags_in(delivered()) == {"v": 1, "w": 1, "x": 1, "other": 12}
