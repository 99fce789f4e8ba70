"""graphwriter demo: the whole pipeline on this machine."""

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
from typing import TYPE_CHECKING, Any

import click

from graphwriter.cli import answers
from graphwriter.cli.imports import read_text
from graphwriter.cli.options import CONTEXT, settings
from graphwriter.cli.output import table
from graphwriter.config import Config, load
from graphwriter.errors import BadEvent, ConfigError, Unavailable
from graphwriter.text import counted

if TYPE_CHECKING:  # the drivers are not needed for --help
    from graphwriter.graph import Graph
    from graphwriter.stream import DeadLetters
    from graphwriter.stream.client import Client
    from graphwriter.worker.pool import Pool

STREAM = "stream:graphwriter:demo"  # never the stream of a pipeline in use
Streams = list[tuple["Client", str]]  # each with its client
START_TIME = 120  # seconds for the workers to connect and plan the statement

PICTURE = Path("graphwriter-demo.html")


@click.command("demo", context_settings=CONTEXT)
@click.argument("export", required=False, metavar="[EXPORT]")
@click.option("--events", "count", default=5000, show_default=True, help="Number of entries.")
@click.option("--seed", default=1, show_default=True, help="Seed of the generator.")
@settings("workers")
def command(config: Config, export: str | None, count: int, seed: int) -> None:
    """Run the whole pipeline on this machine, with generated data.

    It starts Valkey, Neo4j and a pool of workers, publishes events, some of them broken, and
    asks the graph. With EXPORT it uses your own Telegram Desktop export (result.json). It
    deletes everything at the end but a picture, graphwriter-demo.html.

    If REDIS_URL or NEO4J_URI is set, it uses that server: it refuses a graph that is not empty, and
    leaves its data there. It has as many streams as GRAPH_WRITER_STREAM names.
    """
    if export:
        _check(Path(export))
    # The servers exit by themselves, but supervisord and the stream have to be cleaned up here.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    data = Path(tempfile.mkdtemp(prefix="graphwriter-demo-"))
    try:
        _run(config, data, export, count, seed)
    except KeyboardInterrupt:
        click.echo("\nstopped, everything is deleted")
    finally:
        shutil.rmtree(data, ignore_errors=True)


def _run(config: Config, data: Path, export: str | None, count: int, seed: int) -> None:
    from graphwriter.cli import servers
    from graphwriter.graph import connect, schema
    from graphwriter.producers.demo.demo import Demo
    from graphwriter.stream import DeadLetters, info
    from graphwriter.stream.client import delete
    from graphwriter.stream.streams import each
    from graphwriter.worker.pool import Pool

    with servers.running(data, os.environ) as started:
        variables = started.variables
        last = len(config.streams) - 1
        setting = f"{STREAM}:{{0..{last}}}" if last else STREAM
        variables |= {"GRAPH_WRITER_STREAM": setting, "GRAPH_WRITER_BLOCK": "0.2"}
        variables["GRAPH_WRITER_EXPORTER"] = "false"  # another pipeline may use its port
        chosen = load({**os.environ, **variables}, workers=config.workers)
        run = data / "run"
        run.mkdir(mode=0o700)
        with connect(chosen) as graph, (data / "pool.log").open("wb") as log:
            graph.check()
            if graph.read("MATCH (n) RETURN 1 LIMIT 1"):
                raise ConfigError(
                    f"{chosen.neo4j_uri} is not empty, and the demo writes generated posts: use an "
                    "empty database, or unset NEO4J_URI"
                )
            schema.apply(graph, config.keep)
            pool = Pool(chosen, run, variables, log)
            streams = each(chosen.redis_url, setting)
            letters = [DeadLetters(client, name, chosen.group) for client, name in streams]
            demo, counts = Demo(count, seed), Counter[str]()
            try:
                pool.start()
                _ready(pool)
                click.echo(f"Pool     supervisord with {counted(chosen.workers, 'worker')}\n")
                events = _messages(Path(export), counts) if export else demo
                took = _write(chosen, streams, pool, events)
                pool.stop()
                total, dead = sum(info.length(*one) for one in streams), sum(map(len, letters))
                click.echo(
                    f"\n{total - dead:,} of {counted(total, 'entry')} written, {dead:,} kept as "
                    f"dead letters, in {took:.1f} s"
                )
                click.echo(f"{read_text(counts)}\n" if export else "")
                _answers(graph)
                if not export:
                    click.echo(
                        f"\nBroken events: {demo.planted['broken']:,} planted, {dead:,} kept"
                    )
                _dead(letters)
            finally:
                pool.stop()
                for (client, name), dead_ones in zip(streams, letters, strict=True):
                    delete(client, name, dead_ones.name)
                    client.close()


