"""graphwriter publish: events that are ready already, from a file into the stream."""

from __future__ import annotations

import click

from graphwriter.cli.options import CONTEXT, settings
from graphwriter.cli.output import progress
from graphwriter.config import Config


@click.command("publish", context_settings=CONTEXT)
@click.argument("file", metavar="FILE")
@settings("redis_url", "stream")
def command(config: Config, file: str) -> None:
    """Add every line of FILE to the stream as one event; FILE may be gzipped, - is standard input.

    Lines are not looked into: what is no event ends as a dead letter, with its reason. Sending a
    file twice does no harm.
    """
    from graphwriter.producers import lines
    from graphwriter.producers.publisher import EventPublisher

    with EventPublisher(config.redis_url, config.stream) as publisher:
        for event in progress(lines.events(file), "publishing"):
            publisher.publish(event)
        publisher.flush()
        click.echo(f"published {publisher.published} events to {config.stream}")
