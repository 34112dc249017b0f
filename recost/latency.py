"""How long the calls of one bucket took: exact up to a bound, then a histogram.

Samples are kept as they come.  When there are more than ``EXACT_LIMIT`` they are folded into a histogram whose
buckets grow by ``2 ** (1/32)`` (scale 5 of OpenTelemetry's exponential histogram), and so is all that comes later.
A value read from the histogram is within 1.1 % of the one that an exact list would give: nearest rank picks the
same bucket, and what stands for a bucket is the harmonic mean of its bounds, which is never further off.

Memory: ``EXACT_LIMIT`` * 8 bytes and at most ``INDEX_MAX`` + 1 counters, however many samples come.
Merging is exact in counts, sums and histogram, so the order in which parts are merged does not matter.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections import Counter
from collections.abc import Iterable

EXACT_LIMIT = 4096
"""Samples of one bucket that are kept as they are: 32 KiB."""

_PER_OCTAVE = 32
"""Histogram buckets between a duration and its double."""
INDEX_MAX = 64 * _PER_OCTAVE
"""The index of the longest duration that 64 bits hold."""
_NS_MAX = (1 << 64) - 1
_NS_PER_MS = 1e6

# Bucket i holds (2^((i-1)/32), 2^(i/32)] ns.  The harmonic mean of these bounds is the upper one times this.
_REPRESENTATIVE = 2 / (1 + 2 ** (1 / _PER_OCTAVE))


class Latencies:
    """The durations of one bucket. One thread at a time."""

    __slots__ = ("_counts", "_folded", "_folded_ns", "samples")

    def __init__(self) -> None:
        self.samples = array("Q")  # ns, in order of arrival, not yet in the histogram; always this object
        self._counts: dict[int, int] = {}  # index of a histogram bucket: samples in it
        self._folded = 0  # samples in the histogram
        self._folded_ns = 0  # and their sum

    def add(self, duration_ns: int) -> None:
        """Take one sample. Out of the range of 64 bits it counts as the nearest that is in."""
        try:
            self.samples.append(duration_ns)
        except OverflowError:
            self.samples.append(min(max(duration_ns, 0), _NS_MAX))
        if len(self.samples) > EXACT_LIMIT:
            self.fold()

    @property
    def count(self) -> int:
        return self._folded + len(self.samples)

    @property
    def total_ns(self) -> int:
        return self._folded_ns + sum(self.samples)

    def extend(self, durations_ns: array[int]) -> None:
        """Take them all."""
        self.samples.extend(durations_ns)
        if len(self.samples) > EXACT_LIMIT:
            self.fold()

    def fold(self) -> None:
        """Move every sample into the histogram and give its memory back. From now on values are approximate."""
        counts = self._counts
        for index, count in Counter(_indexes(self.samples)).items():
            counts[index] = counts.get(index, 0) + count
        self._folded_ns += sum(self.samples)
        self._folded += len(self.samples)
        del self.samples[:]

    def merge(self, other: Latencies) -> None:
        """Add the samples of ``other``, which stays as it is."""
        self.extend(other.samples)
        for index, count in other._counts.items():
            self._counts[index] = self._counts.get(index, 0) + count
        self._folded += other._folded
        self._folded_ns += other._folded_ns

    def percentiles_ms(self, *percents: int) -> list[float]:
        """Nearest rank: the sample at index ``ceil(n * p) - 1`` of the sorted ones, in ms; 0.0 of no samples.

        Once there is a histogram this folds what came since: it had to be counted in anyway.
        """
        n = self.count
        if not n:
            return [0.0] * len(percents)
        # In whole numbers: 0.95 is no binary fraction, and a rank must not depend on how it rounds.
        ranks = [max(1, -(-n * percent // 100)) for percent in percents]
        if not self._counts:
            ordered = sorted(self.samples)
            return [ordered[rank - 1] / _NS_PER_MS for rank in ranks]
        if self.samples:
            self.fold()
        return [self._at_rank(rank) / _NS_PER_MS for rank in ranks]

    def _at_rank(self, rank: int) -> float:
        index = 0
        for index in sorted(self._counts):
            rank -= self._counts[index]
            if rank <= 0:
                break
        return 2 ** (index / _PER_OCTAVE) * _REPRESENTATIVE

    def to_data(self) -> tuple[bytes, dict[int, int], int]:
        """Plain data: exact samples as little-endian 64-bit words, histogram by index, sum of what is in it."""
        return _little_endian(self.samples).tobytes(), self._counts, self._folded_ns

    @classmethod
    def from_data(cls, exact: bytes, counts: dict[int, int], folded_ns: int) -> Latencies:
        """The reverse of ``to_data``. ``ValueError`` when ``exact`` is not whole words."""
        made = cls()
        words = array("Q")
        words.frombytes(exact)
        made.samples.extend(_little_endian(words))
        made._counts = dict(counts)
        made._folded = sum(counts.values())
        made._folded_ns = folded_ns
        return made


def _indexes(durations_ns: Iterable[int]) -> list[int]:
    """Of the histogram's buckets that they are counted in. 0 ns counts as 1."""
    ceil = math.ceil
    try:
        return [ceil(log2 * _PER_OCTAVE) for log2 in map(math.log2, durations_ns)]
    except ValueError:
        return _indexes([duration_ns or 1 for duration_ns in durations_ns])


def _little_endian(words: array[int]) -> array[int]:
    if sys.byteorder == "big":
        words = words[:]
        words.byteswap()
    return words
