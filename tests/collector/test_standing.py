"""401 and what comes of it: the count, the suspension, the probe, another key."""

from __future__ import annotations

import pytest

from recost.errors import RecostAuthError, RecostFatalAuthError
from recost_collector.changes import StoredFrame
from recost_collector.standing import MAX_KEYS
from tests.collector.lanes import INTERVAL_S, NETWORK, STEP_S, Driven, ready

DAY_S = 24 * 3600


def suspended(**settings: object) -> tuple[Driven, StoredFrame]:
    """A lane whose key was refused too often, and the window that it was refused for."""
    driven = ready(**settings)
    frame = driven.window()
    for _ in range(driven.session.max_consecutive_auth_failures):
        driven.wait_for_attempt(401)
    return driven, frame


def told(driven: Driven, ring: str = "ring") -> list[tuple[type[Exception], int]]:
    """The errors about the key, each with its count."""
    errors = [error for error in driven.errors(ring) if isinstance(error, RecostAuthError)]
    return [(type(error), error.consecutive_failures) for error in errors]


def test_after_a_401_the_window_is_tried_again_at_the_next_flush_interval() -> None:
    driven = ready()
    driven.windows(2)
    driven.attempt(401)
    assert driven.settled == []
    assert INTERVAL_S <= driven.wait_for_attempt(401) <= INTERVAL_S + STEP_S
    driven.wait_for_attempt(200)
    driven.attempt(200)
    assert told(driven) == [(RecostAuthError, 1), (RecostAuthError, 2)]


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_too_many_in_a_row_suspend_delivery_and_put_everything_back(limit) -> None:
    driven = ready(max_consecutive_auth_failures=limit)
    driven.windows(3)
    for _ in range(limit - 1):
        driven.wait_for_attempt(401)
        assert driven.settled == []
    driven.wait_for_attempt(401)
    assert driven.settled == [1, 2, 3]
    assert told(driven) == [
        *[(RecostAuthError, count) for count in range(1, limit + 1)],
        (RecostFatalAuthError, limit),
    ]
    driven.flush()
    driven.go(30 * DAY_S)
    assert driven.is_quiet()
    assert not driven.lane.will_try_again()


@pytest.mark.parametrize("status", [200, 422, 403, 429, 503, NETWORK])
def test_any_other_outcome_resets_the_count(status) -> None:
    driven = ready()
    driven.windows(2)
    for _ in range(4):
        driven.wait_for_attempt(401)
    driven.wait_for_attempt(status, 1.0 if status == 429 else None)
    for _ in range(4):
        driven.wait_for_attempt(401)
    assert driven.lane.standing.state.auth_failures == 4
    assert (RecostFatalAuthError, 5) not in told(driven)
    driven.wait_for_attempt(401)
    assert told(driven)[-1] == (RecostFatalAuthError, 5)


def test_a_flush_tries_at_once_and_its_failure_settles_what_it_waits_for() -> None:
    driven = ready()
    driven.windows(2)
    driven.attempt(401)
    driven.flush()
    driven.attempt(401)
    assert driven.settled == [1, 2]
    assert driven.lane.standing.state.auth_failures == 2


def test_a_window_that_meets_the_suspension_is_put_back_at_once_and_its_worker_hears_once() -> None:
    driven, _ = suspended()
    driven.window("new")
    assert driven.settled == [1, 2]
    assert told(driven, "new") == [(RecostFatalAuthError, 5)]
    assert driven.last.once
    assert driven.is_quiet()


def test_another_key_resumes_at_once_and_takes_the_waiting_windows_over() -> None:
    driven, frame = suspended()
    later = driven.window()
    driven.init("rc-second")
    assert driven.attempt(200) is frame
    assert driven.attempt(200) is later
    assert driven.lane.state.keys["id of rc-first"].suspended, "the old key still is"


def test_another_key_does_not_wait_for_the_flush_interval_either() -> None:
    driven = ready()
    driven.window()
    driven.attempt(401)
    driven.init("rc-second")
    assert driven.send() is not None


def test_another_key_is_not_bound_by_a_retry_after() -> None:
    driven = ready()
    driven.window()
    driven.attempt(429, 60.0)
    driven.init("rc-second")
    assert driven.send() is not None


def test_the_key_before_is_suspended_when_it_comes_back() -> None:
    driven, _ = suspended()
    driven.init("rc-second")
    driven.init("rc-first", is_init=False)
    assert driven.is_quiet()


