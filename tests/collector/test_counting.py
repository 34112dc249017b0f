"""Calls are added up before they are counted: what comes out is what counting one after the other gives."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Optional

import pytest

from recost.classify import Classifier
from recost.event import MAX_BYTES, UNDECODABLE, CallEvent, LlmEvent, decode, encode
from recost.llm.aliases import canonical
from recost.ring.files import create_ring, open_ring
from recost.ring.layout import seed_of
from recost.ring.reader import Cursor
from recost.ring.sentinel import new_sentinel
from recost.ring.writer import Writer
from recost.session import Destination, ProviderDef, Registration, Session
from recost.session import encode as encode_session
from recost.windows import Window
from recost.wire import to_frames
from recost_collector.aggregate import Aggregation
from recost_collector.changes import Changes, Part, StoredFrame
from recost_collector.counts import TRACKED
from recost_collector.credits import Credits
from recost_collector.llm_log import to_line
from recost_collector.open_window import OpenWindow
from recost_collector.source import Source

NOW_NS = 1_795_255_200_000_000_000
CAPACITY = 1 << 20
DRAIN_BYTES = 8 << 10
HOSTS = ("api.openai.com", "api.anthropic.com", "api.twilio.com", "crm.internal.example:8443", "API.acme.test")
PATHS = ("/v1/chat/completions", "/v1/messages", "/2010/Accounts/7/Messages.json", "/orders/{}", "/things/{}/of/{}")
RULE = ProviderDef("api.acme.test", "acme", cost_per_request_cents=0.7)
NAMES = ("openai", "anthropic", "acme")


class OneByOne:
    """The open window of a session, with each event counted when it comes."""

    def __init__(self, session: Session) -> None:
        self.frames: list[bytes] = []
        self.undecodable = 0
        self._session = session
        self._classify = Classifier(session.custom_providers, normalize_paths=session.normalize_paths).classify
        self._credits = Credits()
        self._committed, self._delta = Window(session.max_buckets), Window(session.max_buckets)
        self._lines: list[bytes] = []

    def take(self, payload: bytes) -> None:
        try:
            event = decode(payload)
        except UNDECODABLE:
            event = None
        if event is None or len(payload) > MAX_BYTES:
            self.undecodable += 1
        elif isinstance(event, LlmEvent):
            self._take_llm(event)
        else:
            self._take_call(event)

    def commit(self) -> None:
        self._committed.merge(self._delta)
        self._delta = Window(self._session.max_buckets)

    def close(self) -> None:
        self.commit()
        if self._committed.count:
            began = min(self._committed.started_at_ns, NOW_NS)
            summary = self._committed.summary("p", "development", "1", start_ns=began, end_ns=NOW_NS)
            self.frames += to_frames(summary, self._session.max_buckets)
            self.frames += [b"\n".join(self._lines)] if self._lines else []
        self._committed, self._lines = Window(self._session.max_buckets), []

    def _make_room(self, key: tuple[str, str, str]) -> None:
        if self._delta.would_overflow(key, self._session.max_buckets, self._committed):
            self.close()

    def _take_call(self, event: CallEvent) -> None:
        key, cost = self._classify(event.netloc, event.path, event.method)
        self._make_room(key)
        if cost and (event.is_llm or self._credits.take(canonical(key[0]), event.at_ns + event.duration_ns)):
            cost = 0
        self._delta.add(key, event, cost)

    def _take_llm(self, event: LlmEvent) -> None:
        key, cost = (event.provider, event.model, TRACKED), max(0, event.cost_pico_usd)
        if event.netloc:
            key, estimate = self._classify(event.netloc, event.path, event.method)
            cost = cost if event.is_priced else estimate
        self._make_room(key)
        self._delta.add_llm(self._delta.open_llm(key, event), event, cost)
        if self._session.llm_log is not None:
            self._lines.append(to_line(event, "development"))
        if event.by_hand and event.is_priced and not self._take_estimate(event):
            self._credits.add(event.provider, event.at_ns + event.duration_ns)

    def _take_estimate(self, event: LlmEvent) -> bool:
        new = self._delta.estimated()
        keys = [*(key for key in self._committed.estimated() if key not in new), *new]
        of_provider = (key for key in reversed(keys) if canonical(key[0]) == event.provider)
        return any(self._delta.take_estimate(key, event.tag, self._committed) for key in of_provider)


class Collecting:
    """A ring, and the collector's way from it to closed windows."""

    def __init__(self, directory: Path, session: Session) -> None:
        ring = create_ring(str(directory), encode_session(Registration(session)), CAPACITY)
        self._ring = ring
        self._writer = Writer(ring.words, ring.data, seed_of(ring.header.ring_id), new_sentinel())
        self.source = Source(open_ring(ring.path), Registration(session), Cursor())
        self.frames: list[bytes] = []
        self.parts: list[Part] = []
        self.aggregation = Aggregation({}, iter(range(1 << 30)).__next__, self._closed)
        self.aggregation.meet(self.source, Changes())

    def take(self, payloads: list[bytes]) -> None:
        for payload in payloads:
            assert self._writer.offer(payload)
        while self.source.is_waiting:
            start = self.source.reader.cursor.position
            drained = self.source.drain(DRAIN_BYTES)
            assert drained
            self.aggregation.add(self.source, start, drained, 0.0, NOW_NS)
        self.source.reader.release(self.source.reader.cursor.position)

    def commit(self) -> None:
        self.aggregation.gather(Changes())
        self.aggregation.committed()

    def close(self) -> None:
        self.aggregation.close_all(NOW_NS)

    def leave(self) -> None:
        self.source.file.close()
        self._ring.close()

    def _closed(self, _window: OpenWindow, frames: list[StoredFrame]) -> None:
        self.frames += [frame.body for frame in frames]
        self.parts += frames[0].parts


