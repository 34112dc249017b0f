"""Answers that refuse a frame: it is parked, the next ones go on, and what may be mended is tried again."""

from __future__ import annotations

import pytest

from tests.collector.lanes import INTERVAL_S, STEP_S, Driven, ready

PARKED_AT_ONCE = [300, 301, 302, 307, 308, 400, 402, 405, 410, 413, 418, 422, 451, 499]


@pytest.mark.parametrize("status", PARKED_AT_ONCE)
def test_a_frame_that_is_refused_is_parked_and_the_next_ones_go_on(status) -> None:
    driven = ready()
    first, second = driven.windows(2)
    driven.attempt(status)
    assert driven.statuses() == [status]
    assert list(driven.lane.parked) == [first.id]
    assert (first.parked, first.status, first.tries) == (True, status, 1)
    assert driven.settled == [first.id]
    assert driven.attempt(200) is second
    driven.go(100000)
    assert driven.is_quiet(), "a parked frame is not tried again"


def test_the_error_of_a_refusal_says_what_to_do() -> None:
    driven = ready()
    driven.windows(3)
    driven.attempt(302)
    driven.attempt(422)
    driven.wait_for_attempt(404)
    redirect, payload, missing = map(str, driven.errors())
    assert "base_url" in redirect
    assert "payload" in payload
    assert "project_id" in missing
    assert "api_key" in missing


def test_a_flush_is_not_answered_by_the_refusal_of_another_frame() -> None:
    driven = ready()
    first, second = driven.windows(2)
    driven.flush()
    driven.attempt(422)
    assert driven.settled == [first.id]
    driven.attempt(503)
    assert driven.settled == [first.id, second.id]


@pytest.mark.parametrize("status", [403, 404])
def test_403_and_404_are_tried_three_times_a_flush_interval_apart(status) -> None:
    driven = ready()
    first, second = driven.windows(2)
    driven.attempt(status)
    assert INTERVAL_S <= driven.wait_for_attempt(status) <= INTERVAL_S + STEP_S
    assert (first.tries, driven.settled) == (2, [])
    assert INTERVAL_S <= driven.wait_for_attempt(status) <= INTERVAL_S + STEP_S
    assert first.parked
    assert driven.settled == [first.id]
    assert driven.statuses() == [status] * 3
    assert driven.attempt(200) is second


def test_the_tries_of_flushes_in_between_do_not_park_a_frame() -> None:
    driven = ready()
    frame = driven.window()
    driven.attempt(403)
    for _ in range(10):
        driven.go(1)
        driven.flush()
        driven.attempt(403)
    assert (frame.tries, frame.parked) == (1, False)
    assert INTERVAL_S - 10 <= driven.wait_for_attempt(403) <= INTERVAL_S - 10 + STEP_S
    assert frame.tries == 2


def park(driven: Driven, status: int = 404) -> None:
    driven.window()
    while driven.lane.frames:
        driven.wait_for_attempt(status)


def test_a_frame_parked_for_403_or_404_is_tried_once_more_at_the_next_init() -> None:
    driven = ready()
    park(driven, 403)
    park(driven, 422)
    driven.init()
    driven.attempt(403)
    assert driven.is_quiet()
    assert list(driven.lane.parked) == [2, 1]


def test_it_goes_out_before_those_that_came_later() -> None:
    driven = ready()
    park(driven)
    later = driven.window()
    driven.init()
    assert driven.attempt(200).id == 1
    assert driven.attempt(200) is later


def test_forty_workers_that_start_are_two_tries_of_a_parked_frame() -> None:
    driven = ready()
    park(driven)
    for _ in range(40):
        driven.init()
        driven.go(0.1)
    driven.attempt(404)
    assert 60 - 4 <= driven.wait_for_attempt(404) <= 60
    driven.go(1000)
    assert driven.is_quiet()


def test_a_collector_that_takes_over_is_no_init() -> None:
    driven = ready()
    park(driven)
    driven.go(1000)
    driven.init(is_init=False)
    assert driven.is_quiet()
