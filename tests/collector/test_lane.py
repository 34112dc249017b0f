"""The table of answers: what each does to the frames of a lane, and when the next attempt is made."""

from __future__ import annotations

import pytest

from recost.errors import RecostError, RecostRateLimitError
from tests.collector.lanes import JITTER, NETWORK, STEP_S, Driven, ids, ready

FAILURES = [NETWORK, 408, 409, 425, 500, 502, 503, 504, 599, 100]


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_a_frame_that_is_taken_leaves_the_spool(status) -> None:
    driven = ready()
    driven.window()
    frame = driven.attempt(status)
    assert driven.settled == [frame.id]
    assert driven.heard == []
    assert not driven.lane.frames
    assert (driven.lane.state.delivered, driven.lane.state.delivered_at_ms) == (1, driven.wall_ms)


def test_frames_go_out_in_order_and_one_at_a_time() -> None:
    driven = ready()
    frames = driven.windows(5)
    sent = []
    for _ in frames:
        sent.append(driven.send())
        assert driven.is_quiet(), "one is under way"
        driven.answer(200)
    assert sent == frames
    assert driven.is_quiet()


@pytest.mark.parametrize("status", FAILURES)
def test_a_failure_is_retried_with_growing_pauses_that_are_never_shorter_than_said(status) -> None:
    driven = ready(max_retries=7)
    first, second = driven.windows(2)
    driven.attempt(status)
    for pause_s in (1, 2, 4, 8, 10, 10, 10):
        assert driven.heard == []
        assert driven.settled == []
        assert pause_s <= driven.wait_for_attempt(status) <= pause_s * JITTER + STEP_S
    assert driven.settled == ids([first, second]), "put back: the retries are used up"
    assert driven.statuses() == [status if status != NETWORK else 0]


@pytest.mark.parametrize("status", [NETWORK, 503])
def test_a_frame_whose_retries_are_used_up_is_tried_for_ever_and_each_failure_is_told(status) -> None:
    driven = ready(max_retries=1)
    driven.window()
    driven.attempt(status)
    driven.wait_for_attempt(status)
    for pause_s in (30, 60, 120, 240, 300, 300, 300):
        assert pause_s <= driven.wait_for_attempt(status) <= pause_s * JITTER + STEP_S
    assert len(driven.errors()) == 8
    assert driven.settled == [1], "it settles once"


def test_without_retries_a_frame_goes_back_at_once() -> None:
    driven = ready(max_retries=0)
    driven.window()
    driven.attempt(503)
    assert driven.settled == [1]
    assert driven.statuses() == [503]
    assert driven.wait_for_attempt(200) >= 30


def test_what_was_put_back_is_delivered_first_and_its_worker_sees_that() -> None:
    driven = ready(max_retries=0)
    first, second = driven.windows(2)
    driven.attempt(503)
    third = driven.window()
    driven.wait_for_attempt(200)
    assert driven.attempt(200) is second
    assert driven.attempt(200) is third
    assert driven.settled == ids([first, second, third])


def test_a_delivery_ends_the_back_off() -> None:
    driven = ready(max_retries=2)
    driven.windows(2)
    driven.attempt(503)
    driven.wait_for_attempt(503)
    driven.wait_for_attempt(200)
    driven.attempt(503)  # the next frame goes out at once and has all its retries
    assert 1 <= driven.wait_for_attempt(503) <= JITTER + STEP_S
    assert 2 <= driven.wait_for_attempt(503) <= 2 * JITTER + STEP_S


@pytest.mark.parametrize("status", [401, 403, 429])
def test_any_answer_ends_the_count_of_failures(status) -> None:
    driven = ready(max_retries=1)
    driven.window()
    driven.attempt(NETWORK)
    driven.wait_for_attempt(status, 5.0)
    driven.wait_for_attempt(NETWORK)
    assert 1 <= driven.wait_for_attempt(200) <= JITTER + STEP_S


def test_a_failure_with_retry_after_is_not_retried_earlier_not_even_for_a_flush() -> None:
    driven = ready()
    driven.window()
    driven.attempt(503, 20.0)
    driven.flush()
    assert driven.settled == [1]
    assert 20 <= driven.wait_for_attempt(200) <= 20 + STEP_S
    assert driven.heard == [], "the retries were not used up"


def test_the_longer_of_back_off_and_retry_after_counts() -> None:
    driven = ready(max_retries=0)
    driven.window()
    driven.attempt(503, 2.0)
    assert driven.wait_for_attempt(200) >= 30


def test_429_lets_everything_wait_as_long_as_the_service_says() -> None:
    driven = ready()
    driven.windows(3)
    driven.attempt(429, 60.0)
    assert driven.settled == [1, 2, 3]
    assert [str(error) for error in driven.errors()] == [
        str(RecostRateLimitError(60000, "/projects/shop/telemetry")),
    ]
    assert 60 <= driven.wait_for_attempt(200) <= 60 + STEP_S
    driven.attempt(200)
    driven.attempt(200)


def test_each_429_is_told() -> None:
    driven = ready()
    driven.window()
    for _ in range(3):
        driven.wait_for_attempt(429, 2.0)
    assert driven.statuses() == [429, 429, 429]


def test_a_flush_within_a_retry_after_settles_and_sends_nothing() -> None:
    driven = ready()
    driven.window()
    driven.attempt(429, 60.0)
    driven.go(59.9)
    driven.window()
    driven.flush()
    assert driven.settled == [1, 2]
    assert driven.is_quiet()
    driven.go(0.1)
    assert driven.send() is not None


def test_a_worker_whose_window_meets_a_retry_after_hears_of_what_is_left_of_it() -> None:
    driven = ready()
    driven.window("early")
    driven.attempt(429, 60.0)
    driven.go(20)
    driven.window("late")
    (error,) = driven.errors("late")
    assert isinstance(error, RecostRateLimitError)
    assert error.retry_after_ms == 40000
    assert driven.last.once, "who has heard of it does not hear again"


def test_a_retry_after_outlives_the_collector() -> None:
    driven = ready()
    driven.window()
    driven.attempt(429, 60.0)
    later = Driven(state=driven.lane.state)
    later.init()
    later.window()
    assert 60 <= later.wait_for_attempt(200) <= 60 + STEP_S


@pytest.mark.parametrize("by_ms", [61_000, 24 * 3600 * 1000])
def test_a_clock_that_is_set_back_within_a_retry_after_does_not_stop_delivery(by_ms) -> None:
    driven = ready()
    driven.window()
    driven.attempt(429, 60.0)
    assert driven.send() is None
    driven.lane.state.keys["id of rc-first"].wait_until_ms += by_ms
    assert driven.send() is not None


def test_errors_are_complete_and_of_the_right_kind() -> None:
    driven = ready(max_retries=0)
    driven.window()
    driven.attempt(503)
    (error,) = driven.errors()
    assert type(error) is RecostError
    assert "api.example.com/projects/shop/telemetry answered 503 (x-request-id req-1)" in str(error)
