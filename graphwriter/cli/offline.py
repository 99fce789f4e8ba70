"""graphwriter backfill --offline: the options and the output of a first load."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from graphwriter.cli.output import Progress, echo_json
from graphwriter.config import Config
from graphwriter.errors import EXIT_FAILED, Unavailable
from graphwriter.text import counted

if TYPE_CHECKING:
    from graphwriter.backfill.offline import Load, Offline, Source

F = TypeVar("F", bound=Callable[..., Any])
_OPTIONS = (
    click.option(
        "--offline",
        type=Path,
        metavar="DIR",
        help="Write files for Neo4j's own import into DIR, instead of to the graph: a first load.",
    ),
    click.option(
        "--events",
        type=Path,
        multiple=True,
        metavar="FILE",
        help="With --offline: events as JSON lines instead of PostgreSQL, as for publish. "
        "Repeatable.",
    ),
    click.option(
        "--import",
        "import_",
        is_flag=True,
        help="With --offline: also import the files into the embedded Neo4j, which must be empty.",
    ),
    click.option(
        "--data",
        type=Path,
        metavar="DIR",
        help="With --import: data of the embedded servers, as for up.",
    ),
)


def options(function: F) -> F:
    """Give a command the options of an offline load."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def refuse(given: dict[str, Any]) -> None:
    """Raise UsageError for options that do not go together."""
    if given["offline"] is None:
        for name in ("events", "import_", "data"):
            if given[name]:
                raise click.UsageError(f"--{name.strip('_')} is for --offline DIR")
        return
    for name, there in (
        ("--via stream", given["via"] == "stream"),
        ("--rewrite", given["rewrite"]),
        ("--dry-run", given["dry_run"]),
        ("--state", given["state"]),
    ):
        if there:
            raise click.UsageError(f"--offline writes files: leave out {name}")
    if given["data"] and not given["import_"]:
        raise click.UsageError("--data is for --import")
    if given["events"] and (given["every"] or given["since"] or given["channels"] or given["sql"]):
        raise click.UsageError(
            "--events loads whole files: leave out --all, --since, --channel, --sql"
        )


def run(config: Config, source: Source, given: dict[str, Any], json: bool) -> NoReturn:
    """Write the tables, and import them or print how; ends the process with its exit code."""
    from graphwriter.backfill.offline import Offline
    from graphwriter.worker.runtime import StopSignals

    offline = Offline(config, source, given["offline"])
    load = offline.finished()
    importing = _embedded(given["data"]) if given["import_"] else None
    there = importing is None and _is_there(config)
    with StopSignals(offline.stop) as stops:
        if load is not None:
            click.echo(f"the files in {offline.tables} are complete", err=True)
        else:
            with Progress("reading", "post") as shown:
                load = offline.write(_shown(shown))
        if load is None:
            click.echo("stopped; no file is left, and the same command starts again", err=True)
            sys.exit(EXIT_FAILED)
        seconds = {"files": load.seconds}
        if importing is not None:
            seconds |= importing(offline, load, lambda: stops.received > 0)
    if json:
        _say_json(offline, load, seconds, imported=importing is not None)
    else:
        _say(offline, load)
        if importing is not None:
            click.echo("imported, with the constraints; `graphwriter up` goes on with it")
        else:
            _say_command(offline, load, config.neo4j_database, there)
    sys.exit(EXIT_FAILED if load.rejected else 0)


def _is_there(config: Config) -> bool:
    """Return whether NEO4J_URI answers; raises ConfigError if its database is not empty."""
    from graphwriter.backfill.importing import refuse_nodes
    from graphwriter.graph import connect

    with connect(config, retry=0) as graph:
        try:
            refuse_nodes(graph, config.neo4j_uri)
        except Unavailable as error:
            click.echo(f"graphwriter: {error}; it was not checked to be empty", err=True)
            return False
    return True


def _shown(shown: Progress) -> Callable[[str, int, int], None]:
    def show(what: str, done: int, total: int) -> None:
        shown.show(what)
        shown.update(done, total or None)

    return show


def _embedded(given: Path | None) -> Callable[..., dict[str, float]]:
    """Return what imports into the embedded Neo4j; checks at once that its database is empty."""
    from graphwriter.backfill.importing import check_empty, import_tables
    from graphwriter.cli import servers
    from graphwriter.embedded import Neo4j, jars
    from graphwriter.embedded.neo4j import LATEST

    data = servers.usable(given)
    jars.classpath(LATEST, progress=servers.downloading)
    neo4j = Neo4j(data=data / "neo4j")
    check_empty(neo4j)

    def say(text: str) -> None:
        click.echo(f"Neo4j    {text}", err=True)

    def importing(offline: Offline, load: Load, stopping: Callable[[], bool]) -> dict[str, float]:
        return import_tables(neo4j, offline.tables, load, say, stopping)._asdict()

    return importing


def _say_json(offline: Offline, load: Load, seconds: dict[str, float], *, imported: bool) -> None:
    echo_json(
        {
            "read": load.read,
            "rejected": load.rejected,
            "rejects": str(offline.rejects) if load.rejected else None,
            "lines": load.lines,
            "files": str(offline.tables),
            "imported": imported,
            "seconds": seconds,
        }
    )


def _say(offline: Offline, load: Load) -> None:
    click.echo(
        f"read {counted(load.read, 'event')}: {load.lines['posts']:,} posts, "
        f"{load.lines['messages']:,} other messages, {load.rejected:,} rejected"
    )
    if load.rejected:
        click.echo(f"rejected {load.rejected:,}, each with its reason in {offline.rejects}")


def _say_command(offline: Offline, load: Load, database: str, there: bool) -> None:
    """Print the command of the import. A database that was found to be empty is replaced."""
    from graphwriter.backfill.offline import arguments

    command = f"neo4j-admin database import full {shlex.quote(database)}"
    command += " --overwrite-destination=true" if there else ""
    text = " \\\n      ".join([command, *map(shlex.quote, arguments(offline.tables, load))])
    click.echo(f"Stop Neo4j, import the files on its machine as its user:\n\n    {text}\n")
    click.echo("Start Neo4j again, then:\n\n    graphwriter schema apply\n")
