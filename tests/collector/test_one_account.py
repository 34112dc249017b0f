"""Told in every way, in any order, to collectors that are killed: ``metrics`` add up to what the calls cost."""

from __future__ import annotations

import random
from typing import Callable, NamedTuple

import pytest

from recost_collector.leading import Leadership
from tests.collector.collecting import Worker, collector, delivered, file_session
from tests.collector.llm_calls import cents, commit_all, flush_all, http, lead_and_be_killed, llm

WORKERS = 3
CALLS = 120
COLLECTORS = 6
Tell = Callable[[Worker], None]


class Provider(NamedTuple):
    name: str
    host: str
    estimate: float
    """Cents, by the rules."""


PROVIDERS = (Provider("openai", "api.openai.com", 2.0), Provider("anthropic", "api.anthropic.com", 1.0))


class Call(NamedTuple):
    """One call to a provider: what is told of it, in whichever order and by whomever, and what it cost."""

    told: tuple[Tell, ...]
    cents: float
    of_llm: float = 0.0
    """Of ``cents``, what is known of it as an LLM call."""
    is_tracked: bool = False
    """An estimate is taken off for it, now or later."""


def plain(provider: Provider, _cost: float) -> Call:
    return Call((lambda worker: http(worker, host=provider.host),), provider.estimate)


def patched(provider: Provider, cost: float) -> Call:
    def end(worker: Worker) -> None:
        llm(worker, cost, provider=provider.name, netloc=provider.host)

    return Call((_marked(provider), end), cost, cost)


def patched_unpriced(provider: Provider, _cost: float) -> Call:
    def end(worker: Worker) -> None:
        llm(worker, 0.0, provider=provider.name, netloc=provider.host, is_priced=False)

    return Call((_marked(provider), end), provider.estimate)


def patched_on_a_foreign_transport(provider: Provider, cost: float) -> Call:
    return Call((lambda worker: llm(worker, cost, provider=provider.name, by_hand=False),), cost, cost)


def tracked(provider: Provider, cost: float) -> Call:
    def track(worker: Worker) -> None:
        llm(worker, cost, provider=provider.name, tag="by hand")

    return Call((lambda worker: http(worker, host=provider.host), track), cost, cost, is_tracked=True)


def tracked_unpriced(provider: Provider, _cost: float) -> Call:
    def track(worker: Worker) -> None:
        llm(worker, 0.0, provider=provider.name, is_priced=False)

    return Call((lambda worker: http(worker, host=provider.host), track), provider.estimate)


KINDS = (plain, patched, patched_unpriced, patched_on_a_foreign_transport, tracked, tracked_unpriced)


class Told:
    """Workers of one session, and the sums of what they told."""

    def __init__(self, chance: random.Random) -> None:
        self.workers = [Worker(file_session()) for _ in range(WORKERS)]
        self.cents = self.of_llm = 0.0
        self.tracked = dict.fromkeys(PROVIDERS, 0)
        self._chance = chance
        self._late: list[Tell] = []

    def tell(self, kind: Callable[[Provider, float], Call], late: int) -> None:
        """One call, of which some is told later: with other calls, in another window, to another collector.

        Most often that is the part with the number ``late``: so calls are tracked of which no HTTP call is known yet.
        """
        provider = self._chance.choice(PROVIDERS)
        call = kind(provider, self._chance.randrange(20) / 4)
        self.cents += call.cents
        self.of_llm += call.of_llm
        self.tracked[provider] += call.is_tracked
        for number, tell in self._chance.sample([*enumerate(call.told)], len(call.told)):
            if self._chance.random() < (0.8 if number == late else 0.2):
                self._late.append(tell)
            else:
                tell(self._chance.choice(self.workers))

    def tell_late(self, share: float) -> None:
        self._chance.shuffle(self._late)
        for _ in range(round(len(self._late) * share)):
            self._late.pop()(self._chance.choice(self.workers))

    def use_credits(self) -> None:
        """As many plain calls as were tracked: after them no estimate is left to be taken off."""
        for provider, times in self.tracked.items():
            for _ in range(times):
                http(self.workers[0], host=provider.host)
                self.cents += provider.estimate


def _marked(provider: Provider) -> Tell:
    return lambda worker: http(worker, host=provider.host, is_llm=True)


def _act(told: Told, chance: random.Random) -> Callable[[Leadership], None]:
    """What a collector does before it is killed: some rounds, each a commit, or windows that close."""

    def act(leadership: Leadership) -> None:
        for do in rounds:
            do(*told.workers)(leadership)

    rounds = chance.choices((commit_all, flush_all), k=chance.randrange(1, 3))
    return act


@pytest.mark.parametrize("seed", range(4))
def test_the_sum_over_metrics_is_what_all_calls_cost(seed: int) -> None:
    chance = random.Random(seed)
    told = Told(chance)
    for _ in range(COLLECTORS):
        kinds, late = chance.sample(KINDS, 3), chance.randrange(2)
        for _ in range(CALLS // COLLECTORS):
            told.tell(chance.choice(kinds), late)
        told.tell_late(chance.random())
        lead_and_be_killed(_act(told, chance))
    told.tell_late(1.0)
    with collector():
        told.use_credits()
        for worker in told.workers:
            worker.leave()

    windows = delivered()
    assert len(windows) > 1
    assert cents() == told.cents
    assert sum(entry["costUsd"] for window in windows for entry in window.get("llmMetrics", [])) == pytest.approx(
        told.of_llm / 100
    )
    assert all(metric["estimatedCostCents"] >= 0 for window in windows for metric in window["metrics"])
