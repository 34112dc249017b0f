"""How everything here is measured: variants in turn, many short repetitions, medians.

A machine that does other things as well slows whatever happens to run, so what is compared runs alternately and in
small pieces, and the median passes over the pieces that were hit.  CPU time where cost is meant, wall time where
somebody waits.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from typing import NamedTuple, Optional, TypeVar

Sample = TypeVar("Sample")

NS_PER_US = 1000


class Effort(NamedTuple):
    """How much of the full measurement is done. Less is faster and noisier."""

    share: float = 1.0
    others: bool = True
    """Whether other products are measured, too, and installed for it."""

    def times(self, full: int, least: int = 1) -> int:
        return max(least, round(full * self.share))

    def seconds(self, full_s: float) -> float:
        return full_s * self.share


def interleaved(
    variants: Mapping[str, Callable[[], Sample]], repetitions: int, limit_s: float = math.inf
) -> dict[str, list[Sample]]:
    """What each variant returned, in order of repetitions. Each repetition runs all, in an order of its own: what a
    variant leaves in the caches must not always meet the same next one.

    Where the machine is too busy for so many, none is begun after ``limit_s``.
    """
    names = list(variants)
    order = random.Random(0)
    found: dict[str, list[Sample]] = {name: [] for name in names}
    give_up_at = time.monotonic() + limit_s
    for _ in range(repetitions):
        for name in order.sample(names, len(names)):
            found[name].append(variants[name]())
        if time.monotonic() > give_up_at:
            break
    return found


def cpu_us(step: Callable[[], object], times: int) -> float:
    """CPU of this thread for one ``step()``, of ``times`` in a row."""
    started_ns = time.thread_time_ns()
    for _ in repeat(None, times):
        step()
    return (time.thread_time_ns() - started_ns) / times / NS_PER_US


def wall_us(step: Callable[[], object]) -> float:
    """How long one ``step()`` takes."""
    started_ns = time.perf_counter_ns()
    step()
    return (time.perf_counter_ns() - started_ns) / NS_PER_US


def median(samples: Sequence[float]) -> float:
    return _at_rank(samples, 0.5)


def quartiles(samples: Sequence[float]) -> tuple[float, float]:
    """Between them lies the middle half."""
    return _at_rank(samples, 0.25), _at_rank(samples, 0.75)


def percentile(samples: Sequence[float], share: float) -> Optional[float]:
    """Nearest rank. None of so few samples that it would only be their maximum."""
    return _at_rank(samples, share) if len(samples) * (1 - share) > 1 else None


def _at_rank(samples: Sequence[float], share: float) -> float:
    return sorted(samples)[math.ceil(len(samples) * share) - 1]