Some = Callable[[random.Random], bytes]


def a_call(rng: random.Random) -> bytes:
    path = rng.choice(PATHS).format(rng.choice(("a", "b", "77")), rng.choice("xyz"))
    duration = rng.choice((rng.randrange(10**9), rng.randrange(10**9), 0, 1, 2**64 - 1, -5))
    at_ns = NOW_NS - rng.randrange(10**9)
    sizes = rng.randrange(5000), rng.randrange(90_000)
    host, method = rng.choice(HOSTS), rng.choice(("GET", "POST"))
    tag = rng.choice(("", "", "checkout", "/route", "x" * 150))
    status = rng.choice((200, 204, 399, 400, 503, 0, -1))
    return encode(CallEvent(at_ns, duration, method, "https", host, path, status, *sizes, tag, rng.random() < 0.3))


def an_llm_call(rng: random.Random) -> bytes:
    at_ns, duration = NOW_NS - rng.randrange(10**9), rng.randrange(10**9)
    where = rng.choice((("POST", HOSTS[0], PATHS[0]), ("POST", HOSTS[1], PATHS[1]), ("", "", "")))
    event = LlmEvent(at_ns, duration, rng.choice(NAMES), rng.choice(("gpt-4o", "opus")), rng.randrange(99), 5, 3, 10**9)
    event.tag = rng.choice(("", "search"))
    event.method, event.netloc, event.path = where
    event.is_priced = rng.random() < 0.8
    event.by_hand = not event.netloc and rng.random() < 0.5
    event.first_token_ns = rng.choice((-1, 1000))
    return encode(event)


def of_many_models(rng: random.Random) -> bytes:
    model, tag = f"model-{rng.randrange(90)}", rng.choice(("", f"feature-{rng.randrange(250)}"))
    event = LlmEvent(NOW_NS, rng.randrange(10**9), rng.choice(NAMES), model, 40, 5, 3, 10**9, tag=tag)
    event.method, event.netloc, event.path = "POST", HOSTS[0], PATHS[0]
    event.is_priced, event.error = rng.random() < 0.8, rng.random() < 0.1
    return encode(event)


def of_many_endpoints(rng: random.Random) -> bytes:
    return encode(CallEvent(NOW_NS, rng.randrange(10**9), "GET", "https", "a.test", f"/{rng.choice(WORDS)}", 200, 1, 2))


def of_endless_paths(rng: random.Random) -> bytes:
    return encode(CallEvent(NOW_NS, 5, "GET", "https", HOSTS[3], f"/customers/{rng.randrange(10**12)}", 200, 1, 2))


def no_event(rng: random.Random) -> bytes:
    """What is none, and what could pass for one if records were not taken one by one."""
    call = a_call(rng)
    large = encode(CallEvent(NOW_NS, 5, "GET", "https", "h", "/" * (MAX_BYTES + 1), 200, 1, 2))
    odd = (b"", b"\x92\x07\x01", b"\x91" * 5000, rng.randbytes(20))
    return rng.choice((call[:-3], call[-3:], call + call, large, *odd))


WORDS = [first + second for first in "abcdefghijklmnop" for second in "abcdefghijklmnop"]
MIXES: dict[str, tuple[Some, ...]] = {
    "calls": (a_call,),
    "calls and LLM calls": (a_call, a_call, a_call, an_llm_call),
    "many models": (of_many_models, of_many_models, an_llm_call, a_call),
    "too many endpoints": (of_many_endpoints, a_call, an_llm_call),
    "endless paths": (of_endless_paths, of_endless_paths, a_call),
    "hostile": (a_call, a_call, an_llm_call, of_many_endpoints, no_event),
}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("mix", MIXES)
def test_windows_are_those_of_counting_one_event_after_the_other(tmp_path: Path, mix: str, seed: int) -> None:
    rng = random.Random(f"{mix} {seed}")
    log: Optional[Destination] = Destination("file:///l.jsonl") if rng.random() < 0.5 else None
    place = Destination("file:///p.jsonl", "p")
    session = Session(place, sdk_version="1", max_buckets=60, custom_providers=(RULE,), llm_log=log)
    collecting, expected = Collecting(tmp_path, session), OneByOne(session)
    for _ in range(40):
        payloads = [rng.choice(MIXES[mix])(rng) for _ in range(rng.choice((1, 3, 20, 90)))]
        collecting.take(payloads)
        for payload in payloads:
            expected.take(payload)
        step = rng.choice(("", "", "commit", "close"))
        if step:
            getattr(collecting, step)()
            getattr(expected, step)()
    collecting.close()
    expected.close()
    collecting.leave()

    assert collecting.frames == expected.frames
    assert collecting.source.undecodable == expected.undecodable
    if not expected.undecodable:
        ends = [part.position for part in collecting.parts]
        assert [part.start for part in collecting.parts] == [0, *ends[:-1]]
        assert ends[-1] == collecting.source.reader.cursor.position
