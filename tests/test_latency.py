"""The latency sketch: exact while it can be, within its error bound when it cannot, never large."""

from __future__ import annotations

import math
import random

import pytest

from recost.latency import EXACT_LIMIT, INDEX_MAX, Latencies

RELATIVE_ERROR = 0.011
PERCENTS = (1, 25, 50, 75, 90, 95, 99, 100)
U64_MAX = (1 << 64) - 1


def sketch_of(samples):
    made = Latencies()
    for each in samples:
        made.add(each)
    return made


def nearest_rank(samples, percent):
    """As the contract has it, with fractions instead of floats."""
    ordered = sorted(samples)
    return ordered[max(math.ceil(len(ordered) * percent / 100) - 1, 0)] / 1e6


def state_of(sketch):
    exact, counts, folded_ns = sketch.to_data()
    return sorted(exact), counts, folded_ns, sketch.count, sketch.total_ns


def test_nothing_has_zeros():
    empty = Latencies()
    assert (empty.count, empty.total_ns, empty.percentiles_ms(50, 95)) == (0, 0, [0.0, 0.0])


@pytest.mark.parametrize(
    ("samples_ms", "p50", "p95"),
    [
        ([7], 7, 7),
        ([1, 2], 1, 2),
        ([3, 1, 2], 2, 3),
        ([4, 3, 2, 1], 2, 4),
        (range(1, 11), 5, 10),
        (range(1, 20), 10, 19),
        (range(1, 21), 10, 19),
        (range(1, 22), 11, 20),
        (range(1, 101), 50, 95),
        (range(1, 102), 51, 96),
    ],
)
def test_small_windows_are_exact_by_nearest_rank(samples_ms, p50, p95):
    assert sketch_of([ms * 1_000_000 for ms in samples_ms]).percentiles_ms(50, 95) == [p50, p95]


