"""graphwriter status: the state of the pipeline, once or continuously."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any

import click

from graphwriter.cli.options import CONTEXT, NEO4J, REDIS, settings
from graphwriter.cli.output import as_json, echo_json, folded, table
from graphwriter.config import Config
from graphwriter.errors import ConfigError, Unavailable
from graphwriter.text import age, counted, percentiles, plain, rate, utc

if TYPE_CHECKING:  # the drivers are not needed for --help
    from graphwriter.status import GraphStatus, Pipeline, Server, StreamPart, Summary, Worker

WATCH_INTERVAL = 2.0  # seconds between two readings of --watch
INDENT = 9  # columns of a line's name
OTHER_CONSUMERS = 10  # consumers of other machines that are shown


@click.command("status", context_settings=CONTEXT)
@click.option("--watch", is_flag=True, help="Refresh every two seconds, until Ctrl-C.")
@as_json
@settings(*REDIS, *NEO4J, "run_dir")
def command(config: Config, watch: bool, json: bool) -> None:
    """Show the stream, the workers of this machine, dead letters and servers.

    A worker that was killed or has exited is shown as ended until a worker of its name starts.
    """
    from graphwriter import status
    from graphwriter.graph import connect

    trend = status.Trend()
    until = suppress(KeyboardInterrupt) if watch else nullcontext()
    connected = connect(config, timeout=status.NEO4J_TIMEOUT, retry=0.0, patience=status.PATIENCE)
    with until, connected as graph:
        reader = status.StatusReader(config, graph)
        for first in _readings(watch):
            pipeline, graph_status = reader.pipeline(), reader.graph_status()
            summary = trend.add(pipeline)
            if json:
                echo_json(status.as_json(pipeline, graph_status, summary))
            else:
                if watch:
                    click.clear()
                    click.echo(f"{utc(pipeline.time)} UTC, every {WATCH_INTERVAL:g} s until Ctrl-C")
                _show(pipeline, graph_status, summary)
            if first and not watch and not pipeline.redis.up:
                kind = ConfigError if pipeline.redis.refused else Unavailable
                raise kind(str(pipeline.redis.error))


def _readings(watch: bool) -> Iterator[bool]:
    yield True
    while watch:
        time.sleep(WATCH_INTERVAL)
        yield False


def _show(pipeline: Pipeline, graph: GraphStatus, summary: Summary) -> None:
    for name, text in _lines(pipeline, graph, summary):
        click.echo(folded(f"{name:<{INDENT}}{plain(text)}", " " * INDENT))
    click.echo()
    if pipeline.streams:
        table(
            ["stream", "entries", "unread", "oldest", "pending", "dead"],
            [_part(part) for part in pipeline.streams],
        )
        click.echo()
    server_errors = pipeline.redis.error, graph.neo4j.error
    table(
        ["worker", "rate/s", "written", "unchanged", "dead", "pending", "doing"],
        [
            [
                worker.consumer,
                f"{worker.rate:,.0f}",
                *_counts(worker),
                "" if worker.pending is None else f"{worker.pending:,}",
                _doing(worker, server_errors),
            ]
            for worker in pipeline.workers
        ],
        empty="no worker on this machine (or another GRAPH_WRITER_RUN_DIR)",
    )
    here = {worker.consumer for worker in pipeline.workers}
    if others := [consumer for consumer in pipeline.consumers if consumer.name not in here]:
        click.echo("\nother consumers of the group:")
        for consumer in others[:OTHER_CONSUMERS]:
            seen = f"last seen {age(consumer.idle)} ago"
            click.echo(f"  {plain(consumer.name)}: {consumer.pending:,} pending, {seen}")
        known = here & {consumer.name for consumer in pipeline.consumers}
        hidden = (pipeline.consumer_count or 0) - len(known) - len(others[:OTHER_CONSUMERS])
        if hidden > 0:
            click.echo(
                f"  and {hidden:,} more, without entries or with fewer; see `graphwriter consumers`"
            )


def _lines(pipeline: Pipeline, graph: GraphStatus, summary: Summary) -> Iterator[tuple[str, str]]:
    """Yield the lines above the workers, each with its name."""
    if pipeline.redis.up:
        yield "stream", f"{pipeline.stream}: {counted(pipeline.length or 0, 'entry')}"
        yield "group", _group(pipeline)
    if pipeline.paused:
        from graphwriter.status import paused

        text = paused(pipeline.paused, pipeline.time)
        yield "paused", f"{text}; `graphwriter resume` lets the workers go on"
    incoming = "" if summary.incoming is None else f"in {rate(summary.incoming)}, "
    yield "rate", f"{incoming}out {rate(pipeline.rate)}"
    if (latency := pipeline.latency) is not None:
        times = percentiles(latency.median, latency.p99)
        yield "latency", f"{times} end to end, in the last five minutes"
    if pipeline.redis.up:
        yield "dead", _dead(pipeline)
    yield "Redis", _server(pipeline.redis)
    yield "Neo4j", _server(graph.neo4j)
    if graph.nodes:
        placeholders = graph.nodes["Message"] - graph.nodes["Post"]
        links = counted(sum(graph.links.values()), "link")
        posts = counted(graph.nodes["Post"], "post")
        missing = f"{counted(placeholders, 'placeholder')} (referenced, not ingested yet)"
        yield "graph", f"{posts}, {links}, {missing}"


def _part(part: StreamPart) -> list[str]:
    """Return the row of one of several streams."""
    if part.error is not None:
        return [part.stream, "", part.error, "", "", ""]
    oldest = "" if part.oldest_unread is None else age(part.oldest_unread)
    unread = _number(part.unread) if part.group_exists else "no group"
    numbers = _number(part.length), unread, oldest, _number(part.pending), _number(part.dead)
    return [part.stream, *numbers]


def _number(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"


def _group(pipeline: Pipeline) -> str:
    missing = sum(one.group_exists is False for one in pipeline.streams or ())
    if pipeline.streams and 0 < missing < len(pipeline.streams):
        return f"{pipeline.group} does not exist in {counted(missing, 'stream')}: see below"
    if not pipeline.group_exists:
        return f"{pipeline.group} does not exist: no worker has started yet"
    text = f"{pipeline.group}: {_number(pipeline.unread)} unread"
    if pipeline.oldest_unread is not None:
        text += f" (oldest {age(pipeline.oldest_unread)})"
    text += f", {pipeline.pending or 0:,} pending"
    if pipeline.oldest_pending is not None:
        text += f" (oldest {age(pipeline.oldest_pending)})"
    return text


def _dead(pipeline: Pipeline) -> str:
    text = (
        f"{counted(pipeline.dead or 0, 'dead letter')}, {pipeline.totals.lost:,} lost to trimming"
    )
    if pipeline.trimmed_unread:
        text += f", {pipeline.trimmed_unread:,} more since the last read"
    return f"{text}; see `graphwriter dead list`" if pipeline.dead else text


def _server(server: Server) -> str:
    if server.up:
        return f"{server.place} answers in {server.seconds * 1000:.1f} ms"
    return f"{server.problem.upper()}: {server.reason}"


def _counts(worker: Worker) -> list[str]:
    counts: Any = worker.counts
    return [f"{getattr(counts, name):,}" for name in ("written", "unchanged", "dead")]


def _doing(worker: Worker, server_errors: tuple[str | None, ...]) -> str:
    """Return what a worker does; errors of servers are shown above, once for all workers."""
    doing = worker.doing if worker.alive else "ended"
    error = f": {worker.error}" if worker.error and worker.error not in server_errors else ""
    return f"{doing}, {age(worker.progress_age)} ago{error}"
