"""graphwriter verify: a source of truth held against the graph."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from graphwriter.cli.options import CONTEXT, NEO4J, REDIS, Group, settings
from graphwriter.cli.output import as_json, counted, echo_json, folded, progress, table
from graphwriter.cli.selection import selected, selection
from graphwriter.config import Config
from graphwriter.errors import EXIT_DIFFERENT, EXIT_FAILED, EXIT_OK, GraphwriterError

if TYPE_CHECKING:  # the drivers are not needed for --help
    from graphwriter.verify.audit import Audit, Report
    from graphwriter.verify.sources import Source

F = TypeVar("F", bound=Callable[..., Any])
SHOWN = 3  # examples of a kind in the table; --json has all that are kept


@click.group("verify", cls=Group, context_settings=CONTEXT)
def command() -> None:
    """Hold a source of truth against the graph, and mend what differs.

    Says, per kind, what is missing, wrong, too much, or of an older version, and what no graph may
    hold, such as orphans and duplicates. Safe at any time, beside running workers, and to run
    twice. Exit codes: 0 the graph is right (or was mended), 3 it differs, 1 not all could be looked
    at, others nothing could.
    """


def audited(function: F) -> F:
    """Give a command the options of every audit."""
    for option in (
        as_json,
        click.option(
            "--examples",
            type=click.IntRange(0, 10_000),
            default=10,
            metavar="NUMBER",
            help="Examples kept of each kind; default 10.",
        ),
        click.option(
            "--sample",
            "share",
            type=click.FloatRange(0, 1, min_open=True),
            default=1.0,
            metavar="SHARE",
            help="Look at this share of posts and nodes only, such as 0.01, others each time.",
        ),
        click.option("--repair", is_flag=True, help="Mend what differs."),
    ):
        function = option(function)
    return function


@command.command("stream", context_settings=CONTEXT)
@audited
@settings(*REDIS, *NEO4J, "tenant", "text")
def stream(config: Config, **options: Any) -> None:
    """Compare with the entries that the stream still holds.

    Those that the group has not read or not acknowledged are in flight, and not missed. An entry
    that cannot be decoded ought to be a dead letter, and is reported on its own.
    """
    from graphwriter.stream import Stream
    from graphwriter.verify.sources import StreamSource

    found = Stream(config.redis_url, config.stream, config.group, "")
    _run(config, StreamSource(found, config.tenant), **options)


@command.command("file", context_settings=CONTEXT)
@click.argument("file", metavar="FILE")
@audited
@settings(*NEO4J, "tenant", "text")
def file(config: Config, file: str, **options: Any) -> None:
    """Compare with a file of events, one on a line.

    FILE is one that `publish` sends. It may be gzipped; - is standard input. What is on its way
    through the stream counts as missing: wait until `status` shows nothing unread or pending.
    """
    from graphwriter.verify.sources import FileSource

    _run(config, FileSource(file, config.tenant), strict=True, **options)


@command.command("desktop", context_settings=CONTEXT)
@click.argument("file", metavar="FILE")
@click.option("--as-tenant", default="desktop", metavar="NAME", help="As `import` was told.")
@audited
@settings(*NEO4J, "text")
def desktop_(config: Config, file: str, as_tenant: str, **options: Any) -> None:
    """Compare with a Telegram Desktop export.

    FILE is what `import desktop` sends. A post's time is when it was edited, else posted: where the
    graph holds the same of another time all is well, and where it holds something else of a later
    time, that is taken for newer.
    """
    from graphwriter.producers import desktop
    from graphwriter.verify.sources import export

    _run(config, export(desktop.events, file, as_tenant), strict=True, **options)


@command.command("telethon", context_settings=CONTEXT)
@click.argument("file", metavar="FILE")
@click.option("--as-tenant", default="telethon", metavar="NAME", help="As `import` was told.")
@audited
@settings(*NEO4J, "text")
def telethon(config: Config, file: str, as_tenant: str, **options: Any) -> None:
    """Compare with a Telethon dump.

    FILE is what `import telethon` sends. Times are compared as for `desktop`.
    """
    from graphwriter.producers.telethon import dump
    from graphwriter.verify.sources import export

    _run(config, export(dump.events, file, as_tenant), strict=True, **options)


@command.command("postgres", context_settings=CONTEXT)
@selected
@audited
@settings("database_url", *NEO4J, "tenant", "text")
def postgres(config: Config, **options: Any) -> None:
    """Compare with the posts of a PostgreSQL database.

    They are what `backfill` writes: those that forward or reply, unless --all or another selection
    is given. Times are compared as for `desktop`; a row's is its updated_at, else its posted_at.
    """
    from graphwriter.backfill.backfill import source
    from graphwriter.database import Database
    from graphwriter.verify.sources import DatabaseSource

    config.require("database_url", "neo4j_uri")
    chosen = selection(config, options)
    with Database(source(config), chosen) as database:
        database.check()
        _run(config, DatabaseSource(database, config.tenant), strict=True, **options)


@command.command("graph", context_settings=CONTEXT)
@audited
@settings(*NEO4J)
def graph(config: Config, **options: Any) -> None:
    """Look at the graph alone.

    Constraints, duplicates, orphans, versions, links nobody said.
    """
    _run(config, None, **options)


def _run(
    config: Config,
    source: Source | None,
    *,
    repair: bool,
    share: float,
    examples: int,
    json: bool,
    strict: bool = False,
) -> None:
    """Audit, print the report, and exit; `strict`: what cannot be decoded was not looked at."""
    from graphwriter.graph import connect
    from graphwriter.verify.audit import Audit

    failed: GraphwriterError | None = None
    stop = _Stop()
    with connect(config) as connected:
        audit = Audit(connected, repair=repair, share=share, text=config.text, examples=examples)
        try:
            connected.check()
            _steps(audit, source)
        except KeyboardInterrupt:
            pass
        except GraphwriterError as error:
            failed = error
    report = audit.report
    if report.counts or report.found:
        (_as_json if json else _as_table)(report, repair)
    if stop.asked:  # the driver may have made an error of its own of it
        click.echo("graphwriter: stopped; what was mended stays so", err=True)
        sys.exit(EXIT_FAILED)
    if failed is not None:
        raise failed
    unseen = strict and report.counts["undecodable"]
    sys.exit(EXIT_DIFFERENT if report.left else EXIT_FAILED if unseen else EXIT_OK)


class _Stop:
    """Ends what runs by an exception on SIGINT and SIGTERM, and knows that it did."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, *_: object) -> None:
        if not self.asked:
            self.asked = True
            raise KeyboardInterrupt