@pytest.mark.parametrize("status", [401, 429])
def test_an_answer_to_a_key_that_was_replaced_meanwhile_is_not_the_new_keys(status) -> None:
    driven = ready(max_consecutive_auth_failures=1)
    frame = driven.window()
    assert driven.send() is frame
    driven.init("rc-second")
    driven.answer(status, 60.0)
    assert driven.settled == []
    assert driven.lane.standing.state.auth_failures == 0
    assert driven.attempt(200) is frame, "the new key is tried at once"
    assert driven.lane.state.keys["id of rc-first"].auth_failures == (1 if status == 401 else 0)


def test_an_init_with_the_same_key_permits_one_probe() -> None:
    driven, frame = suspended()
    driven.init()
    assert driven.is_quiet(), "the probe waits for a window of the worker that came"
    driven.window("new")
    assert driven.attempt(401) is frame
    assert driven.settled == [1, 2]
    assert told(driven, "new") == [(RecostAuthError, 6)]
    driven.window("new")
    driven.flush()
    driven.go(DAY_S)
    assert driven.is_quiet()
    assert [count for kind, count in told(driven) if kind is RecostFatalAuthError] == [5], "once"


def test_probes_are_a_minute_apart_however_many_workers_start() -> None:
    driven, _ = suspended()
    probes = []
    for _ in range(300):
        driven.init()
        driven.window("new")
        if driven.send() is not None:
            probes.append(driven.at_s)
            driven.answer(401)
        driven.go(1)
    assert len(probes) == 5
    assert all(60 <= after - before <= 61 for before, after in zip(probes, probes[1:]))


def test_an_init_within_that_minute_has_its_probe_after_it() -> None:
    driven, _ = suspended()
    driven.init()
    driven.window()
    driven.attempt(401)
    driven.go(10)
    driven.init()
    driven.go(49)
    driven.window()
    assert driven.is_quiet()
    driven.go(1)
    driven.window()
    assert driven.send() is not None


@pytest.mark.parametrize("status", [200, 503, 429, 422, NETWORK])
def test_any_other_answer_to_the_probe_ends_the_suspension(status) -> None:
    driven, _ = suspended()
    driven.init()
    driven.window()
    driven.attempt(status, 1.0 if status == 429 else None)
    assert not driven.lane.standing.state.suspended
    driven.wait_for_attempt(200)


def test_a_probe_does_not_wait_for_the_flush_interval() -> None:
    driven = ready(max_consecutive_auth_failures=2)
    driven.window()
    driven.attempt(401)
    driven.flush()
    driven.attempt(401)
    driven.init()
    driven.window()
    assert driven.send() is not None


def test_the_probe_that_one_key_may_have_is_not_another_keys() -> None:
    driven, _ = suspended(max_consecutive_auth_failures=1)
    driven.init("rc-second")
    driven.window()
    driven.attempt(401)
    driven.init("rc-first")
    driven.init("rc-second", is_init=False)
    driven.window()
    assert driven.is_quiet()


def test_the_outcome_of_one_key_does_not_use_up_the_probe_of_another() -> None:
    driven, frame = suspended(max_consecutive_auth_failures=1)
    driven.init("rc-second")
    assert driven.send() is frame
    driven.init("rc-first")
    driven.window()
    driven.answer(503)
    driven.wait_for_attempt(200)


def test_an_init_while_all_is_well_permits_nothing_later() -> None:
    driven, _ = suspended()
    driven.window()
    assert driven.is_quiet()


def test_a_suspension_outlives_the_collector_and_its_successor_is_no_init() -> None:
    driven, frame = suspended()
    later = Driven(state=driven.lane.state)
    later.lane.add(frame)
    later.init(is_init=False)
    later.window()
    later.go(DAY_S)
    assert later.is_quiet()
    later.init()
    later.window()
    assert later.attempt(200) is frame


def test_without_a_key_nothing_is_sent_until_somebody_brings_one() -> None:
    driven = Driven()
    frame = driven.window()
    assert driven.settled == [frame.id]
    assert driven.is_quiet()
    assert not driven.lane.will_try_again()
    driven.init()
    assert driven.attempt(200) is frame


def test_a_file_needs_no_key() -> None:
    driven = Driven("file:///tmp/shop.jsonl")
    driven.window()
    assert driven.lane.will_try_again()
    assert driven.send() is not None


def test_the_states_of_old_keys_are_bounded() -> None:
    driven = ready(max_consecutive_auth_failures=1)
    for number in range(100):
        driven.init(f"rc-{number}")
        driven.window()
        driven.wait_for_attempt(401)
        driven.init(f"rc-clean-{number}")
    assert len(driven.lane.state.keys) <= MAX_KEYS + 2


def test_a_probe_that_is_under_way_when_another_key_comes_does_not_suspend_that_one() -> None:
    driven, frame = suspended()
    driven.init()
    driven.window()
    assert driven.send() is frame
    driven.init("rc-second")
    driven.answer(401)
    assert driven.attempt(200) is frame
