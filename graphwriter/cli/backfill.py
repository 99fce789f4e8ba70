"""graphwriter backfill: write the posts of a PostgreSQL database to the graph."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from graphwriter.cli import offline
from graphwriter.cli.options import CONTEXT, NEO4J, selected, selection, settings
from graphwriter.cli.output import Progress, as_json, echo_json, table
from graphwriter.config import Config
from graphwriter.errors import EXIT_FAILED, ConfigError
from graphwriter.events.telegram import Peer
from graphwriter.text import counted

if TYPE_CHECKING:
    from graphwriter.backfill import checkpoint
    from graphwriter.backfill.processes import Job
    from graphwriter.backfill.rows import DryRun


@click.command("backfill", context_settings=CONTEXT)
@selected
@click.option(
    "--ids-file",
    type=Path,
    metavar="FILE",
    help="Posts with these ids, one per line; - is standard input.",
)
@click.option(
    "--via",
    type=click.Choice(["graph", "stream"]),
    default="graph",
    show_default=True,
    help="Write to the graph, or publish to the stream, so that workers write them.",
)
@click.option("--rewrite", is_flag=True, help="Also write posts that are in the graph already.")
@click.option(
    "--state", type=Path, metavar="DIRECTORY", help="Directory of the checkpoint and the rejects."
)
@click.option("--dry-run", is_flag=True, help="Show what would be written, and write nothing.")
@offline.options
@as_json
@settings(
    "database_url",
    *NEO4J,
    "redis_url",
    "stream",
    "workers",
    "batch_size",
    "text",
    "enrich",
    "tenant",
)
def command(config: Config, json: bool, **options: Any) -> None:
    """Write the posts of a PostgreSQL database to the graph.

    Posts with a forward or reply, or with --all every post; --since and --channel select fewer.
    Workers may run meanwhile: the newer version of a post wins. The same command resumes at its
    checkpoint after an interruption. A row that cannot be written is logged and added to a rejects
    file; the exit code is then 1, also for a dry run. Ctrl-C or SIGTERM stops it after the current
    batches, a second one immediately.

    With --offline it makes a first load: files for Neo4j's own import, which fills an empty
    database. --import imports them into the embedded Neo4j of `graphwriter up`, which must
    not run meanwhile; without it the command for another server is printed.
    """
    from graphwriter.backfill.processes import Job

    ids, via = options["ids_file"], options["via"]
    if ids and (options["every"] or options["since"] or options["channels"]):
        raise click.UsageError("--ids-file selects the posts: leave out --all, --since, --channel")
    if options["rewrite"] and via == "stream":
        raise click.UsageError("--rewrite writes to the graph directly: leave out --via stream")
    offline.refuse(options)
    if options["offline"] is not None:
        _offline(config, options, json)
    servers = ("database_url", "redis_url" if via == "stream" else "neo4j_uri")
    config.require(*servers)
    for warning in config.exposed(*servers):
        click.echo(f"graphwriter: {warning}", err=True)
    chosen = selection(config, options, every=ids is not None)
    job = Job(config, chosen, via == "stream", options["rewrite"])
    with _rereadable(ids) as file:
        if options["dry_run"]:
            _dry_run(job, file, json)
        else:
            _run(job, options["state"] or _state(), file, json)


def _offline(config: Config, options: dict[str, Any], json: bool) -> NoReturn:
    """Make an offline load, and end the process."""
    from graphwriter.backfill.offline import Source

    if not options["events"]:
        config.require("database_url")
        for warning in config.exposed("database_url"):
            click.echo(f"graphwriter: {warning}", err=True)
    chosen = selection(config, options, every=options["ids_file"] is not None)
    with _rereadable(options["ids_file"]) as file:
        offline.run(config, Source(chosen, file, options["events"]), options, json)


@contextmanager
def _rereadable(ids: Path | None) -> Iterator[Path | None]:
    """Yield a file of ids that can be read twice: a copy if it is a pipe or -."""
    if ids is None or ids.is_file() or not (str(ids) == "-" or ids.exists()):
        yield ids
        return
    with tempfile.NamedTemporaryFile(prefix="graphwriter-ids-") as copy:
        try:
            with sys.stdin.buffer if str(ids) == "-" else ids.open("rb") as given:
                shutil.copyfileobj(given, copy)
        except OSError as error:
            raise ConfigError(f"--ids-file {ids}: {error.strerror}") from None
        copy.flush()
        yield Path(copy.name)


def _run(job: Job, state: Path, ids: Path | None, json: bool) -> None:
    from graphwriter.backfill.backfill import Backfill
    from graphwriter.worker.runtime import StopSignals

    backfill = Backfill(job, state, ids)
    start = time.monotonic()
    with Progress("backfill", "post") as shown, StopSignals(backfill.stop, second_kills=True):

        def show(progress: checkpoint.Progress) -> None:
            shown.update(progress.read, progress.total)

        progress, stopped = backfill.run(show)
    result = {
        "total": progress.total,
        "read": progress.read,
        "written": progress.written,
        "unchanged": progress.read - progress.written - progress.rejected,
        "rejected": progress.rejected,
        "rejects": str(backfill.checkpoint.rejects) if progress.rejected else None,
        "stopped": stopped,
        "seconds": round(time.monotonic() - start, 3),
    }
    if json:
        echo_json(result)
    else:
        done = "published" if job.via_stream else "written"
        click.echo(
            f"read {counted(progress.read, 'post')}: {progress.written:,} {done}, "
            f"{result['unchanged']:,} unchanged, {progress.rejected:,} rejected"
        )
        if stopped:
            click.echo("stopped; the same command resumes from here")
        if progress.rejected:
            many = f"{progress.rejected:,} of {counted(progress.read, 'post')}"
            click.echo(f"rejected {many}, each with its reason in {result['rejects']}")
    _hint(job, progress.read)
    sys.exit(EXIT_FAILED if stopped or progress.rejected else 0)


def _dry_run(job: Job, ids: Path | None, json: bool) -> None:
    from graphwriter.backfill import backfill
    from graphwriter.backfill.rows import DryRun
    from graphwriter.database import Database, Part

    dry_run = DryRun()
    with Database(backfill.source(job.config), job.selection, job.config.keep) as database:
        parts = [Part()] if ids is None else backfill.parts_of(ids)
        total = database.count() if ids is None else 0
        with Progress("reading", "post") as shown:
            for part in parts:
                for read in dry_run.run(database, part, job.config.tenant):
                    shown.update(read, total)
    if json:
        rejects = [reject._asdict() for reject in dry_run.rejects]
        echo_json({**dry_run.counts, "events": dry_run.events, "rejects": rejects})
    else:
        _show(dry_run)
    _hint(job, dry_run.counts["read"])
    sys.exit(EXIT_FAILED if dry_run.counts["rejected"] else 0)


def _show(dry_run: DryRun) -> None:
    counts = dry_run.counts
    click.echo(
        f"read {counted(counts['read'], 'post')}, {counts['rejected']:,} to be rejected; "
        f"would write {counts['posts']:,} posts, {counts['forwards']:,} forwards, "
        f"{counts['replies']:,} replies, {counts['authors']:,} authors"
    )
    for event in dry_run.events:
        table(["field", "value"], list(event.items()))
        click.echo()
    for reject in dry_run.rejects:
        click.echo(f"post {reject.id} would be rejected: {reject.reason}: {reject.message}")
    if counts["rejected"]:
        many = f"{counts['rejected']:,} of {counted(counts['read'], 'post')}"
        click.echo(f"{many} would be rejected, the first for the reasons above")


def _hint(job: Job, read: int) -> None:
    """Print the possible ids if --channel selects nothing."""
    for channel_id in job.selection.channels if not read else ():
        ids = "expected the marked Telegram id of a chat, or a value of channel_id"
        if channel_id.isdecimal() and (bare := int(channel_id)) > 0:
            channel, chat = Peer("channel", bare).marked, Peer("chat", bare).marked
            ids = f"a channel's marked id is {channel}, a basic chat's {chat}"
        click.echo(f"graphwriter: --channel {channel_id} selects no post: {ids}", err=True)


def _state() -> Path:
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "graphwriter"