def _steps(audit: Audit, source: Source | None) -> None:
    audit.constraints()
    if source is not None:
        audit.compare(source, progress(source, "comparing, event"))
    for _ in progress(audit.scan(), "looking through the graph, page", every=1):
        pass
    audit.report.complete = True


def _as_json(report: Report, _repair: bool) -> None:
    for kind, found in report.kinds.items():
        examples = [{"where": one.where, "detail": one.detail} for one in found.examples]
        echo_json({"kind": kind, "found": found.found, "left": found.left, "examples": examples})
    for note in report.notes:
        echo_json({"kind": "note", "note": note.kind, "where": note.where, "detail": note.detail})
    ended = {
        "share": report.share,
        "by_key": report.compared,
        "complete": report.complete,
    }
    echo_json(
        {"kind": "summary", "found": report.found, "left": report.left} | ended | report.counts
    )


def _as_table(report: Report, repair: bool) -> None:
    from graphwriter.verify.audit import KINDS

    rows = [
        [kind, f"{found.found:,}", *([f"{found.left:,}"] if repair else []), KINDS[kind]]
        for kind, found in report.kinds.items()
        if found.found
    ]
    if rows:
        table(["difference", "found", *(["left"] if repair else []), "what it is"], rows)
        click.echo()
        for kind, found in report.kinds.items():
            for one in found.examples[:SHOWN]:
                click.echo(folded(f"{kind} {one.where}: {one.detail}", "  "))
    for note in report.notes:
        click.echo(folded(f"{note.kind} {note.where}: {note.detail}", "  "))
    for line in _told(report):
        click.echo(line)
    if report.found:
        mended = f", {report.found - report.left:,} mended" if repair else ""
        click.echo(f"{counted(report.found, 'difference')}{mended}")
    elif report.complete:
        click.echo("no difference")


def _told(report: Report) -> list[str]:
    counts = report.counts
    lines = []
    if counts["events"]:
        lines.append(
            f"compared {counted(counts['compared'], 'post')} of "
            f"{counted(counts['events'], 'event')}: {counts['right']:,} facets right, "
            f"{counts['newer']:,} newer in the graph"
        )
    left_out = [
        f"{counts[key]:,} {text}"
        for key, text in (
            ("in_flight", "on their way"),
            ("undecodable", "that cannot be decoded"),
            ("dead", "that are dead letters"),
            ("taken", "whose post_id is another post's"),
        )
        if counts[key]
    ]
    if left_out:
        lines.append(f"left out: {', '.join(left_out)}")
    if counts["nodes"]:
        more = "".join(
            f", {counted(counts[key], 'post')} {text}"
            for key, text in (
                ("unversioned", "of which no event is known"),
                ("unadopted", "of another service without an address"),
            )
            if counts[key]
        )
        lines.append(f"looked at {counted(counts['nodes'], 'node')}{more}")
    if report.share < 1:
        lines.append(f"a sample of about {report.share:.2%} of posts and nodes")
    if not report.compared:
        lines.append("not compared: without its constraints the graph cannot be read by key")
    if not report.complete:
        lines.append("not complete")
    return lines
