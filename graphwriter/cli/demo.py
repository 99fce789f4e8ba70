"""graphwriter demo: the whole pipeline at work, on this machine alone."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString

import click

from graphwriter.cli.options import CONTEXT, settings
from graphwriter.cli.output import counted, table
from graphwriter.cli.sending import read
from graphwriter.config import Config, load
from graphwriter.errors import BadEvent, ConfigError, Unavailable

if TYPE_CHECKING:  # the drivers are not needed for --help
    from graphwriter.graph import Graph
    from graphwriter.stream import DeadLetters, Stream
    from graphwriter.worker.pool import Pool

STREAM = "stream:graphwriter:demo"  # never the stream of a pipeline in use
READY = 120  # seconds for the workers to find both servers and plan the statement

# The questions that the people who use such a graph ask it first.
QUERIES: dict[str, LiteralString] = {
    "Where posts were forwarded from": """
MATCH (p:Post)-[r:FORWARDED_FROM]->(fs:ForwardSource)
RETURN p.post_id, fs.source_id, fs.source_type, r.forward_date LIMIT 10""",
    "What posts reply to": """
MATCH (p1:Post)-[r:REPLIES_TO]->(p2:Post)
RETURN p1.post_id, p2.post_id, r.thread_id LIMIT 10""",
    "Who wrote them": """
MATCH (a:Author)-[r:AUTHOR_OF]->(p:Post)
RETURN a.author_id, a.author_type, p.post_id LIMIT 10""",
    "How many": """
