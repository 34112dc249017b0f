"""Windows for a WebSocket listener: how long it is tried, and how much waits for it."""

from __future__ import annotations

import pytest

from recost.errors import RecostError
from recost.ring.notices import read_notices
from recost.session import Destination, Session
from recost_collector import pace
from recost_collector.pace import LISTENER
from tests.collector.collecting import Worker, collector, turn_until
from tests.collector.lanes import JITTER, NETWORK, STEP_S, Driven, ids
from tests.exporters.listener import Listener

URL = "ws://127.0.0.1:9847"
DAY_S = 24 * 3600


def given_up() -> Driven:
    driven = Driven(URL)
    driven.init()
    driven.window()
    for _ in range(LISTENER.gives_up_after):
        driven.wait_for_attempt(NETWORK)
    return driven


def test_a_listener_that_is_not_there_is_tried_ten_times_with_growing_pauses() -> None:
    driven = Driven(URL)
    driven.init()
    driven.window()
    driven.attempt(NETWORK)
    for pause_s in (1, 2, 4, 8, 16, 30, 30, 30, 30):
        assert driven.lane.will_try_again()
        assert pause_s <= driven.wait_for_attempt(NETWORK) <= pause_s * JITTER + STEP_S
    assert not driven.lane.will_try_again()
    driven.flush()
    driven.go(30 * DAY_S)
    assert driven.is_quiet()
    *failures, last = driven.errors()
    assert len(failures) == 6, "each failure once the three retries were used up"
    assert isinstance(last, RecostError)
    assert 'local_transport="file"' in str(last)


def test_a_window_for_a_listener_that_is_given_up_settles_at_once_and_its_worker_hears_why() -> None:
    driven = given_up()
    later = driven.window("another ring")
    assert later.id in driven.settled
    (error,) = driven.errors("another ring")
    assert "given up" in str(error)
    assert "given up" in driven.lane.standing.why_blocked(driven.wall_ms)


def test_an_init_starts_afresh_and_a_collector_that_takes_over_a_ring_is_none() -> None:
    driven = given_up()
    driven.init(is_init=False)
    assert driven.is_quiet()
    driven.init()
    driven.attempt(NETWORK)
    for _ in range(LISTENER.gives_up_after - 1):
        driven.wait_for_attempt(NETWORK)
    assert driven.is_quiet()
    driven.init()
    driven.attempt(200)


def test_an_answer_in_between_ends_the_count() -> None:
    driven = Driven(URL)
    driven.init()
    driven.windows(2)
    for _ in range(LISTENER.gives_up_after - 1):
        driven.wait_for_attempt(NETWORK)
    driven.wait_for_attempt(200)
    for _ in range(LISTENER.gives_up_after - 1):
        driven.wait_for_attempt(NETWORK)
    assert driven.lane.will_try_again()


def test_the_oldest_beyond_a_thousand_is_lost_but_not_the_one_that_is_under_way() -> None:
    driven = Driven(URL)
    driven.init()
    driven.windows(1000)
    assert driven.send() is not None
    driven.window()
    assert driven.lane.surplus() == []
    driven.windows(2)
    assert ids(driven.lane.surplus()) == [2, 3]


def test_beyond_the_bound_the_newest_windows_arrive_in_order_and_the_loss_is_told_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "LISTENER", LISTENER._replace(max_waiting=10))
    listener = Listener()
    listener.stop()
    session = Session(Destination(listener.url), max_buckets=1, normalize_paths=False)
    with collector() as leadership:
        worker = Worker(session)
        lanes = leadership.service.delivery.lanes
        for bound in (11, 16, 21):  # one bucket is all that a window has, so the next path closes it
            for number in range(bound - (11 if bound == 11 else 5), bound):
                assert worker.call(f"/v1/{number}")
            turn_until(leadership, lambda n=bound: [lane.state.dropped for lane in lanes.values()] == [n - 11])
        heard = [notice for notice in read_notices(worker.ring, 0).notices if notice.kind == "overflow"]
        with listener:
            listener.start()
            worker.ask_for_flush()
            turn_until(leadership, lambda: len(listener.messages) == 11, 20)
            worker.leave()
            worker.ring.close()
    arrived = [window["metrics"][0]["endpoint"] for window in listener.windows()]
    assert arrived == [f"/v1/{number}" for number in range(10, 21)]
    assert len(heard) == 1
