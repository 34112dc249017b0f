"""What a flush asks for, who hears of what, and a long life of a lane at random."""

from __future__ import annotations

import random

import pytest

from recost.notice import Notice
from recost_collector.exporters import Retry
from tests.collector.lanes import JITTER, NETWORK, STEP_S, Driven, ids, ready


def test_a_flush_makes_one_attempt_at_once_whatever_the_back_off_says() -> None:
    driven = ready()
    driven.windows(2)
    driven.attempt(503)
    driven.flush()
    driven.attempt(503)
    assert driven.settled == [1, 2], "the first failed attempt is the answer for all"
    assert driven.is_quiet()


def test_the_failed_attempt_of_a_flush_leaves_the_schedule_as_it_is() -> None:
    driven = ready(max_retries=1)
    driven.window()
    driven.attempt(NETWORK)
    driven.wait_for_attempt(NETWORK)
    since_s = driven.at_s
    for _ in range(20):
        driven.go(1)
        driven.flush()
        driven.attempt(NETWORK)
    driven.wait_for_attempt(NETWORK)
    assert 30 <= driven.at_s - since_s <= 30 * JITTER + STEP_S
    assert 60 <= driven.wait_for_attempt(NETWORK) <= 60 * JITTER + STEP_S


def test_a_flush_goes_on_through_all_that_waits_while_it_succeeds() -> None:
    driven = ready(max_retries=0)
    frames = driven.windows(4)
    driven.attempt(503)
    driven.flush()
    assert [driven.attempt(200) for _ in frames] == frames


def test_what_comes_after_a_flush_does_not_settle_with_it() -> None:
    driven = ready()
    driven.windows(2)
    driven.flush()
    assert driven.send() is not None
    driven.window()
    driven.answer(503)
    assert driven.settled == [1, 2]


def test_a_flush_is_used_up_by_its_attempt() -> None:
    driven = ready()
    driven.window()
    driven.flush()
    driven.attempt(503)
    assert 1 <= driven.wait_for_attempt(503) <= JITTER + STEP_S, "the back-off counts again"


def test_a_flush_of_nothing_speeds_nothing_up() -> None:
    driven = ready()
    driven.flush()
    driven.window()
    driven.attempt(503)
    assert driven.is_quiet()


def test_a_file_that_cannot_be_written_is_told_at_once_and_tried_for_ever() -> None:
    driven = Driven("file:///tmp/shop.jsonl", max_retries=1)
    driven.init("")
    driven.window()
    full = Retry(Notice("file", "no space", errno=28, filename="/tmp/shop.jsonl"))
    for pause_s in (0, 1, 30, 60):
        since_s = driven.at_s
        while driven.send() is None:
            driven.go(STEP_S)
        assert driven.at_s - since_s >= pause_s
        verdict = driven.lane.conclude(full, driven.now, driven.wall_ms)
        assert (verdict.notices, verdict.once) == ((full.notice,), True)
        assert bool(verdict.settled) is (pause_s == 0), "it settles once"


def test_an_exporters_own_wish_is_heeded_also_without_a_service_behind_it() -> None:
    driven = Driven("file:///tmp/shop.jsonl")
    driven.init("")
    driven.window()
    assert driven.send() is not None
    driven.lane.conclude(Retry(Notice("file", "busy"), 5.0), driven.now, driven.wall_ms)
    driven.go(4.9)
    assert driven.is_quiet()
    driven.go(0.1)
    assert driven.send() is not None


def test_the_workers_of_the_window_and_of_those_put_back_with_it_hear_and_nobody_else() -> None:
    driven = ready(max_retries=0)
    driven.window("a", "b")
    driven.window("c")
    driven.attempt(422)
    assert [len(driven.errors(ring)) for ring in "abc"] == [1, 1, 0]
    driven.window("a")
    driven.attempt(503)
    assert [len(driven.errors(ring)) for ring in "abc"] == [2, 1, 1]


def test_a_dropped_frame_settles_and_is_gone() -> None:
    driven = ready()
    first, second = driven.windows(2)
    verdict = driven.lane.drop(first)
    assert (verdict.settled, verdict.gone, verdict.ok) == ((first,), first, False)
    assert driven.lane.state.dropped == 1
    assert driven.attempt(200) is second


def test_a_window_waits_until_it_is_delivered_or_parked() -> None:
    driven = ready(max_retries=0)
    driven.window(session="s")
    driven.window(session="other")
    driven.attempt(503)
    assert driven.lane.has_waiting("s"), "put back, it still waits"
    driven.wait_for_attempt(422)
    assert not driven.lane.has_waiting("s")
    driven.attempt(200)
    assert not driven.lane.has_waiting("other")


def test_frames_that_an_earlier_collector_had_put_back_settle_no_second_time() -> None:
    driven = ready(max_retries=0)
    frames = driven.windows(2)
    driven.attempt(503)
    later = Driven(state=driven.lane.state, max_retries=0)
    for frame in frames:
        later.lane.add(frame)
    later.init()
    later.attempt(503)
    assert later.settled == []
    assert len(later.errors()) == 1, "but the trouble is told"


@pytest.mark.parametrize("seed", range(25))
def test_whatever_happens_frames_go_in_order_settle_once_and_none_is_lost(seed) -> None:
    """A long random life; that nothing settles twice is watched by ``Driven``."""
    chance = random.Random(seed)
    driven = ready(max_retries=chance.choice([0, 1, 3]), max_consecutive_auth_failures=chance.choice([1, 3]))
    made: list[int] = []
    over: list[int] = []
    for _ in range(300):
        step = chance.randrange(6)
        if step == 0:
            made.append(driven.window(chance.choice("ab")).id)
        elif step == 1:
            driven.flush()
        elif step == 2:
            driven.init(chance.choice(["rc-first", "rc-second"]), is_init=chance.random() < 0.5)
        elif step == 3:
            driven.go(chance.choice([0.01, 1, 10, 60, 600]))
        else:
            over += attempt_at_random(chance, driven)
        lane = driven.lane
        assert sorted([*ids(lane.frames), *lane.parked, *over]) == made
        assert set(lane.unsettled) == {frame.id for frame in lane.frames if not frame.settled}
        assert ids(lane.frames) == sorted(ids(lane.frames))


def attempt_at_random(chance: random.Random, driven: Driven) -> list[int]:
    """Answer what goes out now, if anything does. Returns the frame's id when it was delivered."""
    is_blocked = driven.lane.standing.is_blocked(driven.wall_ms)
    frame = driven.send()
    if frame is None:
        return []
    assert not is_blocked
    assert frame is driven.lane.frames[0]
    status = chance.choice([200, 200, 401, 403, 404, 422, 429, 500, 503, NETWORK])
    driven.answer(status, chance.choice([None, 1.0, 30.0]))
    if status == 200 or frame.parked:
        assert frame.id in driven.settled, "its end settles it"
    return [frame.id] if status == 200 else []


def test_a_failure_that_a_flush_meets_while_a_refused_key_waits_is_the_first_of_its_kind() -> None:
    driven = ready(max_retries=0)
    driven.window()
    driven.attempt(401)
    driven.flush()
    driven.attempt(503)
    assert driven.statuses() == [401, 503]