def test_every_size_agrees_with_the_definition():
    """A rank computed with floats would be off by one at some size; this one never is."""
    for size in range(1, 400):
        sketch = sketch_of(range(1_000_000, 1_000_000 * (size + 1), 1_000_000))
        assert sketch.percentiles_ms(*PERCENTS) == [-(-size * p // 100) or 1 for p in PERCENTS]


def test_exact_up_to_the_limit_and_not_beyond():
    rng = random.Random(1)
    samples = [rng.randrange(10**6, 10**9) for _ in range(EXACT_LIMIT)]
    sketch = sketch_of(samples)
    assert sketch.percentiles_ms(*PERCENTS) == [nearest_rank(samples, p) for p in PERCENTS]

    sketch.add(5 * 10**8)
    assert len(sketch.samples) == 0
    assert sketch.count == EXACT_LIMIT + 1


DISTRIBUTIONS = {
    "lognormal": lambda rng: int(rng.lognormvariate(19, 0.8)),
    "exponential": lambda rng: int(rng.expovariate(1 / 2e8)) + 1,
    "uniform": lambda rng: rng.randrange(10**5, 10**10),
    "two humps": lambda rng: int(rng.gauss(5e6, 1e5) if rng.random() < 0.9 else rng.gauss(3e10, 1e9)),
    "constant": lambda _: 123_456_789,
    "powers of two": lambda rng: 1 << rng.randrange(63),
    "one beside a power of two": lambda rng: (1 << rng.randrange(3, 63)) + rng.choice((-1, 1)),
    "the edge of a histogram bucket": lambda rng: math.ceil(2 ** (rng.randrange(640, 1400) / 32)),
    "nanoseconds": lambda rng: rng.randrange(1, 200),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_histogram_stays_within_its_error_bound(name):
    rng = random.Random(7)
    samples = [DISTRIBUTIONS[name](rng) for _ in range(3 * EXACT_LIMIT)]
    sketch = sketch_of(samples)
    for percent, got in zip(PERCENTS, sketch.percentiles_ms(*PERCENTS)):
        assert got == pytest.approx(nearest_rank(samples, percent), rel=RELATIVE_ERROR), percent
    assert (sketch.count, sketch.total_ns) == (len(samples), sum(samples))


def test_the_bound_is_tight_enough_to_notice_a_coarser_histogram():
    """Control: what stands for a bucket is off by more than half a percent somewhere, so the bound means something."""
    worst = max(
        abs(made.percentiles_ms(50)[0] - ns / 1e6) / (ns / 1e6)
        for ns in range(10**6, 2 * 10**6, 997)
        for made in [folded([ns])]
    )
    assert 0.005 < worst < RELATIVE_ERROR


def folded(samples):
    made = sketch_of(samples)
    made.fold()
    return made


@pytest.mark.parametrize("sizes", [(10, 20, 30), (4000, 90, 10), (3000, 3000, 3000), (1, 9000, 1), (5000, 6000, 7000)])
def test_merging_gives_the_same_in_any_grouping(sizes):
    rng = random.Random(3)
    parts = [[rng.randrange(10**6, 10**9) for _ in range(size)] for size in sizes]

    left = sketch_of(parts[0])
    left.merge(sketch_of(parts[1]))
    left.merge(sketch_of(parts[2]))
    tail = sketch_of(parts[1])
    tail.merge(sketch_of(parts[2]))
    right = sketch_of(parts[0])
    right.merge(tail)
    back = sketch_of(parts[2])
    back.merge(sketch_of(parts[1]))
    back.merge(sketch_of(parts[0]))

    answers = [each.percentiles_ms(*PERCENTS) for each in (left, right, back)]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0] == sketch_of([*parts[0], *parts[1], *parts[2]]).percentiles_ms(*PERCENTS)
    assert {(each.count, each.total_ns) for each in (left, right, back)} == {(sum(sizes), sum(map(sum, parts)))}


def test_merging_leaves_the_other_as_it_was():
    other = sketch_of(range(1, 6000))
    before = state_of(other)
    mine = sketch_of([1])
    mine.merge(other)
    mine.add(2)
    assert state_of(other) == before


def test_memory_stays_bounded_whatever_comes():
    rng = random.Random(5)
    sketch = Latencies()
    for _ in range(20 * EXACT_LIMIT):
        sketch.add(rng.getrandbits(rng.randrange(1, 65)))
        assert len(sketch.samples) <= EXACT_LIMIT
    exact, counts, _ = sketch.to_data()
    assert len(exact) <= 8 * EXACT_LIMIT
    assert len(counts) <= INDEX_MAX + 1
    assert all(0 <= index <= INDEX_MAX for index in counts)


@pytest.mark.parametrize(("given", "counted"), [(-1, 0), (-(1 << 80), 0), (U64_MAX, U64_MAX), (1 << 80, U64_MAX)])
def test_what_64_bits_do_not_hold_counts_as_the_nearest_that_they_do(given, counted):
    sketch = sketch_of([given])
    assert sketch.total_ns == counted
    sketch.fold()
    assert sketch.percentiles_ms(50)[0] == pytest.approx(max(counted, 1) / 1e6, rel=RELATIVE_ERROR)


@pytest.mark.parametrize("size", [0, 1, 100, EXACT_LIMIT, EXACT_LIMIT + 1, 3 * EXACT_LIMIT])
def test_data_reads_back_as_it_was(size):
    rng = random.Random(size)
    sketch = sketch_of(rng.getrandbits(64) for _ in range(size))
    again = Latencies.from_data(*sketch.to_data())
    assert state_of(again) == state_of(sketch)
    again.add(17)
    assert again.count == sketch.count + 1
    assert again.total_ns == sketch.total_ns + 17


def test_data_is_little_endian_on_every_machine():
    assert sketch_of([1, 258]).to_data()[0] == bytes([1, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0])


def test_half_a_word_is_no_data():
    with pytest.raises(ValueError, match="length"):
        Latencies.from_data(b"1234567", {}, 0)