def _ready(pool: Pool) -> None:
    """Wait until the workers read: a fresh Neo4j needs seconds to plan the statement."""
    deadline = time.monotonic() + START_TIME
    while not all(worker.doing == "reading" for worker in pool.workers()):
        if not pool.running or time.monotonic() > deadline:
            raise Unavailable("the workers did not start in time: the servers run, but are slow")
        time.sleep(0.05)


def _check(export: Path) -> None:
    """Read the first message before any server is started, in case the file is not an export."""
    from graphwriter.producers import desktop

    if not export.exists():
        raise ConfigError(f"{export}: there is no such file; give the path of a result.json")
    next(desktop.events(export, rejected=lambda *_: None), None)


def _messages(export: Path, counts: Counter[str]) -> Iterable[Any]:
    from graphwriter.producers import desktop

    def rejected(place: str, error: BadEvent) -> None:
        click.echo(f"left out {place}: {error}", err=True)

    return desktop.events(export, rejected=rejected, counts=counts)


def _write(config: Config, streams: Streams, pool: Pool, events: Iterable[Any]) -> float:
    """Publish `events` and show their progress; return the seconds until all were written."""
    from graphwriter.producers.publisher import EventPublisher
    from graphwriter.stream import info

    start = shown = time.monotonic()
    click.echo("  time   published     written   unread  dead   read by worker")
    with EventPublisher(config.redis_url, config.stream) as publisher:
        for event in events:
            publisher.publish(event)
            if time.monotonic() - shown >= 1:
                shown = time.monotonic()
                _line(shown - start, publisher.published, config, streams, pool)
    while not all(info.drained(*one, config.group) for one in streams):
        time.sleep(0.05)
        if not pool.running:
            raise Unavailable("the pool exited before everything was written")
        if time.monotonic() - shown >= 1:
            shown = time.monotonic()
            _line(shown - start, publisher.published, config, streams, pool)
    took = time.monotonic() - start
    time.sleep(0.2)  # heartbeats show the last batch a moment after its acknowledgement
    _line(took, publisher.published, config, streams, pool)
    return took


def _line(seconds: float, published: int, config: Config, streams: Streams, pool: Pool) -> None:
    from graphwriter.stream import info

    facts = info.together([info.stream(*one, config.group) for one in streams])
    counts = [worker.counts for worker in pool.workers()]
    done = sum(each.written + each.unchanged for each in counts)
    read = "  ".join(f"{each.entries:,}" for each in counts)
    unread = facts.unread or 0
    click.echo(f"{seconds:5.1f}s {published:11,} {done:11,} {unread:8,} {facts.dead:5,}   {read}")


def _answers(graph: Graph) -> None:
    """Ask two questions, and write the picture of the first into the current directory."""
    import msgspec

    from graphwriter import queries
    from graphwriter.graph.client import statement

    channels = msgspec.to_builtins(queries.channels(graph, limit=10))
    click.echo("graphwriter ask channels --limit 10")
    answers.show(channels)
    click.echo("\ngraphwriter ask wanted --limit 5")
    answers.show(msgspec.to_builtins(queries.wanted(graph, limit=5)))
    try:
        answers.write("channels", msgspec.to_builtins(queries.channels(graph)), None, None, PICTURE)
        click.echo(f"\nThe network of channels is drawn in {PICTURE}\n")
    except ConfigError as error:
        click.echo(f"\nThe network of channels is not drawn: {error}\n")
    links = graph.read(statement("links_by_type"))
    table(["link", "number"], [[row["link"], f"{row['number']:,}"] for row in links])
    posts = graph.read(statement("Post"))[0]["number"]
    placeholders = graph.read(statement("placeholders"))[0]["number"]
    click.echo(
        f"\n{counted(posts, 'post')}; placeholders (referenced, not ingested yet): {placeholders:,}"
    )


def _dead(dead: list[DeadLetters]) -> None:
    letters = [letter for one in dead for letter in one.list()]
    reasons = Counter(letter.reason for letter in letters)
    samples = {letter.reason: letter.error for letter in reversed(letters)}
    click.echo()
    table(
        ["reason", "number", "first error"],
        [[reason, f"{number:,}", samples[reason]] for reason, number in reasons.most_common()],
        empty="no dead letters",
    )
