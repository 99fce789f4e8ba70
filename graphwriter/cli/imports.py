"""graphwriter import: add the messages of an export to the stream.

To add a format, write an `events` function in producers/ (see its docstring), and a command here.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

from graphwriter.cli.options import CONTEXT, Group, account, settings
from graphwriter.cli.output import as_json, counting, echo_json, table
from graphwriter.cli.publish import send
from graphwriter.config import Config
from graphwriter.errors import EXIT_LEFT_OUT, EXIT_OK, BadEvent
from graphwriter.text import counted

F = TypeVar("F", bound=Callable[..., Any])
KINDS_LIMIT = 20  # kinds of errors that are told apart
_OTHERS = "other kinds"
_VALUES = re.compile(r"'[^']*'|[0-9][0-9,.]*")


@click.group("import", cls=Group, context_settings=CONTEXT)
def command() -> None:
    """Add the messages of an export to the stream."""


def imported(function: F) -> F:
    """Give a command the options of every import."""
    for option in (
        as_json,
        click.option("--dry-run", is_flag=True, help="Only count what would be sent, by chat."),
        account,
        settings("redis_url", "stream"),
    ):
        function = option(function)
    return function


@command.command("desktop", context_settings=CONTEXT)
@click.argument("file", metavar="FILE")
@click.option("--as-tenant", default="desktop", metavar="NAME", help="tenant_id of the events.")
@imported
def desktop(config: Config, file: str, **options: Any) -> None:
    """Add the messages of a Telegram Desktop export.

    FILE is result.json or its directory, of one chat or of a whole account. Messages that cannot be
    read are reported and left out, and the exit code is then 65. Importing twice changes nothing.
    --json is for --dry-run.
    """
    from graphwriter.producers import desktop as exports

    _import(config, exports.events, file, **options)


@command.command("telethon", context_settings=CONTEXT)
@click.argument("file", metavar="FILE")
@click.option("--as-tenant", default="telethon", metavar="NAME", help="tenant_id of the events.")
@imported
def telethon(config: Config, file: str, **options: Any) -> None:
    """Add the messages of a Telethon dump.

    FILE contains results of Message.to_dict() or to_json(), or of GetHistory: a JSON array, several
    arrays, or one after another, in any order. Messages that cannot be read are reported and left
    out, and the exit code is then 65. Importing twice changes nothing. --json is for --dry-run.
    """
    from graphwriter.producers.telethon import dump

    _import(config, dump.events, file, **options)


def _import(
    config: Config,
    events: Callable[..., Any],
    file: str,
    *,
    as_tenant: str,
    account: int | None,
    dry_run: bool,
    json: bool,
) -> None:
    counts: Counter[str] = Counter()
    left_out = LeftOut()
    found = events(
        Path(file), tenant=as_tenant, account=account, rejected=left_out.add, counts=counts
    )
    try:
        if dry_run:
            _count(found, json)
        else:
            send(config, found, "importing")
    finally:
        left_out.say()
    click.echo(read_text(counts), err=json)
    for note in notes(counts):
        click.echo(f"graphwriter: {note}", err=True)
    sys.exit(EXIT_LEFT_OUT if counts["rejected"] else EXIT_OK)


def _count(events: Iterable[dict[str, Any]], json: bool) -> None:
    """Print how many posts and links of each chat would be sent."""
    chats: dict[int, Counter[str]] = {}
    for event in counting(events, "reading"):
        chat = chats.setdefault(event["tg_channel_id"], Counter())
        chat["posts"] += 1
        source = event.get("forward_from_peer_id") or event.get("forward_from_name")
        chat["forwards"] += source is not None
        chat["replies"] += event.get("reply_to_message_id") is not None
    columns = ("chat", "posts", "forwards", "replies")
    rows = [(chat, *(found[name] for name in columns[1:])) for chat, found in chats.items()]
    if json:
        for row in rows:
            echo_json(dict(zip(columns, row, strict=True)))
    else:
        table(columns, rows, "no posts")


class LeftOut:
    """What an import cannot read: one line for each kind of error, not for each message."""

    def __init__(self) -> None:
        self._kinds: dict[str, tuple[str, int]] = {}  # the first of each, and how many

    def add(self, place: str, error: BadEvent) -> None:
        """Count one message or chat."""
        kind = f"{error.reason} {_VALUES.sub('', error.message)[:80]}"
        if kind not in self._kinds and len(self._kinds) >= KINDS_LIMIT:
            kind = _OTHERS
        first, number = self._kinds.get(kind, (f"{place}: {error}", 0))
        self._kinds[kind] = (first, number + 1)

    def say(self) -> None:
        """Print the kinds."""
        for first, number in self._kinds.values():
            more = f"; and {number - 1:,} more like this" if number > 1 else ""
            click.echo(f"graphwriter: {first}{more}", err=True)


def notes(counts: Counter[str]) -> Iterator[str]:
    """Yield what the user should know about the messages that were read."""
    if number := counts["unaccounted"]:
        yield (
            f"{counted(number, 'message')} of private chats or basic groups without an account: "
            "each account has its own message ids there. With a second account their posts get "
            "mixed; give --account ID, the user id of the account that saw them"
        )
    if number := counts["unthreaded"]:
        yield (
            f"{counted(number, 'message')} may reply to the first message of a topic, which is "
            "not in the file: their replies in the graph are not changed; export the chat from its "
            "beginning"
        )


def read_text(counts: Counter[str]) -> str:
    """Return a sentence about the messages that were read and left out."""
    left_out = [
        counted(counts[kind], f"{name} message")
        for kind, name in (
            ("service", "service"),
            ("unsupported", "unsupported"),
            ("empty", "empty"),
            ("rejected", "unreadable"),
        )
        if counts[kind]
    ]
    chats = f"{counted(counts['chats'], 'chat')} read"
    return f"{chats}; {', '.join(left_out)} left out" if left_out else chats
