"""Reads the state again and again in its own threads; clients get the last reading.

The number of clients does not change how often servers are asked, and a server that hangs blocks no
client.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from graphwriter.status import GraphStatus, Pipeline, Server, StatusReader, Summary, Trend

log = logging.getLogger("graphwriter")

REFRESH_INTERVAL = 2.0  # seconds between two readings of Redis and the workers
NEO4J_INTERVAL = 5.0  # seconds between two readings of Neo4j
OVERDUE = 7.0  # seconds that a reading of Neo4j may take before it counts as unavailable
STALE = 60.0  # seconds without a reading after which the exporter itself is unhealthy


class Reading(NamedTuple):
    """The state at one time, as clients get it."""

    pipeline: Pipeline
    graph: GraphStatus
    summary: Summary


class Refresher:
    """Reads the state from `start` to `stop`."""

    def __init__(
        self,
        reader: StatusReader,
        interval: float = REFRESH_INTERVAL,
        neo4j_interval: float = NEO4J_INTERVAL,
    ) -> None:
        self._reader, self._interval, self._neo4j_interval = reader, interval, neo4j_interval
        self._trend = Trend()
        self.ended = threading.Event()
        self._started: float | None = None  # when the reading of Neo4j began that is in progress
        self._finished = time.monotonic()
        self._graph = GraphStatus(Server(reader.graph.uri, False, 0.0, "not asked yet"))
        self._pipeline = self._read()

    def start(self) -> None:
        """Start the threads, and wait up to a second for the first reading of Neo4j."""
        first = threading.Event()
        for refresh, interval in (
            (self._refresh, self._interval),
            (self._refresh_neo4j, self._neo4j_interval),
        ):
            arguments = refresh, interval, first
            threading.Thread(target=self._repeat, args=arguments, daemon=True).start()
        first.wait(1.0)

    def stop(self) -> None:
        """End the threads after their current reading."""
        self.ended.set()

    def _repeat(self, refresh: Callable[[], bool], interval: float, first: threading.Event) -> None:
        while not self.ended.is_set():
            try:
                if refresh():
                    first.set()
            except Exception:
                log.exception("the state could not be read")
            self.ended.wait(interval)

    def _refresh(self) -> bool:
        self._pipeline = self._read()
        self._finished = time.monotonic()
        return False

    def _read(self) -> tuple[Pipeline, Summary]:
        pipeline = self._reader.pipeline()
        return pipeline, self._trend.add(pipeline)

    def _refresh_neo4j(self) -> bool:
        self._started = time.monotonic()
        self._graph = self._reader.graph_status()
        self._started = None
        return True

    def last(self) -> Reading:
        """Return the last reading. Does not block."""
        pipeline, summary = self._pipeline
        graph, started = self._graph, self._started
        late = 0.0 if started is None else time.monotonic() - started
        if late > OVERDUE:
            server = Server(graph.neo4j.place, False, late, f"no answer for {late:.0f} s")
            graph = msgspec.structs.replace(graph, neo4j=server)
        return Reading(pipeline, graph, summary)

    @property
    def healthy(self) -> bool:
        """Whether there was a reading in the last minute."""
        return time.monotonic() - self._finished < STALE
