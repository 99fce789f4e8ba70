"""graphwriter import: the messages of an export into the stream."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from graphwriter.cli.options import CONTEXT, Group, settings
from graphwriter.cli.sending import read, send
from graphwriter.config import Config
from graphwriter.errors import EXIT_FAILED, BadEvent


@click.group("import", cls=Group, context_settings=CONTEXT)
def command() -> None:
    """Add the messages of an export to the stream."""


@command.command("desktop", context_settings=CONTEXT)
@click.argument("file", metavar="FILE")
@click.option("--as-tenant", default="desktop", metavar="NAME", help="The events' tenant_id.")
@settings("redis_url", "stream")
def desktop(config: Config, file: str, as_tenant: str) -> None:
    """Add the messages of a Telegram Desktop export.

    FILE is result.json or the directory with it, of one chat or of a whole account. A message that
    cannot be read is named and left out, and the exit code is then 1. Importing twice does no harm.
    """
    from graphwriter.producers import desktop as exports

    _import(config, exports.events, file, as_tenant)


@command.command("telethon", context_settings=CONTEXT)
@click.argument("file", metavar="FILE")
@click.option("--as-tenant", default="telethon", metavar="NAME", help="The events' tenant_id.")
@settings("redis_url", "stream")
def telethon(config: Config, file: str, as_tenant: str) -> None:
    """Add the messages of a Telethon dump.

    FILE holds what Message.to_dict() or to_json() gave: a JSON array, several, or messages one
    after another, in any order. A message that cannot be read is named and left out, and the exit
    code is then 1. Importing twice does no harm.
    """
    from graphwriter.producers.telethon import dump

    _import(config, dump.events, file, as_tenant)


def _import(config: Config, events: Callable[..., Any], file: str, tenant: str) -> None:
    counts: Counter[str] = Counter()

    def rejected(place: str, error: BadEvent) -> None:
        click.echo(f"graphwriter: {place}: {error}", err=True)

    found = events(Path(file), tenant=tenant, rejected=rejected, counts=counts)
    send(config, found, "importing")
    click.echo(read(counts))
    sys.exit(EXIT_FAILED if counts["rejected"] else 0)
