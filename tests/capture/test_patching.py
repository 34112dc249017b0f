"""Our wrappers among those of others, put on and taken away in any order; and how a wrapped function looks."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import aiohttp
import httpx
import pytest
import urllib3

from recost._capture import add_sink, remove_sink

ORIGINAL = httpx.Client.send


class Other:
    """Another tool that patches ``httpx.Client.send``, and remembers what it found, as they do."""

    def __init__(self, wrap):
        self.seen = 0
        self.found = vars(httpx.Client)["send"]
        self.patch = wrap(self, self.found)
        httpx.Client.send = self.patch  # type: ignore[method-assign]  # what such a tool does

    def undo(self):
        httpx.Client.send = self.found  # type: ignore[method-assign]  # what such a tool does


def openly(other, found):
    @functools.wraps(found)
    def patch(*args, **kwargs):
        other.seen += 1
        return found(*args, **kwargs)

    return patch


def silently(other, found):
    """Without a word of what is below."""

    def patch(self, request, **options):
        other.seen += 1
        return found(self, request, **options)

    return patch


def as_descriptor(other, found):
    """In wrapt's manner: an object that is told its instance only when it is looked up on one, or on the class."""

    class Bound:
        def __init__(self, instance):
            self.instance = instance

        def __call__(self, *args, **kwargs):
            instance, args = (args[0], args[1:]) if self.instance is None else (self.instance, args)
            assert isinstance(instance, httpx.Client)
            other.seen += 1
            return found.__get__(instance)(*args, **kwargs)

    class Descriptor:
        __wrapped__ = found

        def __get__(self, instance, owner=None):
            return Bound(instance)

        def __call__(self, *args, **kwargs):
            raise AssertionError("called without a look-up")

    return Descriptor()


every_kind = pytest.mark.parametrize("wrap", [openly, silently, as_descriptor])


@pytest.fixture
def seen():
    events: list[Any] = []
    yield events
    remove_sink(events.append)
    assert vars(httpx.Client)["send"] is ORIGINAL


@pytest.fixture
def get(origin):
    with httpx.Client() as client:
        yield lambda: client.get(f"{origin.url}/ok")


@every_kind
def test_a_patch_that_was_there_before_stays_and_works(wrap, seen, get):
    other = Other(wrap)
    add_sink(seen.append)
    get()
    assert (other.seen, len(seen)) == (1, 1)

    remove_sink(seen.append)
    assert vars(httpx.Client)["send"] is other.patch
    get()
    assert (other.seen, len(seen)) == (2, 1)
    other.undo()


@every_kind
def test_a_patch_that_came_after_stays_and_works(wrap, seen, get):
    add_sink(seen.append)
    other = Other(wrap)
    get()
    assert (other.seen, len(seen)) == (1, 1)

    remove_sink(seen.append)
    assert vars(httpx.Client)["send"] is other.patch
    get()
    assert (other.seen, len(seen)) == (2, 1)
    other.undo()
    get()
    assert (other.seen, len(seen)) == (2, 1)
    add_sink(seen.append)  # takes what the other put back, our wrapper, away at the end
    remove_sink(seen.append)


@every_kind
def test_installing_again_under_another_patch_counts_once(wrap, seen, get):
    add_sink(seen.append)
    other = Other(wrap)
    for _ in range(3):
        remove_sink(seen.append)
        get()
        add_sink(seen.append)

    seen.clear()
    get()

    assert len(seen) == 1
    remove_sink(seen.append)
    other.undo()
    add_sink(seen.append)


@every_kind
def test_a_second_sink_under_another_patch_counts_once_each(wrap, seen, get):
    add_sink(seen.append)
    other = Other(wrap)
    more: list[Any] = []
    add_sink(more.append)

    get()

    assert (len(seen), len(more)) == (1, 1)
    other.undo()
    remove_sink(more.append)


@every_kind
def test_a_patch_that_goes_while_ours_is_on_top_takes_ours_with_it_until_the_next_install(wrap, seen, get):
    """Who patched first and puts the original back cannot know of us; nothing breaks, and we can come back."""
    other = Other(wrap)
    add_sink(seen.append)
    other.undo()
    get()
    assert (other.seen, len(seen)) == (0, 0)

    remove_sink(seen.append)
    add_sink(seen.append)
    get()

    assert len(seen) == 1


def test_a_bound_method_that_someone_holds_counts_again_after_the_next_install(origin, seen):
    add_sink(seen.append)
    with httpx.Client() as client:
        send, request = client.send, client.build_request("GET", f"{origin.url}/ok")
        remove_sink(seen.append)
        send(request)
        assert seen == []

        add_sink(seen.append)
        send(request)

    assert len(seen) == 1


def test_everything_is_as_before_when_the_last_sink_went(seen):
    functions = [vars(httpx.Client)["send"], vars(httpx.AsyncClient)["send"]]
    functions += [vars(urllib3.HTTPConnectionPool)["urlopen"], vars(aiohttp.ClientSession)["_request"]]
    add_sink(seen.append)
    add_sink(print)
    remove_sink(print)
    assert vars(httpx.Client)["send"] is not functions[0]

    remove_sink(seen.append)

    assert functions == [
        vars(httpx.Client)["send"],
        vars(httpx.AsyncClient)["send"],
        vars(urllib3.HTTPConnectionPool)["urlopen"],
        vars(aiohttp.ClientSession)["_request"],
    ]


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (httpx.Client, "send"),
        (httpx.AsyncClient, "send"),
        (urllib3.HTTPConnectionPool, "urlopen"),
        (aiohttp.ClientSession, "_request"),
    ],
)
def test_a_wrapped_function_looks_like_the_original(owner, name, seen):
    original = vars(owner)[name]
    add_sink(seen.append)
    wrapper = vars(owner)[name]

    assert wrapper is not original
    assert wrapper.__wrapped__ is original
    assert inspect.signature(wrapper) == inspect.signature(original)
    assert inspect.iscoroutinefunction(wrapper) == inspect.iscoroutinefunction(original)
    assert inspect.getsource(wrapper) == inspect.getsource(original)
    for attribute in ("__name__", "__qualname__", "__module__", "__doc__"):
        assert getattr(wrapper, attribute) == getattr(original, attribute)
