"""What a process takes over of the directory that a dead one had for itself."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from recost.ring.files import open_ring
from recost.ring.layout import BadRing, OtherLayout
from recost_collector import own_runtime
from tests.collector.collecting import Worker, file_session, runtime


def clear_where_rings_cannot_be_opened(monkeypatch: pytest.MonkeyPatch, exc: Exception) -> int:
    """How many of one ring with an unread call stay."""
    worker = Worker(file_session())
    worker.call()
    worker.leave()

    def refuse(_path: str) -> None:
        raise exc

    monkeypatch.setattr(own_runtime, open_ring.__name__, refuse)
    own_runtime._clear(runtime())
    return len(list(Path(runtime()).glob("ring-*")))


@pytest.mark.parametrize(
    "exc", [OSError(errno.EMFILE, "too many open files"), OSError(errno.ENOMEM, "no memory"), OtherLayout("layout 2")]
)
def test_a_ring_that_cannot_be_opened_now_stays(monkeypatch: pytest.MonkeyPatch, exc: Exception) -> None:
    assert clear_where_rings_cannot_be_opened(monkeypatch, exc) == 1


def test_what_is_no_ring_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert clear_where_rings_cannot_be_opened(monkeypatch, BadRing("no ring")) == 0
