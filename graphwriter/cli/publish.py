"""graphwriter publish: events that are ready already, from a file into the stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import click
import orjson

from graphwriter.cli.options import CONTEXT, settings
from graphwriter.cli.sending import send
from graphwriter.config import Config
from graphwriter.errors import ConfigError


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
    for number, line in enumerate(lines):
        if number == 0 and not _may_be_event(line):
            raise ConfigError(
                f"{file}: its first line is no event, which is a JSON object on one line; a "
                "Telegram Desktop export goes through `graphwriter import desktop`, a Telethon "
                "dump through `graphwriter import telethon`"
            )
        yield line


def _may_be_event(line: bytes) -> bool:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    # An export without line feeds is an object on one line, too, and so is Telethon's message.
    return isinstance(value, dict) and not value.keys() & {"messages", "chats", "_"}
