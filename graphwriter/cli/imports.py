"""graphwriter import: add the messages of an export to the stream.

To add a format, write an `events` function in producers/ (see its docstring), and a command here.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from graphwriter.cli.options import CONTEXT, Group, settings
from graphwriter.cli.publish import send
from graphwriter.config import Config
from graphwriter.errors import EXIT_FAILED, BadEvent
from graphwriter.text import counted


@click.group("import", cls=Group, context_settings=CONTEXT)
def command() -> None:
    """Add the messages of an export to the stream."""


@command.command("desktop", context_settings=CONTEXT)
@click.argument("file", metavar="FILE")
@click.option("--as-tenant", default="desktop", metavar="NAME", help="tenant_id of the events.")
@settings("redis_url", "stream")
def desktop(config: Config, file: str, as_tenant: str) -> None:
    """Add the messages of a Telegram Desktop export.

    FILE is result.json or its directory, of one chat or of a whole account. A message that cannot
    be read is reported and left out, and the exit code is then 1. Importing twice changes nothing.
    """
    from graphwriter.producers import desktop as exports

    _import(config, exports.events, file, as_tenant)


@command.command("telethon", context_settings=CONTEXT)
@click.argument("file", metavar="FILE")
@click.option("--as-tenant", default="telethon", metavar="NAME", help="tenant_id of the events.")
@settings("redis_url", "stream")
def telethon(config: Config, file: str, as_tenant: str) -> None:
    """Add the messages of a Telethon dump.

    FILE contains results of Message.to_dict() or to_json(): a JSON array, several arrays, or
    messages one after another, in any order. A message that cannot be read is reported and left
    out, and the exit code is then 1. Importing twice changes nothing.
    """
    from graphwriter.producers.telethon import dump

    _import(config, dump.events, file, as_tenant)


def _import(config: Config, events: Callable[..., Any], file: str, tenant: str) -> None:
    counts: Counter[str] = Counter()

    def rejected(place: str, error: BadEvent) -> None:
        click.echo(f"graphwriter: {place}: {error}", err=True)

    found = events(Path(file), tenant=tenant, rejected=rejected, counts=counts)
    send(config, found, "importing")
    click.echo(read_text(counts))
    sys.exit(EXIT_FAILED if counts["rejected"] else 0)


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
