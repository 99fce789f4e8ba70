"""graphwriter verify: compare the graph with a source, and check its invariants."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from graphwriter.cli.options import (
    CONTEXT,
    NEO4J,
    REDIS,
    Group,
    account,
    selected,
    selection,
    settings,
)
from graphwriter.cli.output import as_json, counting, echo_json, folded, table
from graphwriter.config import Config
from graphwriter.errors import EXIT_DIFFERENT, EXIT_FAILED, EXIT_OK, GraphwriterError
from graphwriter.text import counted

if TYPE_CHECKING:  # the drivers are not needed for --help
    from graphwriter.verify.audit import Audit, AuditReport
    from graphwriter.verify.sources import Source
    from graphwriter.worker.runtime import StopSignals

F = TypeVar("F", bound=Callable[..., Any])
TABLE_EXAMPLES = 3  # of each kind; --json has all that are kept


@click.group("verify", cls=Group, context_settings=CONTEXT)
def command() -> None:
    """Compare the graph with a source, and repair the differences.

    Reports, by kind, what is missing, wrong, extra or outdated, and violations of invariants such
    as orphans and duplicates. Safe at any time, next to running workers, and idempotent. Exit
    codes: 0 the graph is right (or was repaired), 3 it differs, 1 not everything could be checked,
    others: nothing could be checked.
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
            help="Examples of each kind; default 10.",
        ),
        click.option(
            "--sample",
            "share",
            type=click.FloatRange(0, 1, min_open=True),
            default=1.0,
            metavar="SHARE",
            help="Check only this share of posts and nodes, such as 0.01, chosen at random.",
        ),
        click.option("--repair", is_flag=True, help="Repair the differences."),
    ):
        function = option(function)
    return function


@command.command("stream", context_settings=CONTEXT)
@audited
@settings(*REDIS, *NEO4J, "tenant", "text", "enrich")
def stream(config: Config, **options: Any) -> None:
    """Compare with the entries that are still in the stream.

    Unread and pending entries are in flight, and not a difference. An entry that cannot be decoded
    should be a dead letter, and is counted separately.
    """
    from graphwriter.stream.streams import each
    from graphwriter.verify.sources import StreamSource

    streams = each(config.redis_url, config.stream)
    _run(config, StreamSource(streams, config.group, config.tenant, config.keep), **options)


@command.command("file", context_settings=CONTEXT)
@click.argument("file", metavar="FILE")
@audited
@settings(*NEO4J, "tenant", "text", "enrich")
def file(config: Config, file: str, **options: Any) -> None:
    """Compare with a file of events, one per line.

    FILE is a file for `publish`. It may be gzipped; - is standard input. Events that are still in
    the stream count as missing: wait until `status` shows nothing unread or pending.
    """
    from graphwriter.verify.sources import FileSource

    _run(config, FileSource(file, config.tenant, config.keep), strict=True, **options)


@command.command("desktop", context_settings=CONTEXT)
@click.argument("file", metavar="FILE")
@click.option("--as-tenant", default="desktop", metavar="NAME", help="As given to `import`.")
@account
@audited
@settings(*NEO4J, "text", "enrich")
def desktop_(
    config: Config, file: str, as_tenant: str, account: int | None, **options: Any
) -> None:
    """Compare with a Telegram Desktop export.

    FILE is a file for `import desktop`. The time of a post is its edit time, else its date. Equal
    values with another time are right; different values with a later time count as newer.
    """
    from graphwriter.producers import desktop
    from graphwriter.verify.sources import export

    _run(
        config,
        export(desktop.events, file, as_tenant, account, config.keep),
        strict=True,
        **options,
    )


@command.command("telethon", context_settings=CONTEXT)
@click.argument("file", metavar="FILE")
@click.option("--as-tenant", default="telethon", metavar="NAME", help="As given to `import`.")
@account
@audited
@settings(*NEO4J, "text", "enrich")
def telethon(
    config: Config, file: str, as_tenant: str, account: int | None, **options: Any
) -> None:
    """Compare with a Telethon dump.

    FILE is a file for `import telethon`. Times are compared as for `desktop`.
    """
    from graphwriter.producers.telethon import dump
    from graphwriter.verify.sources import export

    _run(config, export(dump.events, file, as_tenant, account, config.keep), strict=True, **options)


@command.command("postgres", context_settings=CONTEXT)
@selected
@audited
@settings("database_url", *NEO4J, "tenant", "text", "enrich")
def postgres(config: Config, **options: Any) -> None:
    """Compare with the posts of a PostgreSQL database.

    The posts are those that `backfill` writes: with a forward or reply, unless --all or another
    selection is given. Times are compared as for `desktop`; the time of a row is updated_at, else
    posted_at.
    """
    from graphwriter.backfill.backfill import source
    from graphwriter.database import Database
    from graphwriter.verify.sources import DatabaseSource

    config.require("database_url", "neo4j_uri")
    chosen = selection(config, options)
    with Database(source(config), chosen, config.keep) as database:
        database.check()
        _run(config, DatabaseSource(database, config.tenant, config.keep), strict=True, **options)