MATCH (p:Post)
OPTIONAL MATCH (p)-[:FORWARDED_FROM]->(fs:ForwardSource)
OPTIONAL MATCH (p)-[:REPLIES_TO]->(p2:Post)
OPTIONAL MATCH (a:Author)-[:AUTHOR_OF]->(p)
RETURN count(DISTINCT p) AS posts, count(DISTINCT fs) AS forward_sources,
  count(DISTINCT p2) AS reply_targets, count(DISTINCT a) AS authors""",
}
LINKS: LiteralString = """
MATCH ()-[r]->() WITH type(r) AS link, count(*) AS number RETURN link, number ORDER BY link"""
WAITING: LiteralString = """
MATCH (m:Message) WHERE NOT m:Post RETURN count(m) AS number"""


@click.command("demo", context_settings=CONTEXT)
@click.argument("export", required=False, metavar="[EXPORT]")
@click.option("--events", "count", default=5000, show_default=True, help="Made-up entries.")
@click.option("--seed", default=1, show_default=True, help="Another number, other events.")
@settings("workers")
def command(config: Config, export: str | None, count: int, seed: int) -> None:
    """Show the whole pipeline at work on this machine, with made-up data.

    Starts Valkey, Neo4j and a pool of workers, publishes events, some of them broken, and asks the
    graph. With EXPORT it is your own Telegram Desktop export (result.json) instead. Everything is
    removed in the end.

    Where REDIS_URL or NEO4J_URI is set, that server is used: a graph that is not empty is refused,
    and what the demo writes to it stays there.
    """
    if export:
        _check(Path(export))
    # The servers are ended by their own care, but supervisord and the stream only by ours.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    data = Path(tempfile.mkdtemp(prefix="graphwriter-demo-"))
    try:
        _run(config, data, export, count, seed)
    except KeyboardInterrupt:
        click.echo("\nstopped, and everything is removed")
    finally:
        shutil.rmtree(data, ignore_errors=True)


def _run(config: Config, data: Path, export: str | None, count: int, seed: int) -> None:
    from graphwriter.cli import servers
    from graphwriter.graph import connect, schema
    from graphwriter.producers.demo.demo import Demo
    from graphwriter.stream import DeadLetters, Stream
    from graphwriter.stream.client import translated
    from graphwriter.worker.pool import Pool

    with servers.running(data, os.environ) as started:
        variables = started.variables
        variables |= {"GRAPH_WRITER_STREAM": STREAM, "GRAPH_WRITER_BLOCK": "0.2"}
        variables["GRAPH_WRITER_EXPORTER"] = "false"  # a pipeline in use may have its port
        chosen = load({**os.environ, **variables}, workers=config.workers)
        run = data / "run"
        run.mkdir(mode=0o700)
        with connect(chosen) as graph, (data / "pool.log").open("wb") as log:
            graph.check()
            if graph.read("MATCH (n) RETURN 1 LIMIT 1"):
                raise ConfigError(
                    f"{chosen.neo4j_uri} is not empty, and the demo writes made-up posts: give it "
                    "an empty database, or unset NEO4J_URI"
                )
            schema.apply(graph)
            pool = Pool(chosen, run, variables, log)
            stream = Stream(chosen.redis_url, STREAM, chosen.group, "demo")
            letters = DeadLetters(stream.client, STREAM, chosen.group)
            demo, counts = Demo(count, seed), Counter[str]()
            try:
                pool.start()
                _ready(pool)
                click.echo(f"Pool     supervisord with {counted(chosen.workers, 'worker')}\n")
                events = _messages(Path(export), counts) if export else demo
                took = _write(chosen, stream, pool, events)
                pool.stop()
                total, dead = stream.length(), len(letters)
                click.echo(
                    f"\n{total - dead:,} of {counted(total, 'entry')} written, {dead:,} kept as "
                    f"dead letters, in {took:.1f} s"
                )
                click.echo(f"{read(counts)}\n" if export else "")
                _answers(graph)
                if not export:
                    click.echo(
                        f"\nBroken events: {demo.planted['broken']:,} planted, {dead:,} kept"
                    )
                _dead(letters)
            finally:
                pool.stop()
                with translated(stream.client):
                    stream.client.delete(STREAM, letters.name)


def _ready(pool: Pool) -> None:
    """Wait for the workers to read: a fresh Neo4j takes seconds to plan the first statement."""
    deadline = time.monotonic() + READY
    while not all(worker.doing == "reading" for worker in pool.workers()):
        if not pool.running or time.monotonic() > deadline:
            raise Unavailable("the workers did not get ready: the servers are up, but slow")
        time.sleep(0.05)


def _check(export: Path) -> None:
    """Read the first message, before any server is started for a file that is no export."""
    from graphwriter.producers import desktop

    if not export.exists():
        raise ConfigError(f"{export}: there is no such file; give the path of a result.json")
    next(desktop.events(export, rejected=lambda *_: None), None)


def _messages(export: Path, counts: Counter[str]) -> Iterable[Any]:
    from graphwriter.producers import desktop

    def rejected(place: str, error: BadEvent) -> None:
        click.echo(f"left out {place}: {error}", err=True)

    return desktop.events(export, rejected=rejected, counts=counts)


def _write(config: Config, stream: Stream, pool: Pool, events: Iterable[Any]) -> float:
    """Publish `events` and show what becomes of them; return the seconds until all were written."""
    from graphwriter import status
    from graphwriter.producers.publisher import EventPublisher

    start = shown = time.monotonic()
    click.echo("  time   published     written   unread  dead   read by worker")
    with EventPublisher(config.redis_url, STREAM) as publisher:
        for event in events:
            publisher.publish(event)
            if time.monotonic() - shown >= 1:
                shown = time.monotonic()
                _line(shown - start, publisher.published, stream, pool)
    while not status.drained(stream):
        time.sleep(0.05)
        if not pool.running:
            raise Unavailable("the pool ended before everything was written")
        if time.monotonic() - shown >= 1:
            shown = time.monotonic()
            _line(shown - start, publisher.published, stream, pool)
    took = time.monotonic() - start
    time.sleep(0.2)  # the workers' files tell of the last batch a moment after its acknowledgement
    _line(took, publisher.published, stream, pool)
    return took


def _line(seconds: float, published: int, stream: Stream, pool: Pool) -> None:
    from graphwriter.stream import looking

    seen = looking.look(stream.client, stream.name, stream.group)
    counts = [worker.counts for worker in pool.workers()]
    done = sum(one.written + one.unchanged for one in counts)
    each = "  ".join(f"{one.entries:,}" for one in counts)
    click.echo(
        f"{seconds:5.1f}s {published:11,} {done:11,} {seen.unread or 0:8,} {seen.dead:5,}   {each}"
    )


def _answers(graph: Graph) -> None:
    for title, query in QUERIES.items():
        click.echo(f"{title}{query}")
        rows = graph.read(query)
        cells = [[_cell(value) for value in row.values()] for row in rows]
        table(list(rows[0]) if rows else [], cells, empty="(none)", whole=False)
        click.echo()
    table(["link", "number"], [[x["link"], f"{x['number']:,}"] for x in graph.read(LINKS)])
    waiting = graph.read(WAITING)[0]["number"]
    click.echo(f"\nMessages that something points to and that have not arrived: {waiting:,}")


def _cell(value: Any) -> Any:
    """Return a value short enough for a table: a time in whole seconds, a text cut."""
    if hasattr(value, "iso_format"):
        return value.iso_format()[:19].replace("T", " ")
    return value[:36] if isinstance(value, str) else value


def _dead(dead: DeadLetters) -> None:
    letters = list(dead.list())
    reasons = Counter(letter.reason for letter in letters)
    samples = {letter.reason: letter.error for letter in reversed(letters)}
    click.echo()
    table(
        ["reason", "number", "the first one says"],
        [[reason, f"{number:,}", samples[reason]] for reason, number in reasons.most_common()],
        empty="no dead letters",
    )
