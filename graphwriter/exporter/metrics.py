"""What was seen as metrics: every name, and what it means, is in this file."""

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
from graphwriter.exporter.refresh import Shown
from graphwriter.graph.failures import Failure
from graphwriter.status import Base, Pipeline
from graphwriter.worker.counts import EVENTS, LATENCY, SECONDS, Counts, Spread


class Metrics(Collector):
    """All metrics of one pipeline on this machine; `shown` gives what was seen last."""

    def __init__(self, shown: Callable[[], Shown]) -> None:
        self._shown = shown

    def describe(self) -> Iterator[Metric]:
        """Yield nothing: asked at registration, when nothing need be looked at."""
        yield from ()

    def collect(self) -> Iterator[Metric]:
        """Yield every metric. What is not known, such as the lag in an outage, is left out."""
        pipeline, base, _ = self._shown()
        info = GaugeMetricFamily(
            "graph_writer_build_info",
            "1, with the version, and what is served.",
            labels=("version", "stream", "group"),
        )
        info.add_metric((__version__, pipeline.stream, pipeline.group), 1)
        yield info
        yield from counters(pipeline.totals)
        yield _counter(
            "graph_writer_watchdog_kills", "Stuck workers that the watchdog ended.", pipeline.kills
        )
        yield from _servers(pipeline, base)
        yield from _stream(pipeline)
        yield from _workers(pipeline)
        yield _gauge("graph_writer_graph_nodes", "Nodes in Neo4j.", ("label",), base.nodes)
        yield _gauge("graph_writer_graph_relationships", "Relationships.", ("type",), base.links)


def counters(total: Counts) -> Iterator[Metric]:
    """Yield what workers counted: of this machine, of all that ever had this run directory."""
    events = CounterMetricFamily(
        "graph_events_processed",
        "Events that are through: written, unchanged (known already, or folded into a newer one of "
        "their batch), dead (kept as a dead letter).",
        labels=("status",),
    )
    for status in ("written", "unchanged", "dead"):
        events.add_metric((status,), getattr(total, status))
    yield events
    yield _histogram(
        "graph_processing_duration_seconds",
        "From a batch in hand to its acknowledgement.",
        SECONDS,
        total.seconds,
    )
    yield _histogram(
        "graph_writer_latency_seconds",
        "From XADD to acknowledgement, of the oldest entry of each batch.",
        LATENCY,
        total.latency,
    )
    yield _histogram("graph_writer_batch_size", "Entries of a batch.", EVENTS, total.sizes)
    for name, text in (
        ("entries", "Entries taken from the stream, those taken again included."),
        ("batches", "Transactions committed."),
        ("claimed", "Entries taken over from other consumers."),
        ("retries", "Batches that were tried again."),
        ("lost", "Entries that were trimmed or deleted before they were written."),
        ("regrouped", "Times that the consumer group was gone, and was made again."),
        ("outages", "Times that a worker found a server away, and waited for it."),
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
        "Errors of Neo4j, by what is done about them: transient, unknown (outcome): tried again; "
        "too_big: halved; store (takes no writes): waited for; configuration: the worker ends; "
        "data: halved until the event is found.",
        labels=("class",),
    )
    for failure in Failure:
        errors.add_metric((failure.word,), total.failures.get(failure.word, 0))
    yield errors


def _servers(pipeline: Pipeline, base: Base) -> Iterator[Metric]:
    servers = {"redis": pipeline.redis, "neo4j": base.neo4j}
    yield _gauge(
        "graph_writer_up",
        "Whether a server answers; a refusal is an answer too.",
        ("server",),
        {name: int(server.up or server.refused) for name, server in servers.items()},
    )
    yield _gauge(
        "graph_writer_refused",
        "Whether a server answers the exporter with a refusal: a password, or a right, is wrong.",
        ("server",),
        {name: int(server.refused) for name, server in servers.items()},
    )
    yield _gauge(
        "graph_writer_answer_seconds",
        "How long the last look at a server took.",
        ("server",),
        {name: server.seconds for name, server in servers.items()},
    )
    yield _gauge("graph_writer_looked_seconds", "Time of the last look.", (), {"": pipeline.time})


def _stream(pipeline: Pipeline) -> Iterator[Metric]:
    for name, text, value in (
        ("stream_length", "Entries in the stream.", pipeline.length),
        ("stream_added", "Entries ever added, where Redis knows.", pipeline.added),
        ("lag", "Entries that the group was not given yet, where Redis knows.", pipeline.unread),
        ("pending", "Entries given to consumers and not acknowledged.", pipeline.pending),
        ("dead_letters", "Dead letters that are kept now.", pipeline.dead),
        (
            "trimmed_unread",
            "Entries that were trimmed before the group was given them, and are not counted yet.",
            pipeline.trimmed_unread,
        ),
    ):
        if value is not None:
            yield _gauge(f"graph_writer_{name}", text, (), {"": value})
    if pipeline.redis.up:
        for name, text, age in (
            (
                "unread",
                "Age of the oldest entry nobody was given; 0 without one.",
                pipeline.oldest_unread,
            ),
            ("pending", "Age of the oldest pending entry; 0 without one.", pipeline.oldest_pending),
        ):
            yield _gauge(f"graph_writer_oldest_{name}_seconds", text, (), {"": age or 0.0})
        number = len(pipeline.consumers)
        yield _gauge("graph_writer_consumers", "Consumers, of all machines.", (), {"": number})


def _workers(pipeline: Pipeline) -> Iterator[Metric]:
    alive = sum(worker.alive for worker in pipeline.workers)
    stuck = sum(worker.stuck for worker in pipeline.workers)
    yield _gauge(
        "graph_writer_workers",
        "Workers of this machine: alive and getting on, stuck, or ended and not started again.",
        ("state",),
        {"alive": alive - stuck, "stuck": stuck, "ended": len(pipeline.workers) - alive},
    )
    yield _gauge(
        "graph_writer_worker_progress_seconds",
        "Age of a worker's last progress; the watchdog goes by it too.",
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
