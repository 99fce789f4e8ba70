"""The metrics: every name and its help text is in this file.

To add a metric, yield it from the function of its subject below. A counter of a worker also needs
a field in `worker/counts.py`, which the heartbeat files then contain. A fact of Redis also needs to
be read in `stream/info.py` and handed on in `status.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from graphwriter import __version__
from graphwriter.exporter.refresh import Reading
from graphwriter.graph.failures import Failure
from graphwriter.status import GraphStatus, Pipeline, StreamPart
from graphwriter.worker.counts import EVENTS, LATENCY, SECONDS, Counts, Spread


class Metrics(Collector):
    """All metrics of one pipeline on this machine; `last` returns the last reading."""

    def __init__(self, last: Callable[[], Reading]) -> None:
        self._last = last

    def describe(self) -> Iterator[Metric]:
        """Yield nothing: called at registration, when nothing has to be read."""
        yield from ()

    def collect(self) -> Iterator[Metric]:
        """Yield every metric. Unknown values, such as the lag during an outage, are left out."""
        pipeline, graph, _ = self._last()
        info = GaugeMetricFamily(
            "graph_writer_build_info",
            "1, with the version, the stream and the group.",
            labels=("version", "stream", "group"),
        )
        info.add_metric((__version__, pipeline.stream, pipeline.group), 1)
        yield info
        yield from counters(pipeline.totals)
        yield _counter(
            "graph_writer_watchdog_kills", "Stuck workers that the watchdog killed.", pipeline.kills
        )
        yield from _servers(pipeline, graph)
        yield from _stream(pipeline)
        yield from _workers(pipeline)
        yield _gauge("graph_writer_graph_nodes", "Nodes in Neo4j.", ("label",), graph.nodes)
        yield _gauge(
            "graph_writer_graph_relationships", "Relationships in Neo4j.", ("type",), graph.links
        )


def counters(total: Counts) -> Iterator[Metric]:
    """Yield the counters of all workers that ever used this run directory."""
    events = CounterMetricFamily(
        "graph_events_processed",
        "Handled events: written, unchanged (equal to the graph, or folded into a newer event of "
        "the batch), dead (kept as a dead letter).",
        labels=("status",),
    )
    for status in ("written", "unchanged", "dead"):
        events.add_metric((status,), getattr(total, status))
    yield events
    yield _histogram(
        "graph_processing_duration_seconds",
        "Time from the read of a batch to its acknowledgement.",
        SECONDS,
        total.seconds,
    )
    yield _histogram(
        "graph_writer_latency_seconds",
        "End-to-end latency: from XADD to acknowledgement of the oldest entry of each batch.",
        LATENCY,
        total.latency,
    )
    yield _histogram("graph_writer_batch_size", "Entries of a batch.", EVENTS, total.sizes)
    for name, text in (
        ("entries", "Entries delivered to workers, including redeliveries."),
        ("batches", "Transactions committed."),
        ("claimed", "Entries claimed from other consumers."),
        ("retries", "Retries of batches."),
        ("lost", "Entries that were trimmed or deleted before they were written."),
        ("regrouped", "Times that the consumer group was deleted, and created again."),
        ("outages", "Times that a worker had to wait for an unavailable server."),
    ):
        yield _counter(f"graph_writer_{name}", text, getattr(total, name))
    reasons = CounterMetricFamily(
        "graph_writer_dead_letters_added", "Entries kept as dead letters.", labels=("reason",)
    )
    for reason, number in sorted(total.reasons.items()):
        reasons.add_metric((reason,), number)
    yield reasons
    errors = CounterMetricFamily(
        "graph_writer_neo4j_errors",
        "Errors of Neo4j by class: transient, unknown (outcome): retried; too_big: halved; store "
        "(takes no writes): waited for; configuration: the worker exits; data: halved until the "
        "event is found.",
        labels=("class",),
    )
    for failure in Failure:
        errors.add_metric((failure.word,), total.failures.get(failure.word, 0))
    yield errors


def _servers(pipeline: Pipeline, graph: GraphStatus) -> Iterator[Metric]:
    servers = {"redis": pipeline.redis, "neo4j": graph.neo4j}
    yield _gauge(
        "graph_writer_up",
        "Whether a server answers; also 1 if it denies access.",
        ("server",),
        {name: int(server.up or server.refused) for name, server in servers.items()},
    )
    yield _gauge(
        "graph_writer_refused",
        "Whether a server denies access to the exporter: a wrong password, or a missing right.",
        ("server",),
        {name: int(server.refused) for name, server in servers.items()},
    )
    yield _gauge(
        "graph_writer_answer_seconds",
        "Duration of the last reading of a server.",
        ("server",),
        {name: server.seconds for name, server in servers.items()},
    )
    yield _gauge(
        "graph_writer_looked_seconds", "Time of the last reading.", (), {"": pipeline.time}
    )


_STREAM = (  # metric, field of `Pipeline` and `StreamPart`, text
    ("stream_length", "length", "Entries in the stream."),
    ("stream_added", "added", "Entries ever added, if Redis knows it."),
    ("lag", "unread", "Entries not delivered to the group yet (unread), if Redis knows it."),
    ("pending", "pending", "Entries delivered to consumers and not acknowledged."),
    ("dead_letters", "dead", "Dead letters that are kept."),
    (
        "trimmed_unread",
        "trimmed_unread",
        "Entries that were trimmed before they were delivered, not counted as lost yet.",
    ),
)
_STREAM_NOW = (  # 0 if Redis answers and there is none
    ("oldest_unread_seconds", "oldest_unread", "Age of the oldest unread entry; 0 without one."),
    ("oldest_pending_seconds", "oldest_pending", "Age of the oldest pending entry; 0 without one."),
    ("consumers", "consumer_count", "Consumers of the group on all machines."),
)


def _stream(pipeline: Pipeline) -> Iterator[Metric]:
    """Yield the metrics of the stream; of several each has the label `stream`."""
    labels: tuple[str, ...] = ()
    parts: dict[str, Pipeline | StreamPart] = {"": pipeline}
    answering = [""] if pipeline.redis.up else []
    if pipeline.streams:
        labels, parts = ("stream",), {part.stream: part for part in pipeline.streams}
        answering = [part.stream for part in pipeline.streams if part.error is None]
    for name, field, text in _STREAM:
        known = {key: getattr(part, field) for key, part in parts.items()}
        if known := {key: value for key, value in known.items() if value is not None}:
            yield _gauge(f"graph_writer_{name}", text, labels, known)
    for name, field, text in _STREAM_NOW:
        if answering:
            values = {key: getattr(parts[key], field) or 0 for key in answering}
            yield _gauge(f"graph_writer_{name}", text, labels, values)
    if pipeline.redis.up:
        paused = {"": int(pipeline.paused is not None)}
        yield _gauge("graph_writer_paused", "Whether the group is paused, 0 or 1.", (), paused)


def _workers(pipeline: Pipeline) -> Iterator[Metric]:
    alive = sum(worker.alive for worker in pipeline.workers)
    stuck = sum(worker.stuck for worker in pipeline.workers)
    yield _gauge(
        "graph_writer_workers",
        "Workers on this machine: alive and making progress, stuck, or ended and not restarted.",
        ("state",),
        {"alive": alive - stuck, "stuck": stuck, "ended": len(pipeline.workers) - alive},
    )
    yield _gauge(
        "graph_writer_worker_progress_seconds",
        "Age of a worker's last progress, which the watchdog uses too.",
        ("consumer",),
        {worker.consumer: worker.progress_age for worker in pipeline.workers},
    )


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value)


def _gauge(name: str, text: str, labels: Sequence[str], values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for label, value in values.items():
        family.add_metric((label,) if labels else (), value)
    return family


def _histogram(name: str, text: str, bounds: Sequence[float], spread: Spread) -> Metric:
    numbers = accumulate(spread.buckets or [0] * (len(bounds) + 1))
    buckets = zip((*map(str, map(float, bounds)), "+Inf"), numbers, strict=True)
    return HistogramMetricFamily(name, text, list(buckets), spread.sum)
