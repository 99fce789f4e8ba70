"""What several looks at a pipeline tell that one cannot: rates, and the last minute."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from graphwriter.counts import LATENCY, SECONDS, Counts, Spread
from graphwriter.status import Base, Pipeline

PERIOD = 60.0  # seconds that latency is told of
RECENT = 12.0  # seconds that rates are told of
POINTS = 150  # looks that are remembered


class Summary(msgspec.Struct):
    """What several looks tell that one cannot. Latency is counted from XADD to acknowledgement.

    Latency, seconds and size are of the last minute; where there was one look alone, of all time.
    """

    incoming: float | None = None  # entries a second that producers add
    latency: tuple[float, float] | None = None  # half of the batches are within, 99 in 100 are
    seconds: tuple[float, float] | None = None  # the same of what a batch takes
    size: float | None = None  # events of a batch
    rates: list[float] = []  # events a second at each look, the oldest first


class Trend:
    """Remembers looks."""

    def __init__(self) -> None:
        self._points: deque[Pipeline] = deque(maxlen=POINTS)

    def add(self, pipeline: Pipeline) -> Summary:
        """Remember a look, and return what it tells together with those before."""
        self._points.append(pipeline)
        sizes = self._over(lambda counts: counts.sizes)
        return Summary(
            self._incoming(pipeline),
            _middle_and_most(self._over(lambda counts: counts.latency), LATENCY),
            _middle_and_most(self._over(lambda counts: counts.seconds), SECONDS),
            sizes.sum / sizes.count if sizes.count else None,
            [point.rate for point in self._points],
        )

    def _incoming(self, last: Pipeline) -> float | None:
        for point in self._points:
            if point.added is not None and 0 < last.time - point.time <= RECENT:
                now = last.added
                return None if now is None else max(0, now - point.added) / (last.time - point.time)
        return None

    def _over(self, spread: Callable[[Counts], Spread]) -> Spread:
        last = self._points[-1]
        first = next(one for one in self._points if last.time - one.time <= PERIOD)
        if first is last or first.totals.entries > last.totals.entries:  # the files were deleted
            return spread(last.totals)
        return spread(last.totals).plus(spread(first.totals), -1)


def _middle_and_most(spread: Spread, bounds: Sequence[float]) -> tuple[float, float] | None:
    middle, most = spread.quantile(bounds, 0.5), spread.quantile(bounds, 0.99)
    return None if middle is None or most is None else (middle, most)


def told(pipeline: Pipeline, base: Base, summary: Summary) -> dict[str, Any]:
    """Return it all as JSON can hold it."""
    parts = map(msgspec.to_builtins, (pipeline, base, summary))
    return {name: value for part in parts for name, value in part.items()}
