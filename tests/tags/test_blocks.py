"""Blocks under a tag: which of them is in force where a call is made, whoever runs them."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import recost
from recost import feature_tag
from recost.event import MAX_TAG
from recost.tags import current_feature


def test_it_is_exported():
    assert recost.feature_tag is feature_tag
    assert "feature_tag" in recost.__all__


def test_the_innermost_block_counts_and_an_empty_one_ends_the_outer():
    seen = []
    with feature_tag("outer"):
        seen.append(current_feature())
        with feature_tag("inner"), feature_tag(""):
            seen.append(current_feature())
        seen.append(current_feature())
    assert seen == ["outer", "", "outer"]


def test_a_block_that_raises_ends_its_tag_and_hides_nothing():
    with pytest.raises(KeyError, match="gone"), feature_tag("a"):
        raise KeyError("gone")
    assert current_feature() == ""


@pytest.mark.parametrize("given", [None, 7, b"checkout", ["checkout"]])
def test_a_tag_that_is_no_string_is_a_type_error_that_says_what_is_wanted(given):
    with pytest.raises(TypeError, match=f"^feature_tag: want a string such as 'checkout', got {type(given).__name__}$"):
        feature_tag(given)


@pytest.mark.parametrize(
    ("given", "tag"),
    [("  checkout\n", "checkout"), ("x" * 1000, "x" * MAX_TAG), ("a\ud800b", "a?b"), ("café ✓", "café ✓"), ("  ", "")],
)
def test_a_tag_is_cut_and_possible_to_encode(given, tag):
    with feature_tag(given):
        assert current_feature() == tag


def test_one_instance_may_be_entered_again():
    tag = feature_tag("a")
    with tag:
        with tag, feature_tag("b"), tag:
            assert current_feature() == "a"
        assert current_feature() == "a"
    assert current_feature() == ""


def test_one_instance_serves_many_threads_at_once():
    """With state of its own, one thread would end another's tag."""
    tag, meet = feature_tag("a"), threading.Barrier(4)

    def work(_number):
        seen = set()
        for _ in range(50):
            meet.wait(60)
            with tag:
                meet.wait(60)
                seen.add(current_feature())
            seen.add(f"after {current_feature()}")
        return seen

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [{"a", "after "}] * 4


def test_a_thread_begins_without_the_tag_of_the_one_that_started_it():
    with feature_tag("a"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(current_feature).result() == ""


def test_three_concurrent_coroutines_keep_three_tags_apart():
    async def work(name):
        seen = set()
        async with feature_tag(name):
            for _ in range(20):
                await asyncio.sleep(0)
                seen.add(current_feature())
        seen.add(current_feature())
        return seen

    async def together():
        return await asyncio.gather(*[work(name) for name in "abc"])

    assert asyncio.run(together()) == [{"a", ""}, {"b", ""}, {"c", ""}]


def test_a_task_has_the_tag_of_where_it_was_made_also_after_the_block():
    async def late(go):
        await go.wait()
        return current_feature()

    async def main():
        go = asyncio.Event()
        async with feature_tag("a"):
            task = asyncio.create_task(late(go))
        go.set()
        return await task, current_feature()

    assert asyncio.run(main()) == ("a", "")


def test_blocks_that_end_in_the_order_of_their_beginnings_leave_nothing():
    """Two undecorated generators that take turns: resetting tokens would leave the second one's tag, or the first's."""

    def hold(name):
        with feature_tag(name):
            yield

    for order in itertools.permutations("abc"):
        held = {name: hold(name) for name in "abc"}
        for generator in held.values():
            next(generator)
        for name in order:
            held[name].close()
            assert name != current_feature()
        assert current_feature() == ""


def test_a_block_may_end_in_another_context_than_it_began_in():
    """Frameworks run the two halves of a generator in threads of a pool, each in a copy of the context."""
    tag = feature_tag("a")
    one, other = contextvars.copy_context(), contextvars.copy_context()
    one.run(tag.__enter__)
    with feature_tag("b"):
        inside = contextvars.copy_context()
        other.run(tag.__exit__, None, None, None)
        tag.__exit__(None, None, None)
        assert current_feature() == "b"
    assert one.run(current_feature) == "a"
    inside.run(tag.__exit__, None, None, None)
    assert inside.run(current_feature) == "b"
