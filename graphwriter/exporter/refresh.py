"""Looking at the servers again and again, in threads of its own: readers get what was seen last.

However many read, the servers are asked as often; and a server that hangs, hangs no reader.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from graphwriter.status import Base, Looker, Pipeline, Server, Summary, Trend

log = logging.getLogger("graphwriter")

EVERY, BASE_EVERY = 2.0, 5.0  # seconds between looks at Redis and the workers, and at Neo4j
OVERDUE = 7.0  # seconds that a look may take before its server counts as away
STUCK = 60.0  # seconds without a finished look after which the exporter itself is not well


class Shown(NamedTuple):
    """What is shown to readers, at one time."""

    pipeline: Pipeline
    base: Base
    summary: Summary


class Looks:
    """Looks from `start` to `stop`."""

    def __init__(
        self, looker: Looker, every: float = EVERY, base_every: float = BASE_EVERY
    ) -> None:
        self._looker, self._every, self._base_every = looker, every, base_every
        self._trend = Trend()
        self.ended = threading.Event()
        self._begun: float | None = None  # when the look at Neo4j began that is not over
        self._finished = time.monotonic()
        self._base = Base(Server(looker.graph.uri, False, 0.0, "not asked yet"))
        self._seen = self._look()

    def start(self) -> None:
        """Begin to look. The first look at Redis is over; that at Neo4j is waited for a second."""
        first = threading.Event()
        for look, every in ((self._pipeline, self._every), (self._neo4j, self._base_every)):
            threading.Thread(target=self._again, args=(look, every, first), daemon=True).start()
        first.wait(1.0)

    def stop(self) -> None:
        """Look no more."""
        self.ended.set()

    def _again(self, look: Callable[[], bool], every: float, first: threading.Event) -> None:
        while not self.ended.is_set():
            try:
                if look():
                    first.set()
            except Exception:
                log.exception("a look failed")
            self.ended.wait(every)

    def _pipeline(self) -> bool:
        self._seen = self._look()
        self._finished = time.monotonic()
        return False

    def _look(self) -> tuple[Pipeline, Summary]:
        pipeline = self._looker.pipeline()
        return pipeline, self._trend.add(pipeline)

    def _neo4j(self) -> bool:
        self._begun = time.monotonic()
        self._base = self._looker.base()
        self._begun = None
        return True

    def shown(self) -> Shown:
        """Return what was seen last. Blocks on nothing."""
        pipeline, summary = self._seen
        base, begun = self._base, self._begun
        late = 0.0 if begun is None else time.monotonic() - begun
        if late > OVERDUE:
            away = Server(base.neo4j.place, False, late, f"no answer for {late:.0f} s")
            base = msgspec.structs.replace(base, neo4j=away)
        return Shown(pipeline, base, summary)

    @property
    def well(self) -> bool:
        """Whether we still look."""
        return time.monotonic() - self._finished < STUCK
