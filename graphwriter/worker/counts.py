"""What a worker counts: plain numbers that a file can hold and an exporter can add up.

Counters only rise. A worker that restarts continues where the last one of its name ended.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

# Upper bounds of the buckets; one more bucket is open. Seconds, except for entries of a batch.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LATENCY = (
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    300.0,
    1800.0,
    7200.0,
)
EVENTS = (1, 10, 50, 100, 250, 500, 1000, 2500, 5000)
BOUNDS: dict[str, Sequence[float]] = {"sizes": EVENTS, "seconds": SECONDS, "latency": LATENCY}

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]  # in files; sums of it fit anywhere


class Spread(msgspec.Struct):
    """A histogram: how many values fell into each bucket, and the sum of all values."""

    buckets: list[Count] = []
    sum: float = 0.0

    def add(self, bounds: Sequence[float], value: float) -> None:
        """Count one value; pass the same `bounds` at every call."""
        if not self.buckets:
            self.buckets = [0] * (len(bounds) + 1)
        self.buckets[bisect_left(bounds, value)] += 1
        self.sum += value

    def plus(self, other: Spread, sign: int = 1) -> Spread:
        """Return the sum of both, or the difference with `sign` -1; they share their bounds."""
        if not self.buckets or not other.buckets:
            return self if self.buckets else other
        both = zip(self.buckets, other.buckets, strict=True)
        return Spread([a + sign * b for a, b in both], self.sum + sign * other.sum)

    @property
    def count(self) -> int:
        """How many values were counted."""
        return sum(self.buckets)

    def quantile(self, bounds: Sequence[float], share: float) -> float | None:
        """Return about the quantile `share`, such as 0.99 for p99; None without values.

        Values are taken to be spread evenly within a bucket; above the last bound it is that bound.
        """
        left = share * self.count
        if not left:
            return None
        low = 0.0
        for bound, number in zip(bounds, self.buckets, strict=False):
            if left <= number:
                return low + (bound - low) * left / number
            left -= number
            low = bound
        return low


class Counts(msgspec.Struct):
    """What a worker has done since its start."""

    entries: Count = 0
    written: Count = 0
    unchanged: Count = 0
    dead: Count = 0
    lost: Count = 0  # trimmed or deleted from the stream before they were written
    claimed: Count = 0
    batches: Count = 0
    retries: Count = 0
    regrouped: Count = 0
    outages: Count = 0  # times that a server did not answer
    reasons: dict[str, Count] = {}  # dead letters, by reason
    failures: dict[str, Count] = {}  # errors of Neo4j, by failure class
    sizes: Spread = msgspec.field(default_factory=Spread)  # entries of a read
    seconds: Spread = msgspec.field(default_factory=Spread)  # from a read to its acknowledgement
    latency: Spread = msgspec.field(default_factory=Spread)  # of a read's oldest entry, from XADD

    def __post_init__(self) -> None:
        _fit(self)

    @property
    def done(self) -> int:
        """Events that were written, found unchanged, or became dead letters."""
        return self.written + self.unchanged + self.dead

    def plus(self, other: Counts) -> Counts:
        """Return the sum of both."""
        return Counts(
            **{name: _plus(getattr(self, name), getattr(other, name)) for name in _FIELDS}
        )


class Spreads(msgspec.Struct):
    """The histograms of `Counts`: sizes, seconds and latency of batches."""

    sizes: Spread = msgspec.field(default_factory=Spread)
    seconds: Spread = msgspec.field(default_factory=Spread)
    latency: Spread = msgspec.field(default_factory=Spread)

    def __post_init__(self) -> None:
        _fit(self)

    @classmethod
    def of(cls, counts: Counts | Spreads) -> Spreads:
        """Return a copy, which later counting does not change."""
        return cls(
            *(
                Spread([*one.buckets], one.sum)
                for one in (counts.sizes, counts.seconds, counts.latency)
            )
        )

    def plus(self, other: Counts | Spreads, sign: int = 1) -> Spreads:
        """Return the sum of both, or with `sign` -1 what was added since `other`."""
        return Spreads(
            self.sizes.plus(other.sizes, sign),
            self.seconds.plus(other.seconds, sign),
            self.latency.plus(other.latency, sign),
        )


def _fit(counts: Counts | Spreads) -> None:
    """Drop histograms that another release counted with other bounds."""
    for name, bounds in BOUNDS.items():
        if len(getattr(counts, name).buckets) not in (0, len(bounds) + 1):
            setattr(counts, name, Spread())


_FIELDS = Counts.__struct_fields__


def _plus(one: Any, other: Any) -> Any:
    if isinstance(one, dict):
        return {key: one.get(key, 0) + other.get(key, 0) for key in one | other}
    return one.plus(other) if isinstance(one, Spread) else one + other
