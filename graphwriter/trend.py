"""What several looks at a pipeline tell that one cannot: what comes in, and whether we keep up."""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec

from graphwriter.status import Base, Pipeline

PERIOD = 60.0  # seconds in which a backlog has to shrink
RECENT = 12.0  # seconds that rates are told of
POINTS = 150  # looks that are remembered


class Summary(msgspec.Struct):
    """What several looks tell that one cannot."""

    incoming: float | None = None  # entries a second that producers add
    behind: bool = False  # old entries are unread, and no fewer than a minute ago
    rates: list[float] = []  # events a second at each look, the oldest first


class Trend:
    """Remembers looks."""

    def __init__(self) -> None:
        self._points: deque[Pipeline] = deque(maxlen=POINTS)

    def add(self, pipeline: Pipeline) -> Summary:
        """Remember a look, and return what it tells together with those before."""
        self._points.append(pipeline)
        return Summary(
            self._incoming(pipeline),
            self._behind(pipeline),
            [point.rate for point in self._points],
        )

    def _incoming(self, last: Pipeline) -> float | None:
        for point in self._points:
            if point.added is not None and 0 < last.time - point.time <= RECENT:
                now = last.added
                return None if now is None else max(0, now - point.added) / (last.time - point.time)
        return None

    def _behind(self, last: Pipeline) -> bool:
        if last.unread is None or (last.oldest_unread or 0.0) < PERIOD:
            return False
        before = [one for one in self._points if last.time - one.time >= PERIOD]
        return bool(before) and before[-1].unread is not None and before[-1].unread <= last.unread


def told(pipeline: Pipeline, base: Base, summary: Summary) -> dict[str, Any]:
    """Return it all as JSON can hold it."""
    parts = map(msgspec.to_builtins, (pipeline, base, summary))
    return {name: value for part in parts for name, value in part.items()}
