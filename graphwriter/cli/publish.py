"""graphwriter publish: events that are ready already, from a file into the stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import click

from graphwriter.cli.options import CONTEXT, settings
from graphwriter.cli.sending import send
from graphwriter.config import Config


@click.command("publish", context_settings=CONTEXT)
@click.argument("file", metavar="FILE")
@settings("redis_url", "stream")
def command(config: Config, file: str) -> None:
    """Add every line of FILE to the stream as one event; FILE may be gzipped, - is standard input.

    The first line has to be a JSON object, so that a file of another kind is not sent by mistake.
    The others are not looked into: what is no event ends as a dead letter, with its reason. Sending
    a file twice does no harm.
    """
    from graphwriter.producers import lines

    send(config, _checked(lines.events(file), file), "publishing")


def _checked(lines: Iterable[bytes], file: str) -> Iterator[bytes]:
    from graphwriter.producers.lines import check_first

    for number, line in enumerate(lines):
        if number == 0:
            check_first(line, file)
        yield line
