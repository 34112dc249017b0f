"""A real collector in the test's own process, turned by hand, and workers that write real rings."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional

from recost import session
from recost.event import CallEvent, encode
from recost.paths import make_private_dir
from recost.ring.files import RingFile, create_ring
from recost.ring.layout import FLUSH_REQUESTED, FLUSHED_THROUGH, FLUSHES, seed_of
from recost.ring.sentinel import new_sentinel
from recost.ring.writer import Writer
from recost.session import Destination, Registration, Session
from recost_collector.changes import Kept
from recost_collector.leading import Leadership, lead
from recost_collector.spool import SPOOL_FILE
from recost_collector.spool_file import ASIDE
from recost_collector.spool_peek import open_to_read
from recost_collector.spool_rows import Rows
from tests.harness import PATIENCE_S


def runtime() -> str:
    """This test's runtime directory, as the suite's environment has it."""
    directory = os.environ["RECOST_RUNTIME_DIR"]
    make_private_dir(directory)
    return directory


def file_session(project: str = "shop", **settings: Any) -> Session:
    """A session that delivers to a file of this test."""
    folder = Path(os.environ["RECOST_LOCAL_DIR"])
    found = folder.stat()
    destination = Destination(f"file://{folder}/{project}.jsonl", project, directory=(found.st_dev, found.st_ino))
    return Session(destination, **settings)


class Worker:
    """The owner of a ring."""

    def __init__(self, session_: Session, api_key: str = "", capacity: int = 1 << 16) -> None:
        block = session.encode(Registration(session_, api_key))
        self.ring: RingFile = create_ring(runtime(), block, capacity)
        self.writer = Writer(self.ring.words, self.ring.data, seed_of(self.ring.header.ring_id), new_sentinel())

    @property
    def name(self) -> str:
        return self.ring.header.name

    def call(self, path: str = "/v1/things", status: int = 200, host: str = "api.example.com") -> bool:
        event = CallEvent(time.time_ns(), 5_000_000, "GET", "https", host, path, status, 10, 20)
        return self.writer.offer(encode(event))

    def calls(self, count: int) -> int:
        """Make ``count`` calls; returns how many the ring took."""
        return sum(self.call() for _ in range(count))

    def ask_for_flush(self) -> None:
        self.ring.words[FLUSH_REQUESTED] = self.writer.tail
        self.ring.words[FLUSHES] += 1

    def is_settled(self) -> bool:
        return self.ring.words[FLUSHED_THROUGH] >= self.writer.tail

    def leave(self) -> None:
        """What the kernel does when the process ends: the lock goes."""
        os.close(self.ring.lock_fd)


@contextmanager
def collector() -> Iterator[Leadership]:
    """A leader for this test's runtime directory; ends in good order."""
    leadership = lead(runtime(), "thread", 1.0)
    assert leadership is not None
    try:
        yield leadership
        leadership.finish(5.0)
    except BaseException:
        leadership.give_back()
        raise


def turn_until(leadership: Leadership, condition: Any, timeout_s: float = PATIENCE_S, what: str = "it") -> None:
    """Turn the collector until ``condition()`` is true."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s for {what}"
        leadership.turn(time.monotonic())
        leadership.wake.wait(0.01)


def turn_times(leadership: Leadership, turns: int) -> None:
    """Turn the collector so often, however long that takes."""
    for _ in range(turns):
        leadership.turn(time.monotonic())
        leadership.wake.wait(0.01)


@contextmanager
def local_dir_in_the_way() -> Iterator[None]:
    """No file can be delivered to meanwhile."""
    folder = Path(os.environ["RECOST_LOCAL_DIR"])
    folder.rename(f"{folder}-away")
    folder.write_text("in the way")
    try:
        yield
    finally:
        folder.unlink()
        Path(f"{folder}-away").rename(folder)


def delivered(project: str = "shop") -> list[dict[str, Any]]:
    """The windows in the local file of ``project``, in order."""
    path = Path(os.environ["RECOST_LOCAL_DIR"]) / f"{project}.jsonl"
    if not path.exists():
        return []
    text = path.read_text("utf-8")
    assert not text or text.endswith("\n"), "the last line is not whole"
    return [json.loads(line) for line in text.splitlines()]


def total(project: str = "shop", of: str = "requestCount") -> int:
    """A sum over all metrics of all windows in the local file."""
    return sum(metric[of] for window in delivered(project) for metric in window["metrics"])


def spool_dir(leadership: Optional[Leadership] = None) -> Path:
    """Where the spool of this test's runtime directory is."""
    if leadership is not None:
        return Path(leadership.state_dir)
    name = (Path(runtime()) / "spool-id").read_text()
    return Path(os.environ["RECOST_STATE_DIR"]) / name


def kept(leadership: Optional[Leadership] = None) -> Kept:
    """What is committed, as a leader that begins now would find it."""
    with open_to_read(str(spool_dir(leadership))) as db:
        return Rows(db).read()


def counted(what: str, leadership: Optional[Leadership] = None) -> int:
    """Of rings and windows that are no more, as ``status`` tells it."""
    return kept(leadership).counters.get(f"count.{what}", 0)


def moved_aside(leadership: Leadership) -> list[Path]:
    """The spools that were corrupt."""
    return list(spool_dir(leadership).glob(f"{SPOOL_FILE}{ASIDE}*"))
