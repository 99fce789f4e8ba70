"""graphwriter publish: add events from a file to the stream; also the sending of `import`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import click

from graphwriter.cli.options import CONTEXT, settings
from graphwriter.cli.output import counting
from graphwriter.config import Config
from graphwriter.errors import EXIT_FAILED
from graphwriter.text import counted


@click.command("publish", context_settings=CONTEXT)
@click.argument("file", metavar="FILE")
@settings("redis_url", "stream")
def command(config: Config, file: str) -> None:
    """Add every line of FILE to the stream as one event; FILE may be gzipped, - is standard input.

    The first line must be a JSON object, so that a wrong file is not sent by mistake. The other
    lines are not checked: an invalid event becomes a dead letter with a reason. Publishing a file
    twice changes nothing.
    """
    from graphwriter.producers import lines

    send(config, (line for _, line in lines.checked(file)), "publishing")


def send(config: Config, events: Iterable[Any], doing: str) -> None:
    """Publish `events` and print how many; `doing` describes the progress. Ctrl-C ends it."""
    from graphwriter.producers.publisher import EventPublisher

    try:
        with EventPublisher(config.redis_url, config.stream) as publisher:
            for event in counting(events, doing):
                publisher.publish(event)
    except KeyboardInterrupt:
        sent = counted(publisher.published, "event")
        click.echo(
            f"graphwriter: stopped; {sent} published to {config.stream}. Publishing them again "
            "changes nothing",
            err=True,
        )
        sys.exit(EXIT_FAILED)
    click.echo(f"published {counted(publisher.published, 'event')} to {config.stream}")
