"""graphwriter dead: list, show, replay and purge dead letters."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, NoReturn

import click

from graphwriter.cli.options import CONTEXT, REDIS, Group, settings
from graphwriter.cli.output import as_json, echo_json, table
from graphwriter.config import Config
from graphwriter.errors import EXIT_FAILED
from graphwriter.text import counted, plain, utc

if TYPE_CHECKING:  # the driver is not needed for --help
    from graphwriter.stream import DeadLetter, DeadLetters

TABLE_ROWS = 50  # dead letters in a table without --limit
LIMIT = f"Maximum number; default {TABLE_ROWS} in the table, and all with --json."
WIDE = 120  # columns of a terminal that has room for both ids and the error


@click.group("dead", cls=Group, context_settings=CONTEXT)
def command() -> None:
    """List, show, replay and purge dead letters.

    A dead letter is an entry that can never be written: it has the unchanged fields of the entry,
    and the reason. Fix the cause, then replay it.
    """


def _letters(config: Config) -> DeadLetters:
    from graphwriter.stream import DeadLetters, connect

    return DeadLetters(connect(config.redis_url, config.stream), config.stream, config.group)


def _chosen(
    letters: DeadLetters, ids: tuple[str, ...], reason: str | None, everything: bool
) -> tuple[list[DeadLetter], list[str]]:
    """Return the selected letters, without their fields, and the ids that were not found.

    An id is that of a letter or of its source entry.
    """
    if [bool(ids), reason is not None, everything].count(True) != 1:
        raise click.UsageError("select the dead letters with one of: IDs, --reason, --all")
    _check(reason)
    named = {*ids}
    found = [
        letter._replace(fields={}, error="")  # to save memory
        for letter in letters.list(reason)
        if not named or letter.id in named or letter.source_id in named
    ]
    known = {letter.id for letter in found} | {letter.source_id for letter in found}
    return found, sorted(named - known)


def _check(reason: str | None) -> None:
    """Refuse an unknown reason: it would select nothing, and look like success."""
    from graphwriter.stream.deadletters import REASONS

    if reason is None or reason in REASONS:
        return
    similar = get_close_matches(reason, REASONS, 1)
    hint = f"did you mean {similar[0]}? " if similar else ""
    raise click.UsageError(f"--reason {reason!r}: {hint}Reasons are: {', '.join(REASONS)}")


def _not_there(ids: list[str]) -> NoReturn:
    click.echo(
        f"graphwriter: no dead letter {', '.join(ids)}: see `graphwriter dead list`", err=True
    )
    sys.exit(EXIT_FAILED)


def chosen_by(function: click.decorators.FC) -> click.decorators.FC:
    """Give a command the arguments that select dead letters."""
    function = click.option("--all", "everything", is_flag=True, help="All dead letters.")(function)
    function = click.option("--reason", metavar="WORD", help="Dead letters with this reason.")(
        function
    )
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
@click.option("--reason", metavar="WORD", help="Only dead letters with this reason.")
@click.option("--limit", type=click.IntRange(1), default=None, metavar="NUMBER", help=LIMIT)
@as_json
@settings(*REDIS)
def list_(config: Config, reason: str | None, limit: int | None, json: bool) -> None:
    """List dead letters, oldest first, one per source entry."""
    _check(reason)
    found = _letters(config).list(reason)
    if json:
        for letter in islice(found, limit):
            echo_json(_summary(letter))
        return
    wide = shutil.get_terminal_size().columns >= WIDE
    rows = [
        [*([one.id] if wide else []), one.source_id, utc(one.time), one.reason, one.error]
        for one in islice(found, limit or TABLE_ROWS)
    ]
    columns = [*(["id"] if wide else []), "source entry", "time (UTC)", "reason", "error"]
    table(columns, rows, empty="no dead letters")
    reasons = Counter(letter.reason for letter in found)
    if more := reasons.total():
        reasons.update(row[-2] for row in rows)
        click.echo(f"… and {more:,} more; by reason:")
        for word, number in reasons.most_common():
            click.echo(f"  {plain(word)}: {number:,}")


@command.command("show", context_settings=CONTEXT)
@click.argument("id", metavar="ID")
@as_json
@settings(*REDIS)
def show(config: Config, id: str, json: bool) -> None:  # noqa: A002 - the argument's name
    """Show one dead letter, by its id or its source entry."""
    for letter in _letters(config).list():
        if id in (letter.id, letter.source_id):
            entry = {
                key.decode(errors="backslashreplace"): value.decode(errors="backslashreplace")
                for key, value in letter.fields.items()
            }
            if json:
                echo_json({**_summary(letter), "fields": entry})
            else:
                summary = {**_summary(letter), "time": f"{utc(letter.time)} (UTC)"}
                for name, value in [*summary.items(), *entry.items()]:
                    click.echo(f"{plain(name)}: {plain(value)}")
            return
    _not_there([id])


@command.command("replay", context_settings=CONTEXT)
@chosen_by
@settings(*REDIS)
def replay(config: Config, ids: tuple[str, ...], reason: str | None, everything: bool) -> None:
    """Put entries back into the stream, after the cause was fixed.

    Safe while workers run, and idempotent: an event that is written already changes nothing.
    """
    letters = _letters(config)
    chosen, missing = _chosen(letters, ids, reason, everything)
    click.echo(f"replayed {letters.replay(chosen):,}")
    if missing:
        _not_there(missing)


@command.command("purge", context_settings=CONTEXT)
@chosen_by
@click.option("--yes", is_flag=True, help="Do not ask.")
@settings(*REDIS)
def purge(
    config: Config, ids: tuple[str, ...], reason: str | None, everything: bool, yes: bool
) -> None:
    """Delete dead letters. This cannot be undone."""
    letters = _letters(config)
    chosen, missing = _chosen(letters, ids, reason, everything)
    if chosen and not yes:
        click.confirm(
            f"Delete {counted(len(chosen), 'dead letter')}, which cannot be undone?", abort=True
        )
    click.echo(f"purged {letters.purge(chosen):,}")
    if missing:
        _not_there(missing)
