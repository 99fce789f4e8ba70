"""graphwriter import: the messages of an export into the stream."""

from __future__ import annotations

import sys
from collections import Counter

import click

from graphwriter.cli.options import CONTEXT, settings
from graphwriter.cli.output import progress
from graphwriter.config import Config
from graphwriter.errors import EXIT_FAILED, BadEvent


@click.group("import", context_settings=CONTEXT)
def command() -> None:
    """Add the messages of an export to the stream."""


@command.command("desktop", context_settings=CONTEXT)
@click.argument("file", metavar="FILE")
@click.option("--as-tenant", default="desktop", metavar="NAME", help="The events' tenant_id.")
@settings("redis_url", "stream")
def desktop(config: Config, file: str, as_tenant: str) -> None:
    """Add the messages of a Telegram Desktop export (JSON) to the stream.

    FILE is result.json or the directory with it, of one chat or of a whole account. A message that
    cannot be read is named and left out, and the exit code is then 1.
    """
    from pathlib import Path

    from graphwriter.producers import desktop as exports
    from graphwriter.producers.publisher import EventPublisher

    counts: Counter[str] = Counter()

    def rejected(place: str, error: BadEvent) -> None:
        click.echo(f"graphwriter: {place}: {error}", err=True)

    events = exports.events(Path(file), tenant=as_tenant, rejected=rejected, counts=counts)
    with EventPublisher(config.redis_url, config.stream) as publisher:
        for event in progress(events, "importing"):
            publisher.publish(event)
        publisher.flush()
        click.echo(f"published {publisher.published} events to {config.stream}")
    left = ", ".join(f"{number} {kind}" for kind, number in counts.items() if kind != "events")
    click.echo(f"read {left}" if left else "read nothing else")
    sys.exit(EXIT_FAILED if counts["rejected"] else 0)
