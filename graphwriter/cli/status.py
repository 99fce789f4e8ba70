"""graphwriter status: one look at the pipeline, or a screen that follows it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any

import click

from graphwriter.cli.options import CONTEXT, NEO4J, REDIS, settings
from graphwriter.cli.output import as_json, counted, echo_json, folded, plain, table
from graphwriter.config import Config
from graphwriter.errors import ConfigError, Unavailable
from graphwriter.text import age

if TYPE_CHECKING:  # the drivers are not needed for --help
    from graphwriter.status import Base, Pipeline, Server, Summary, Worker

EVERY = 2.0  # seconds between two looks of --watch
INDENT = 9  # columns of a line's name


@click.command("status", context_settings=CONTEXT)
@click.option("--watch", is_flag=True, help="Look again every two seconds, until Ctrl-C.")
@as_json
@settings(*REDIS, *NEO4J, "run_dir")
def command(config: Config, watch: bool, json: bool) -> None:
    """Show the stream, the workers of this machine, the dead letters and the servers.

    A worker that was killed, or gave up, is shown as ended until one of its name starts again.
    """
    from graphwriter import status
    from graphwriter.graph import connect
    from graphwriter.status import Trend, told

    trend = Trend()
    until = suppress(KeyboardInterrupt) if watch else nullcontext()
    with until, connect(config, timeout=status.BUSY, retry=0.0, patience=status.PATIENCE) as graph:
        looker = status.Looker(config, graph)
        for first in _looks(watch):
            pipeline, base = looker.pipeline(), looker.base()
            summary = trend.add(pipeline)
            if json:
                echo_json(told(pipeline, base, summary))
            else:
                if watch:
                    click.clear()
                _show(pipeline, base, summary)
            if first and not watch and not pipeline.redis.up:
                kind = ConfigError if pipeline.redis.refused else Unavailable
                raise kind(str(pipeline.redis.error))


def _looks(watch: bool) -> Iterator[bool]:
    yield True
    while watch:
        time.sleep(EVERY)
        yield False


def _show(told: Pipeline, base: Base, summary: Summary) -> None:
    for name, text in _lines(told, base, summary):
        click.echo(folded(f"{name:<{INDENT}}{plain(text)}", " " * INDENT))
    click.echo()
    away = told.redis.error, base.neo4j.error
    table(
        ["worker", "rate/s", "written", "unchanged", "dead", "pending", "doing"],
        [
            [w.consumer, f"{w.rate:,.0f}", *_counted(w), _number(w.pending), _doing(w, away)]
            for w in told.workers
        ],
        empty="no worker on this machine (or another GRAPH_WRITER_RUN_DIR)",
    )
    here = {worker.consumer for worker in told.workers}
    if elsewhere := [one for one in told.consumers if one.name not in here]:
        click.echo("\nconsumers that are no worker of this machine:")
        for one in elsewhere[:10]:
            seen = f"last seen {age(one.idle)} ago"
            click.echo(f"  {plain(one.name)}: {one.pending:,} pending, {seen}")


def _lines(told: Pipeline, base: Base, summary: Summary) -> Iterator[tuple[str, str]]:
    """Yield the lines above the workers, each with its name."""
    if told.redis.up:
        yield "stream", f"{told.stream}: {counted(told.length or 0, 'entry')}"
        yield "group", _group(told)
    came = "" if summary.incoming is None else f"in {summary.incoming:,.0f}/s, "
    yield "rate", f"{came}out {told.rate:,.0f}/s"
    if told.latency is not None:
        half, most = age(told.latency.median), age(told.latency.p99)
        yield "latency", f"half within {half} of XADD, 99 % within {most}; last five minutes"
    if told.redis.up:
        yield "dead", _dead(told)
    yield "Redis", _server(told.redis)
    yield "Neo4j", _server(base.neo4j)
    if base.nodes:
        waiting = base.nodes["Message"] - base.nodes["Post"]
        links = sum(base.links.values())
        known = f"{counted(base.nodes['Post'], 'post')}, {counted(links, 'link')}"
        yield "graph", f"{known}, {waiting:,} not arrived yet"


def _group(told: Pipeline) -> str:
    if not told.group_exists:
        return f"{told.group} is not there: no worker has started yet"
    unread = "unknown" if told.unread is None else f"{told.unread:,}"
    text = f"{told.group}: {unread} unread"
    if told.oldest_unread is not None:
        text += f" (oldest {age(told.oldest_unread)})"
    text += f", {told.pending or 0:,} pending"
    if told.oldest_pending is not None:
        text += f" (oldest {age(told.oldest_pending)})"
    return text


def _dead(told: Pipeline) -> str:
    text = f"{counted(told.dead or 0, 'dead letter')}, {told.totals.lost:,} lost to trimming"
    if told.trimmed_unread:
        text += f", {told.trimmed_unread:,} more since the last read"
    return f"{text}; see `graphwriter dead list`" if told.dead else text


def _server(server: Server) -> str:
    if server.up:
        return f"{server.place} answers in {server.seconds * 1000:.1f} ms"
    return f"{'REFUSES US' if server.refused else 'AWAY'}: {server.said}"


def _counted(worker: Worker) -> list[str]:
    counts: Any = worker.counts
    return [f"{getattr(counts, name):,}" for name in ("written", "unchanged", "dead")]


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _doing(worker: Worker, away: tuple[str | None, ...]) -> str:
    """Return what a worker does; that a server is `away` is said above, once for all."""
    doing = worker.doing if worker.alive else "ended"
    error = f": {worker.error}" if worker.error and worker.error not in away else ""
    return f"{doing}, {age(worker.progress_age)} ago{error}"
