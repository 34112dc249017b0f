"""Functions under a tag, of every kind: plain ones, methods, coroutines and generators."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect

import pytest

from recost import feature_tag
from recost.tags import current_feature


def whats_set(*_args, **_kwargs):
    return current_feature()


async def whats_set_async(*_args, **_kwargs):
    await asyncio.sleep(0)
    return current_feature()


def kinds():
    def function(a: int, *, b: str = "x") -> str:
        """Doc."""
        return current_feature()

    async def coroutine(a: int, *, b: str = "x") -> str:
        """Doc."""
        return current_feature()

    def generator(a: int, *, b: str = "x"):
        """Doc."""
        yield current_feature()

    async def async_generator(a: int, *, b: str = "x"):
        """Doc."""
        yield current_feature()

    return [function, coroutine, generator, async_generator]


@pytest.mark.parametrize("original", kinds(), ids=lambda kind: kind.__name__)
def test_a_decorated_function_is_of_the_same_kind_name_and_signature(original):
    decorated = feature_tag("a")(original)

    for ask in (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction):
        assert ask(decorated) == ask(original)
    assert inspect.signature(decorated) == inspect.signature(original)
    assert (decorated.__name__, decorated.__doc__, decorated.__wrapped__) == (original.__name__, "Doc.", original)


def test_functions_and_coroutine_functions_run_under_the_tag():
    decorate = feature_tag("a")

    assert decorate(whats_set)(1, b="y") == "a"
    assert asyncio.run(decorate(whats_set_async)()) == "a"
    assert decorate(functools.partial(whats_set, 1))() == "a"
    assert asyncio.run(decorate(functools.partial(whats_set_async, 1))()) == "a"
    assert feature_tag("inner")(decorate(whats_set))() == "a"


def test_methods_of_every_kind_can_be_decorated():
    class Shop:
        @feature_tag("a")
        def method(self):
            return self, current_feature()

        @classmethod
        @feature_tag("b")
        def inside(cls):
            return cls, current_feature()

        @feature_tag("c")
        @classmethod
        def outside(cls):
            return cls, current_feature()

        @feature_tag("d")
        @staticmethod
        def static():
            return current_feature()

    shop = Shop()
    assert (shop.method(), Shop.inside(), shop.outside(), shop.static()) == ((shop, "a"), (Shop, "b"), (Shop, "c"), "d")


@pytest.mark.parametrize("given", [7, "text", int])
def test_what_is_no_function_cannot_be_decorated(given):
    with pytest.raises(TypeError, match=r"^feature_tag: want a function to decorate, got "):
        feature_tag("a")(given)


def test_a_recursive_function_has_its_tag_at_every_depth():
    @feature_tag("a")
    def depth(left):
        return [current_feature(), *(depth(left - 1) if left else [])]

    assert depth(50) == ["a"] * 51


def test_a_generator_has_its_tag_only_while_its_body_runs():
    """Also what it has entered itself stays its own: a tag inside a block around a ``yield`` does not reach us."""

    @feature_tag("a")
    def numbers():
        seen.append(current_feature())
        yield 1
        with feature_tag("b"):
            seen.append(current_feature())
            yield 2
            seen.append(current_feature())
        seen.append(current_feature())

    seen: list[str] = []
    with feature_tag("consumer"):
        for _ in numbers():
            seen.append(current_feature())  # noqa: PERF401 - the body appends, too, in between
    assert seen == ["a", "consumer", "b", "consumer", "b", "a"]


def test_a_generator_gets_what_is_sent_and_thrown_and_gives_its_result():
    @feature_tag("a")
    def body():
        got: list[object] = []
        while len(got) < 3:
            try:
                got.append((yield current_feature()))
            except KeyError as error:
                got.append(error.args[0])
        return got

    generator = body()
    assert (next(generator), generator.send(1), generator.throw(KeyError("k"))) == ("a", "a", "a")
    with pytest.raises(StopIteration) as end:
        generator.send(3)
    assert end.value.value == [1, "k", 3]

    def outer():
        return (yield from body())

    delegated = outer()
    for given in (None, 1, 2):
        delegated.send(given)
    with pytest.raises(StopIteration, match=r"\[1, 2, 3\]"):
        delegated.send(3)


@pytest.mark.parametrize("thrown", [ValueError("v"), KeyboardInterrupt(), GeneratorExit()])
def test_what_a_generator_does_not_catch_comes_back(thrown):
    @feature_tag("a")
    def body():
        try:
            yield
        finally:
            seen.append(current_feature())

    seen: list[str] = []
    generator = body()
    next(generator)
    with pytest.raises(type(thrown)) as caught:
        generator.throw(thrown)
    assert caught.value is thrown
    assert seen == ["a"]


def test_a_generator_that_is_closed_or_forgotten_ends_under_its_tag():
    @feature_tag("a")
    def body():
        try:
            yield
        finally:
            seen.append(current_feature())

    seen: list[str] = []
    closed, forgotten = body(), body()
    next(closed)
    closed.close()
    next(forgotten)
    del forgotten
    gc.collect()
    assert seen == ["a", "a"]


def test_a_generator_that_ignores_its_end_is_told_as_ever():
    @feature_tag("a")
    def stubborn():
        while True:
            try:
                yield
            except GeneratorExit:
                if len(seen) == 1:
                    return
                seen.append(current_feature())

    seen: list[str] = []
    generator = stubborn()
    next(generator)
    with pytest.raises(RuntimeError, match="generator ignored GeneratorExit"):
        generator.close()
    generator.close()
    assert seen == ["a"]


def test_an_async_generator_has_its_tag_only_while_its_body_runs():
    @feature_tag("a")
    async def numbers():
        seen.append(current_feature())
        await asyncio.sleep(0)
        seen.append(current_feature())
        yield 1
        async with feature_tag("b"):
            yield 2
            seen.append(current_feature())

    async def consume():
        async with feature_tag("consumer"):
            async for _ in numbers():
                seen.append(current_feature())  # noqa: PERF401 - the body appends, too, in between

    seen: list[str] = []
    asyncio.run(consume())
    assert seen == ["a", "a", "consumer", "consumer", "b"]


def test_an_async_generator_gets_what_is_sent_and_thrown_and_is_closed():
    @feature_tag("a")
    async def body():
        got: list[object] = []
        try:
            while True:
                try:
                    got.append((yield [*got, current_feature()]))
                except KeyError as error:
                    got.append(error.args[0])
        finally:
            await asyncio.sleep(0)
            seen.append(current_feature())

    async def drive():
        generator = body()
        await generator.asend(None)
        assert await generator.asend(1) == [1, "a"]
        assert await generator.athrow(KeyError("k")) == [1, "k", "a"]
        await generator.aclose()
        with pytest.raises(StopAsyncIteration):
            await generator.asend(2)
        failing = body()
        await failing.asend(None)
        with pytest.raises(ValueError, match="v"):
            await failing.athrow(ValueError("v"))

    seen: list[str] = []
    asyncio.run(drive())
    assert seen == ["a", "a"]


def test_an_async_generator_left_open_is_closed_by_the_loop_once_and_without_complaint():
    """The loop closes every generator it knows at its end, all at once: body and wrapper must not meet in it."""

    @feature_tag("a")
    async def body():
        try:
            yield 1
        finally:
            for _ in range(10):
                await asyncio.sleep(0)
            ended.append(current_feature())

    async def leave_open():
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
        generator = body()
        kept.append(generator)
        await generator.asend(None)

    ended: list[str] = []
    complaints: list[object] = []
    kept: list[object] = []
    asyncio.run(leave_open())
    assert (ended, complaints) == (["a"], [])
