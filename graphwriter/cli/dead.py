"""graphwriter dead: list, show, replay and purge dead letters."""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from heapq import merge
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
    and the reason. Fix the cause, then replay it. With several streams each has its own dead
    letters; --stream with one of their names selects that one.
    """


def _letters(config: Config) -> list[DeadLetters]:
    """Return the dead letters of each stream."""
    from graphwriter.stream import DeadLetters
    from graphwriter.stream.streams import each

    streams = each(config.redis_url, config.stream)
    return [DeadLetters(client, name, config.group) for client, name in streams]


def _found(of: list[DeadLetters], reason: str | None = None) -> Iterator[tuple[str, DeadLetter]]:
    """Yield the letters, each with its stream; oldest first."""
    from graphwriter.stream.entry import order

    def named(one: DeadLetters) -> Iterator[tuple[str, DeadLetter]]:
        return ((one.stream, letter) for letter in one.list(reason))

    return merge(*map(named, of), key=lambda found: order(found[1].id))


def _chosen(
    of: list[DeadLetters],
    ids: tuple[str, ...],
    reason: str | None,
    everything: bool,
    older_than: str | None,
) -> tuple[dict[str, list[DeadLetter]], list[str]]:
    """Return the selected letters by stream, without their fields, and the ids that none has.

    An id is that of a letter or of its source entry.
    """
    from graphwriter.plan import duration

    if [bool(ids), reason is not None, everything].count(True) != 1:
        raise click.UsageError("select the dead letters with one of: IDs, --reason, --all")
    _check(reason)
    newest = None if older_than is None else time.time() - duration("--older-than", older_than)
    named = {*ids}
    chosen: dict[str, list[DeadLetter]] = {one.stream: [] for one in of}
    known: dict[str, str] = {}  # id -> the stream in which it was found
    for stream, letter in _found(of, reason):
        if not named or letter.id in named or letter.source_id in named:
            for key in {letter.id, letter.source_id} & named:
                if known.setdefault(key, stream) != stream:
                    _ambiguous(key, known[key], stream)
            if newest is None or letter.time <= newest:
                chosen[stream].append(letter._replace(fields={}, error=""))  # to save memory
    return chosen, sorted(named - {*known})


def _ambiguous(key: str, one: str, other: str) -> NoReturn:
    raise click.UsageError(f"ID {key} is in {one} and in {other}: choose one of them with --stream")


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
    function = click.option(
        "--dry-run", is_flag=True, help="Only tell how many there are of each reason."
    )(function)
    function = click.option(
        "--older-than", metavar="TIME", help="Of these, only those dead for longer, such as 2h."
    )(function)
    function = click.option("--all", "everything", is_flag=True, help="All dead letters.")(function)
    function = click.option("--reason", metavar="WORD", help="Dead letters with this reason.")(
        function
    )
    return click.argument("ids", nargs=-1, metavar="[ID]...")(function)


def _summary(letter: DeadLetter, stream: str | None) -> dict[str, object]:
    """Return what is shown of a letter; `stream` only if there are several."""
    return ({} if stream is None else {"stream": stream}) | {
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
@click.option(
    "--group-by", type=click.Choice(["reason"]), help="One line for all dead letters of a reason."
)
@as_json
@settings(*REDIS)
def list_(
    config: Config, reason: str | None, limit: int | None, group_by: str | None, json: bool
) -> None:
    """List dead letters, in the order in which they died.

    One per source entry: after the group was made again an entry can become a dead letter twice.
    """
    _check(reason)
    letters = _letters(config)
    several, found = len(letters) > 1, _found(letters, reason)
    if group_by:
        _list_reasons((letter for _, letter in found), limit, json=json)
        return
    if json:
        for stream, letter in islice(found, limit):
            echo_json(_summary(letter, stream if several else None))
        return
    wide = shutil.get_terminal_size().columns >= WIDE
    rows = [
        [
            *([stream] if several else []),
            *([one.id] if wide else []),
            *(one.source_id, utc(one.time), one.reason, one.error),
        ]
        for stream, one in islice(found, limit or TABLE_ROWS)
    ]
    columns = [*(["stream"] if several else []), *(["id"] if wide else [])]
    columns += ["source entry", "time (UTC)", "reason", "error"]
    table(columns, rows, empty="no dead letters")
    reasons = Counter(letter.reason for _, letter in found)
    if more := reasons.total():
        reasons.update(row[-2] for row in rows)
        click.echo(f"… and {more:,} more; by reason:")
        for word, number in reasons.most_common():
            click.echo(f"  {plain(word)}: {number:,}")


def _list_reasons(letters: Iterable[DeadLetter], limit: int | None, *, json: bool) -> None:
    """List the reasons, the most frequent first, each with its newest letter."""
    numbers: Counter[str] = Counter()
    first: dict[str, float] = {}
    newest: dict[str, DeadLetter] = {}
    for letter in letters:
        numbers[letter.reason] += 1
        first.setdefault(letter.reason, letter.time)
        newest[letter.reason] = letter._replace(fields={})
    wide = shutil.get_terminal_size().columns >= WIDE
    rows = []
    for reason, number in numbers.most_common(limit):
        last = newest[reason]
        if json:
            echo_json(
                {
                    "reason": reason,
                    "letters": number,
                    "first_time": first[reason],
                    "last_time": last.time,
                    "last_id": last.id,
                    "last_error": last.error,
                }
            )
        since = [utc(first[reason])] if wide else []
        rows.append([reason, f"{number:,}", *since, utc(last.time), last.error])
    if not json:
        columns = ["reason", "letters", *(["first (UTC)"] if wide else []), "last (UTC)"]
        table([*columns, "last error"], rows, empty="no dead letters")


@command.command("show", context_settings=CONTEXT)
@click.argument("id", metavar="ID")
@as_json
@settings(*REDIS)
def show(config: Config, id: str, json: bool) -> None:  # noqa: A002 - the argument's name
    """Show one dead letter, by its id or its source entry."""
    letters = _letters(config)
    found = {
        one.stream: letter
        for one in letters
        if (letter := next((x for x in one.list() if id in (x.id, x.source_id)), None))
    }
    if not found:
        _not_there([id])
    (stream, letter), *others = found.items()
    if others:
        _ambiguous(id, stream, others[0][0])
    entry = {
        key.decode(errors="backslashreplace"): value.decode(errors="backslashreplace")
        for key, value in letter.fields.items()
    }
    shown = _summary(letter, stream if len(letters) > 1 else None)
    if json:
        echo_json({**shown, "fields": entry})
        return
    shown["time"] = f"{utc(letter.time)} (UTC)"
    for name, value in [*shown.items(), *entry.items()]:
        click.echo(f"{plain(name)}: {plain(value)}")


def _tell(doing: str, chosen: dict[str, list[DeadLetter]]) -> None:
    """Tell what a replay or a purge would take."""
    reasons = Counter(letter.reason for letters in chosen.values() for letter in letters)
    said = ", ".join(f"{plain(word)} {number:,}" for word, number in reasons.most_common())
    found = counted(reasons.total(), "dead letter")
    click.echo(f"would {doing} {found}{f': {said}' if said else ''}")


@command.command("replay", context_settings=CONTEXT)
@chosen_by
@settings(*REDIS)
def replay(
    config: Config,
    ids: tuple[str, ...],
    reason: str | None,
    everything: bool,
    older_than: str | None,
    dry_run: bool,
) -> None:
    """Put entries back into the stream, after the cause was fixed.

    Safe while workers run, and idempotent: an event that is written already changes nothing.
    """
    letters = _letters(config)
    chosen, missing = _chosen(letters, ids, reason, everything, older_than)
    if dry_run:
        _tell("replay", chosen)
    else:
        click.echo(f"replayed {sum(one.replay(chosen[one.stream]) for one in letters):,}")
    if missing:
        _not_there(missing)


@command.command("purge", context_settings=CONTEXT)
@chosen_by
@click.option("--yes", is_flag=True, help="Do not ask.")
@settings(*REDIS)
def purge(
    config: Config,
    ids: tuple[str, ...],
    reason: str | None,
    everything: bool,
    older_than: str | None,
    dry_run: bool,
    yes: bool,
) -> None:
    """Delete dead letters. This cannot be undone."""
    letters = _letters(config)
    chosen, missing = _chosen(letters, ids, reason, everything, older_than)
    number = sum(map(len, chosen.values()))
    if number and not yes and not dry_run:
        click.confirm(
            f"Delete {counted(number, 'dead letter')}, which cannot be undone?", abort=True
        )
    if dry_run:
        _tell("purge", chosen)
    else:
        click.echo(f"purged {sum(one.purge(chosen[one.stream]) for one in letters):,}")
    if missing:
        _not_there(missing)
