"""What every exporter must do, whatever it talks to."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from examples.standins import CloudStandIn
from recost.errors import RecostError
from recost.notice import decode, encode, to_error
from recost.session import Destination
from recost_collector.exporters import Exporter, Reject, Retry, open_exporter
from tests.exporters.listener import Listener
from tests.exporters.support import (
    KEY,
    StubLease,
    cloud_destination,
    file_destination,
    make_frame,
    outcome_of,
    raw_server,
    retry_of,
)
from tests.harness import wait_until


class Rig(NamedTuple):
    """An exporter and the other end of it."""

    exporter: Exporter
    windows: Callable[[], list[Any]]
    """What has arrived, in order, as the other end counts it."""
    cut: Callable[[], None]
    restore: Callable[[], None]
    copies: int
    """How often a frame that is exported twice arrives."""

    def expect(self, bodies: list[bytes]) -> None:
        """These have arrived, in this order, and nothing else. A listener's program may still be reading."""
        expected = [json.loads(body) for body in bodies]
        wait_until(lambda: len(self.windows()) >= len(expected), what=f"{len(expected)} windows")
        assert self.windows() == expected


@contextlib.contextmanager
def cloud_rig(tmp_path: Path) -> Iterator[Rig]:
    with CloudStandIn(keys=[KEY]) as cloud:
        exporter = open_exporter(cloud_destination(cloud.url), StubLease(tmp_path / "state"))
        yield Rig(exporter, cloud.unique_windows, cloud.stop, cloud.start, 1)
        exporter.close()


@contextlib.contextmanager
def file_rig(tmp_path: Path) -> Iterator[Rig]:
    folder = tmp_path / "local"
    exporter = open_exporter(file_destination(folder / "shop.jsonl"), StubLease(tmp_path / "state"))

    def cut() -> None:
        folder.rename(tmp_path / "gone")
        folder.touch()

    def restore() -> None:
        folder.unlink()
        (tmp_path / "gone").rename(folder)

    def windows() -> list[Any]:
        return [json.loads(line) for line in (folder / "shop.jsonl").read_text().splitlines()]

    yield Rig(exporter, windows, cut, restore, 1)
    exporter.close()


@contextlib.contextmanager
def websocket_rig(tmp_path: Path) -> Iterator[Rig]:
    with Listener() as listener:
        exporter = open_exporter(Destination(url=listener.url), StubLease(tmp_path / "state"))
        yield Rig(exporter, listener.windows, listener.stop, listener.start, 2)
        exporter.close()


@pytest.fixture(params=[cloud_rig, file_rig, websocket_rig], ids=["https", "ndjson", "websocket"])
def rig(request, tmp_path):
    with request.param(tmp_path) as made:
        yield made


def test_frames_arrive_whole_and_in_order(rig):
    frames = [make_frame() for _ in range(20)]
    for frame in frames:
        rig.exporter.export(frame)
    rig.expect([frame.body for frame in frames])


def test_a_big_frame_arrives_whole(rig):
    """As big as the windows of thousands of endpoints get, and less than a WebSocket server's usual limit."""
    body = json.dumps({"protocolVersion": "1.0", "metrics": [], "filler": "ü" * 300_000}, ensure_ascii=False)
    rig.exporter.export(make_frame(body.encode()))
    rig.expect([body.encode()])


def test_while_the_other_end_is_gone_frames_wait_and_then_the_same_exporter_delivers(rig):
    first, second = make_frame(), make_frame()
    rig.exporter.export(first)
    rig.expect([first.body])
    rig.cut()
    for _ in range(3):
        notice = retry_of(rig.exporter.export, second).notice
        assert notice.message
        assert isinstance(to_error(decode(encode(notice))), (RecostError, OSError))
    rig.restore()
    rig.exporter.export(second)
    rig.expect([first.body, second.body])


def test_a_frame_may_come_again_and_keeps_its_identity(rig):
    """Its outcome was not committed: it is sent again under the same key, which is once where keys count."""
    frame, later = make_frame(), make_frame()
    rig.exporter.export(frame)
    rig.exporter.export(frame)
    rig.exporter.export(later)
    rig.expect([frame.body] * rig.copies + [later.body])


def test_equal_windows_of_different_frames_are_two(rig):
    """The key decides, not the bytes."""
    body = make_frame().body
    rig.exporter.export(make_frame(body))
    rig.exporter.export(make_frame(body))
    rig.expect([body] * 2)


def test_close_never_raises(rig):
    first, last = make_frame(), make_frame()
    rig.exporter.close()
    rig.exporter.export(first)
    rig.exporter.close()
    rig.exporter.close()
    rig.cut()
    retry_of(rig.exporter.export, make_frame())
    rig.exporter.close()
    rig.restore()
    rig.exporter.export(last)
    rig.expect([first.body, last.body])


def test_no_secret_is_in_what_goes_wrong(rig):
    frame = make_frame()
    rig.exporter.export(frame)
    rig.expect([frame.body])
    rig.cut()
    notice = retry_of(rig.exporter.export, make_frame()).notice
    assert KEY not in repr(notice)
    rig.restore()


def test_no_thread_stays_after_close(rig):
    before = set(threading.enumerate())
    rig.exporter.export(make_frame())
    rig.exporter.close()
    ours = ("Timer", "recv_events")
    wait_until(lambda: not [t for t in set(threading.enumerate()) - before if any(o in t.name for o in ours)])


@pytest.mark.parametrize("scheme", ["http", "ws"])
def test_a_server_that_talks_nonsense_is_an_outcome(tmp_path, scheme):
    nonsense = [
        lambda connection: connection.sendall(b"\x00\xff" * 1000),
        lambda connection: connection.sendall(b"HTTP/1.1 banana\r\n\r\n"),
        lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200),
        lambda connection: connection.sendall(b"HTTP/1.1 " + b"9" * 70_000),
        lambda connection: connection.close(),
    ]
    with raw_server(*nonsense) as url:
        destination = Destination(url=url.replace("http", scheme) + "/projects/shop/telemetry")
        exporter = open_exporter(destination, StubLease(tmp_path))
        for _ in nonsense:
            retry_of(exporter.export, make_frame())
        exporter.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/x",
        "https://127.0.0.1:1/x",
        "http://nowhere.invalid/x",
        "http://127.0.0.1:99999/x",
        "http://[::1/x",
        "http:///x",
        "ws://127.0.0.1:1",
        "ws://127.0.0.1:99999",
        "ws://",
        "file:///proc/nowhere/x.jsonl",
        "file:///dev/null",
        "file:///",
        "file:",
        "file:x.jsonl",
        "file:///proc/nowhere/%00.jsonl",
        "file:///proc/nowhere/%FF.jsonl",
        "gopher://127.0.0.1/",
        "",
    ],
)
def test_a_destination_that_cannot_be_is_an_outcome(tmp_path, url):
    def export(frame):
        exporter = open_exporter(Destination(url=url), StubLease(tmp_path))
        try:
            exporter.export(frame)
        finally:
            exporter.close()

    outcome = outcome_of(export, make_frame())
    assert isinstance(outcome, (Retry, Reject))
    assert decode(encode(outcome.notice)) == outcome.notice


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"not json", b"\x00"])
def test_a_body_that_is_no_window_is_an_outcome(rig, body):
    frame = make_frame()._replace(body=body)
    assert isinstance(outcome_of(rig.exporter.export, frame), (Retry, Reject, type(None)))
    rig.exporter.export(make_frame())  # and the next one is not in its way
