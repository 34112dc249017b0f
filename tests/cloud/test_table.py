"""Every row of the table of answers as two workers of one window see it: one's ``on_error``, the other's log."""

from __future__ import annotations

from typing import NamedTuple, Union

from examples.standins import CloudStandIn, Scripted
from tests.cloud.worker import Worker, worker
from tests.harness import wait_until
from tests.processes.support import Api

NETWORK = 0


class Row(NamedTuple):
    """What the service answers, and what each worker is told; of the log only what the line must have in it."""

    answers: tuple[Union[int, Scripted], ...]
    kinds: tuple[str, ...]
    logged: tuple[str, ...]


TABLE = [
    Row((202,), (), ()),
    Row((401,), ("RecostAuthError",), ("api_key",)),
    Row((Scripted(429, "1"),), ("RecostRateLimitError",), ("1",)),
    Row((307,), ("RecostError",), ("base_url",)),
    Row((403,), ("RecostError",), ("project",)),
    Row((404,), ("RecostError",), ("project",)),
    Row((413,), ("RecostError",), ("payload",)),
    Row((422,), ("RecostError",), ("payload",)),
    *(Row((status,), ("RecostError",), (f"{status}",)) for status in (408, 409, 425, 500, 503)),
    Row((NETWORK,), ("RecostError",), ("no delivery to 127.0.0.1",)),
    Row((401, 401), ("RecostAuthError", "RecostAuthError", "RecostFatalAuthError"), ("api_key", "suspended")),
]


def test_each_row_is_told_to_on_error_and_in_one_line_of_the_log(cloud: CloudStandIn, api: Api) -> None:
    with worker(cloud, api, max_consecutive_auth_failures=2) as hearing:
        with worker(cloud, api, hears=False, max_consecutive_auth_failures=2) as logging:
            for row in TABLE:
                before = len(hearing.heard())
                outcomes = _tried(cloud, row, hearing, logging)
                assert outcomes == ["error" if row.kinds else "ok"] * len(row.answers), row
                after = before + len(row.kinds)
                wait_until(lambda n=after: len(hearing.heard()) >= n, what=f"{row}")
                assert tuple(kind for kind, _ in hearing.heard()[before:]) == row.kinds, row
                if row.answers == (NETWORK,):
                    cloud.start()
                if row is not TABLE[-1]:  # after which nothing is sent any more
                    wait_until(lambda: _window_of_both(hearing, logging) == "ok", what=f"the end of {row}")
            said = logging.end().splitlines()
    expected = [words for row in TABLE for words in row.logged]
    assert len(said) == len(expected), said
    assert not [(words, line) for words, line in zip(expected, said) if words not in line]


def _tried(cloud: CloudStandIn, row: Row, hearing: Worker, logging: Worker) -> list[str]:
    """How a window of both workers went for each of the row's answers."""
    if row.answers == (NETWORK,):
        cloud.stop()
    else:
        cloud.answers.extend(row.answers)
    return [_window_of_both(logging, hearing) for _ in row.answers]


def _window_of_both(other: Worker, flushing: Worker) -> str:
    """Whoever flushes hears at once, the other within a second."""
    other.call()
    return flushing.window()
