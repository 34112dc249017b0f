"""``recost-collector status``: one screen that says whether all is well, and JSON as it is documented."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from recost.event import LlmEvent, encode
from recost.ring.layout import HEAD, HEARTBEAT, LOST
from recost_collector.paint import Painter
from recost_collector.spool import SPOOL_FILE
from recost_collector.status import DestinationStatus, RingStatus, Status, nothing
from recost_collector.status_text import to_text
from tests.cli.hosts import Command, cloud_session, foreground, leave_window, runtime_files
from tests.collector.collecting import Worker, collector, file_session, runtime, spool_dir, total, turn_until
from tests.harness import free_port, wait_until

SCHEMA = Path(__file__).parents[2] / "docs" / "status.schema.json"
SCREEN_LINES = 24


def documented() -> Any:
    return json.loads(SCHEMA.read_text("utf-8"))


def checked(found: Any) -> Any:
    """``found``, which has the documented fields and no others."""
    schema = documented()
    for definition in schema["$defs"].values():
        definition["additionalProperties"] = False
    jsonschema.validate(found, schema)
    return found


def without_descriptions(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {key: without_descriptions(value) for key, value in schema.items() if key != "description"}
    return [without_descriptions(value) for value in schema] if isinstance(schema, list) else schema


@pytest.mark.skipif(sys.version_info < (3, 10), reason="the oldest msgspec describes a type in other words")
def test_the_schema_names_and_explains_every_field() -> None:
    schema = documented()

    assert schema["$schema"].endswith("2020-12/schema")
    told = {key: schema[key] for key in ("$ref", "$defs")}
    assert without_descriptions(told) == without_descriptions(msgspec.json.schema(Status))
    for definition in schema["$defs"].values():
        assert all(field["description"].endswith(".") for field in definition["properties"].values())


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    """Thirty of them, of twelve projects."""
    found = [Worker(file_session(f"shop-{number % 12}"), capacity=1 << 16) for number in range(30)]
    yield found
    for worker in found:
        worker.leave()


def test_a_healthy_host_is_one_screen_however_many_workers_it_has(status: Command, workers: list[Worker]) -> None:
    with foreground():
        for worker in workers:
            worker.calls(2)
            worker.ask_for_flush()
        wait_until(lambda: all(worker.is_settled() for worker in workers), what="the flush")
        assert status() == 0
        text = status.text
        found = checked(status.json())

    lines = text.splitlines()
    assert lines[0] == "all is well: 30 workers, nothing waits"
    assert len(lines) <= SCREEN_LINES
    assert len(found["rings"]) == 30
    assert found["troubles"] == found["problems"] == []
    assert next(line.split() for line in lines if line.startswith("     30"))[1:4] == ["60", "0.0%", "0"]


def test_an_idle_host(status: Command) -> None:
    assert status() == 0
    assert status.text.startswith("idle: nothing to collect, no collector needed\n")
    assert checked(status.json())["leader"] is None
    assert runtime_files() == []


def test_an_estimate_that_a_tracked_call_still_takes_off_is_nothing_that_waits(status: Command) -> None:
    worker = Worker(file_session())
    assert worker.writer.offer(encode(LlmEvent(time.time_ns(), 1, "openai", "gpt-4o", 10, 5, 0, 75, by_hand=True)))
    worker.leave()
    with collector() as leadership:
        turn_until(leadership, lambda: not Path(worker.ring.path).exists(), what="its ring to go")
    assert total() == 1

    assert status() == 0
    assert status.text.startswith("idle: nothing to collect, no collector needed\n")


def test_a_broken_host_says_what_to_do_below_each_trouble(status: Command) -> None:
    """Nobody collects although a window waits, a ring was full, and something else lies about."""
    leave_window(cloud_session(free_port()), calls=2)
    worker = Worker(file_session())
    while worker.call():
        pass
    garbage = Path(runtime()) / "ring-garbage"
    garbage.write_bytes(b"nothing")

    assert status() == 3

    lines = status.text.splitlines()
    assert lines[:2] == [
        "not well: no collector runs although something waits",
        "  to do: the next call of a worker starts one, or run: recost-collector run",
    ]
    assert [line[:20] for line in lines if line.startswith("and: ")] == [
        "and: 1 call was not recorded"[:20],
        "and: 1 file is no ring"[:20],
    ]
    assert sum(line.startswith("  to do: ") for line in lines) == 3
    found = checked(status.json())
    assert [trouble["text"] in problem for trouble, problem in zip(found["troubles"], found["problems"])] == [True] * 3
    garbage.unlink()
    worker.leave()


def test_calls_that_workers_did_not_get_recorded_are_trouble_for_a_day_after_they_went(status: Command) -> None:
    """Their rings, which told so while they lived, are gone."""
    worker = Worker(file_session())
    while worker.call():
        pass
    worker.ring.words[LOST] = 3
    with collector() as leadership:
        turn_until(leadership, lambda: worker.ring.words[HEAD] == worker.writer.tail, what="the calls to be counted")
        assert status() == 1
        before = status.text
        worker.leave()
        turn_until(leadership, lambda: not Path(worker.ring.path).exists(), what="its ring to go")
        spool = spool_dir(leadership) / SPOOL_FILE

    assert status() == 1
    lines = status.text.splitlines()
    assert lines[0].startswith("not well: 1 call of workers that are gone was not recorded because a ring was full, ")
    assert lines[1] in before.splitlines(), "the same is to be done"
    assert lines[2].startswith("and: up to 3 calls of workers that are gone were lost")
    assert set(checked(status.json())["totals_at_ms"]) == {"dropped_full", "lost"}

    with contextlib.closing(sqlite3.connect(spool)) as db, db:
        db.execute("UPDATE meta SET value = value - 86400000 WHERE name LIKE 'at.%'")
    assert status() == 0
    assert "not recorded, for the ring was full 1" in status.text


def test_a_hung_host(status: Command) -> None:
    worker = Worker(file_session())
    with foreground() as process:
        wait_until(lambda: worker.ring.words[HEARTBEAT], what="a heartbeat")
        process.send_signal(signal.SIGSTOP)
        worker.call()

        assert status() == 1
        assert status.text.splitlines()[:2] == [
            "not well: the collector holds its lock and does nothing",
            "  to do: calls wait in shared memory meanwhile; a worker replaces it after 10 s, or end it",
        ]
        found = checked(status.json())
        assert (found["leading"], found["beating"], found["leader"]["pid"]) == (True, False, process.pid)

        process.send_signal(signal.SIGCONT)
        worker.ask_for_flush()
        wait_until(lambda: total() == 1, what="the call")
        worker.leave()


def test_destinations_in_use_come_after_those_in_trouble_and_before_the_others() -> None:
    found = nothing("/somewhere")
    idle = [destination(f"file:///idle-{number}", delivered_at_ms=9_000 + number) for number in range(6)]
    in_trouble = destination("file:///trouble", waiting=1, last_error="no", last_error_at_ms=1)
    found.destinations = [*idle, destination("file:///used"), destination("file:///waits", waiting=1), in_trouble]
    found.rings = [RingStatus("ring", 1, True, "", "", "file:///used", "", 1, 0, 1, 0, 0)]

    lines = to_text(found, Painter(io.StringIO()), 0).splitlines()

    shown = [line.split()[-1] for line in lines if "file:///" in line]
    assert shown == ["file:///trouble", "file:///waits", "file:///used", "file:///idle-5"]


def destination(url: str, **values: Any) -> DestinationStatus:
    names = [name for name in DestinationStatus.__struct_fields__ if name not in ("parked_reasons", "last_kind")]
    empty = {name: "" if name == "last_error" else 0 for name in names}
    return msgspec.convert({**empty, "suspended": False, "destination": url, **values}, DestinationStatus)
