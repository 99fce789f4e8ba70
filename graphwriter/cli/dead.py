"""graphwriter dead: what to do about entries that could not be written."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from graphwriter.cli.options import CONTEXT, REDIS, settings
from graphwriter.cli.output import as_json, echo_json, table
from graphwriter.config import Config
from graphwriter.errors import EXIT_FAILED

if TYPE_CHECKING:  # the driver is not needed for --help
    from graphwriter.stream import DeadLetter, DeadLetters


@click.group("dead", context_settings=CONTEXT)
def command() -> None:
    """List, show, replay and purge dead letters.

    A dead letter is an entry that could never be written: it holds the entry's own fields,
    untouched, and why. Mend the cause, then replay it.
    """


def _letters(config: Config) -> DeadLetters:
    from graphwriter.stream import DeadLetters, connect

    return DeadLetters(connect(config.redis_url), config.stream, config.group)


def _chosen(
    letters: DeadLetters, ids: tuple[str, ...], reason: str | None, everything: bool
) -> Iterator[DeadLetter]:
    """Return the letters that the arguments name, by their own or their source's id."""
    if not ids and not reason and not everything:
        raise click.UsageError("name the dead letters: IDs, --reason or --all")
    named = {*ids}
    return (
        letter
        for letter in letters.list(reason)
        if not named or letter.id in named or letter.source_id in named
    )


def chosen_by(function: click.decorators.FC) -> click.decorators.FC:
    """Give a command the arguments that choose dead letters."""
    function = click.option("--all", "everything", is_flag=True, help="All of them.")(function)
    function = click.option("--reason", metavar="WORD", help="Those with this reason.")(function)
    return click.argument("ids", nargs=-1, metavar="[ID]...")(function)


def _summary(letter: DeadLetter) -> dict[str, object]:
    return {
        "id": letter.id,
        "source_id": letter.source_id,
        "time": letter.time,
        "reason": letter.reason,
        "error": letter.error,
        "deliveries": letter.deliveries,
        "consumer": letter.consumer,
    }


@command.command("list", context_settings=CONTEXT)
@click.option("--reason", metavar="WORD", help="Only those with this reason.")
@click.option("--limit", type=click.IntRange(1), default=None, metavar="NUMBER", help="At most.")
@as_json
@settings(*REDIS)
def list_(config: Config, reason: str | None, limit: int | None, json: bool) -> None:
    """List dead letters, oldest first, one for each source entry."""
    found = _letters(config).list(reason)
    rows = (_summary(letter) for number, letter in enumerate(found) if not limit or number < limit)
    if json:
        for row in rows:
            echo_json(row)
        return
    shown = [
        [
            row["source_id"],
            time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(float(str(row["time"])))),
            row["reason"],
            row["error"],
        ]
        for row in rows
    ]
    table(["source entry", "time (UTC)", "reason", "error"], shown, empty="no dead letters")


@command.command("show", context_settings=CONTEXT)
@click.argument("id", metavar="ID")
@as_json
@settings(*REDIS)
def show(config: Config, id: str, json: bool) -> None:  # noqa: A002 - the argument's name
    """Show one dead letter whole, by its own or its source entry's id."""
    for letter in _letters(config).list():
        if id in (letter.id, letter.source_id):
            entry = {
                key.decode(errors="backslashreplace"): value.decode(errors="backslashreplace")
                for key, value in letter.fields.items()
            }
            if json:
                echo_json({**_summary(letter), "fields": entry})
            else:
                for name, value in {**_summary(letter), **entry}.items():
                    click.echo(f"{name}: {value}")
            return
    click.echo(f"graphwriter: no dead letter {id}: see `graphwriter dead list`", err=True)
    sys.exit(EXIT_FAILED)


@command.command("replay", context_settings=CONTEXT)
@chosen_by
@settings(*REDIS)
def replay(config: Config, ids: tuple[str, ...], reason: str | None, everything: bool) -> None:
    """Put entries back into the stream, once the cause is mended.

    Safe while workers run, and to run twice: what is written already changes nothing.
    """
    letters = _letters(config)
    done = letters.replay(_chosen(letters, ids, reason, everything))
    click.echo(f"replayed {done}")


@command.command("purge", context_settings=CONTEXT)
@chosen_by
@click.option("--yes", is_flag=True, help="Do not ask.")
@settings(*REDIS)
def purge(
    config: Config, ids: tuple[str, ...], reason: str | None, everything: bool, yes: bool
) -> None:
    """Delete dead letters for good."""
    letters = _letters(config)
    chosen = _chosen(letters, ids, reason, everything)
    if not yes:
        click.confirm("They cannot be had back. Delete them?", abort=True)
    click.echo(f"purged {letters.purge(chosen)}")