@command.command("graph", context_settings=CONTEXT)
@audited
@settings(*NEO4J, "enrich")
def graph(config: Config, **options: Any) -> None:
    """Check only the graph.

    Check constraints, duplicates, orphans, impossible versions and links without an event.
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
    """Audit, print the report, and exit; `strict`: undecodable events count as not checked."""
    from graphwriter.graph import connect
    from graphwriter.verify.audit import Audit

    failed: GraphwriterError | None = None
    report: AuditReport | None = None
    stopped = _stop_signals()
    try:
        with stopped, connect(config) as connected:
            audit = Audit(
                connected, repair=repair, share=share, keep=config.keep, examples=examples
            )
            report = audit.report
            connected.check()
            _steps(audit, source)
    except GraphwriterError as error:
        failed = error
    except BaseException:  # an interrupt inside the driver may end as any error, also in its close
        if not stopped.received:
            raise
    if report is not None and (report.counts or report.found):
        (_as_json if json else _as_table)(report, repair)
    if stopped.received:
        click.echo("graphwriter: stopped; finished repairs stay", err=True)
        sys.exit(EXIT_FAILED)
    if failed is not None:
        raise failed
    assert report is not None
    unchecked = strict and report.counts["undecodable"]
    sys.exit(EXIT_DIFFERENT if report.left else EXIT_FAILED if unchecked else EXIT_OK)


def _stop_signals() -> StopSignals:
    """Return a context in which the first SIGINT or SIGTERM raises KeyboardInterrupt."""
    from graphwriter.worker.runtime import StopSignals

    def interrupt() -> None:
        if signals.received == 1:
            raise KeyboardInterrupt

    signals = StopSignals(interrupt)
    return signals


def _steps(audit: Audit, source: Source | None) -> None:
    audit.constraints()
    if source is not None:
        audit.compare(source, counting(source, "comparing, event"))
    for _ in counting(audit.scan(), "scanning the graph, page", every=1):
        pass
    audit.report.complete = True


def _as_json(report: AuditReport, _repair: bool) -> None:
    for kind, entry in report.kinds.items():
        examples = [{"where": each.where, "detail": each.detail} for each in entry.examples]
        echo_json({"kind": kind, "found": entry.found, "left": entry.left, "examples": examples})
    for note in report.notes:
        echo_json({"kind": "note", "note": note.kind, "where": note.where, "detail": note.detail})
    state = {
        "share": report.share,
        "by_key": report.compared,
        "complete": report.complete,
    }
    echo_json(
        {"kind": "summary", "found": report.found, "left": report.left} | state | report.counts
    )


def _as_table(report: AuditReport, repair: bool) -> None:
    from graphwriter.verify.audit import KINDS

    rows = [
        [kind, f"{found.found:,}", *([f"{found.left:,}"] if repair else []), KINDS[kind]]
        for kind, found in report.kinds.items()
        if found.found
    ]
    if rows:
        table(["difference", "found", *(["left"] if repair else []), "meaning"], rows)
        click.echo()
        for kind, found in report.kinds.items():
            for one in found.examples[:TABLE_EXAMPLES]:
                click.echo(folded(f"{kind} {one.where}: {one.detail}", "  "))
    for note in report.notes:
        click.echo(folded(f"{note.kind} {note.where}: {note.detail}", "  "))
    for line in _summary(report):
        click.echo(line)
    if report.found:
        repaired = f", {report.found - report.left:,} repaired" if repair else ""
        click.echo(f"{counted(report.found, 'difference')}{repaired}")
    elif report.complete:
        click.echo("no difference")


def _summary(report: AuditReport) -> list[str]:
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
            ("in_flight", "in flight"),
            ("undecodable", "that cannot be decoded"),
            ("dead", "that are dead letters"),
            ("taken", "whose post_id another address has"),
        )
        if counts[key]
    ]
    if left_out:
        lines.append(f"left out: {', '.join(left_out)}")
    if counts["nodes"]:
        more = "".join(
            f", {counted(counts[key], 'post')} {text}"
            for key, text in (
                ("unversioned", "without a known event"),
                ("unadopted", "of another service without an address"),
            )
            if counts[key]
        )
        lines.append(f"scanned {counted(counts['nodes'], 'node')}{more}")
    if report.share < 1:
        lines.append(f"a sample of about {report.share:.2%} of posts and nodes")
    if not report.compared:
        lines.append("not compared: without its constraints the graph cannot be read by key")
    if not report.complete:
        lines.append("not complete")
    return lines
