"""The targets: each with the result it is read from, and how."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Answers = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Target:
    """One line of the table. `read` raises LookupError where the answer is not there."""

    text: str
    bound: float
    read: Callable[[Answers], float]
    least: bool = True  # whether the bound is a lower one
    unit: str = ""

    def met(self, value: float) -> bool:
        """Whether a figure is on the right side."""
        return value >= self.bound if self.least else value <= self.bound


def _figure(script: str, name: str, scale: float = 1.0) -> Callable[[Answers], float]:
    def read(answers: Answers) -> float:
        return float(answers[script]["figures"][name]) * scale

    return read


def _smallest(script: str, start: str, end: str) -> Callable[[Answers], float]:
    """Read the smallest of the figures whose name starts and ends so."""

    def read(answers: Answers) -> float:
        figures = answers[script]["figures"].items()
        found = [float(x) for name, x in figures if name.startswith(start) and name.endswith(end)]
        if not found:
            raise LookupError
        return min(found)

    return read


def _own_cpu(answers: Answers) -> float:
    figures = answers["pipeline"]["figures"]
    return float(
        figures["worker's CPU, microseconds an event"] - figures["driver's CPU in the raw loop"]
    )


def _long(answers: Answers) -> float:
    backfill = answers["backfill"]
    if backfill["options"]["long"] < 1_000_000:
        raise LookupError
    return float(backfill["figures"]["offline / backfill, long"])


def _growth(answers: Answers) -> float:
    growth = answers["growth"]
    if growth["options"]["events"] < 2_000_000:
        raise LookupError
    return float(next(x for name, x in growth["figures"].items() if name.startswith("at ")))


TARGETS = (
    Target(
        "pipeline at its best worker count / ceiling at its best",
        0.95,
        _figure("pipeline", "pipeline at its best / ceiling at its best"),
    ),
    Target(
        "one worker / ceiling with one thread",
        0.85,
        _figure("pipeline", "one worker / ceiling with one thread"),
    ),
    Target("pipeline / baseline", 35, _figure("baseline", "pipeline / baseline")),
    Target("pipeline / peers as documented", 20, _smallest("peers", "pipeline / ", ", documented")),
    Target(
        "pipeline / best peer in expert configuration, 1 process",
        1.5,
        _smallest("peers", "pipeline / ", ", 1"),
    ),
    Target(
        "pipeline / best peer in expert configuration, 4 processes",
        2.3,
        _smallest("peers", "pipeline / ", ", 4"),
    ),
    Target("8 workers / best of 1, 2, 4", 0.95, _figure("pipeline", "8 workers / best of 1, 2, 4")),
    Target(
        "deadlock retries in 1,000 batches, 8 workers",
        1,
        _figure("pipeline", "retries per 1,000 batches, 8 workers"),
        least=False,
    ),
    Target(
        "30 % edits: 8 workers / best of 2, 4",
        0.95,
        _figure("pipeline", "edits, 8 workers / best of 2, 4"),
    ),
    Target(
        "the embedded server's flags / Neo4j's own, raw loop, 2 writers",
        1.2,
        _figure("server", "parallel, -Xms, compact headers, 2 writers / base"),
    ),
    Target("replay of what is there / first write", 2, _figure("pipeline", "replay / first write")),
    Target("2 workers / 1 worker", 1.3, _figure("pipeline", "2 workers / 1 worker")),
    Target("at 2,000,000 posts / at 50,000", 0.8, _growth),
    Target(
        "p50 at 500 events/s / p50 of a raw transaction",
        4,
        _figure("latency", "p50 at 500 events/s / p50 of a raw transaction"),
        least=False,
    ),
    Target(
        "p99 at 2,000 events/s",
        100,
        _figure("latency", "2000 events/s, pipeline, p99, ms"),
        least=False,
        unit="ms",
    ),
    Target("worker's CPU beyond the driver's own, an event", 20, _own_cpu, least=False, unit="µs"),
    Target("offline load / backfill, 1,000,000 posts", 10, _long),
    Target("backfill / workers, same posts", 0.9, _figure("backfill", "backfill / workers")),
    Target(
        "worker's resident size at batch 1,000",
        80,
        _figure("memory", "batch 1000, text 0, MB"),
        least=False,
        unit="MB",
    ),
)


def spread(runs: list[dict[str, Any]], key: str = "rate") -> tuple[float, float, float]:
    """Return a contender's lowest, median and highest."""
    values = [float(run[key]) for run in runs]
    return min(values), statistics.median(values), max(values)
