"""Sending events to the stream, as `publish` and `import` do it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from typing import Any

import click

from graphwriter.cli.output import counted, progress
from graphwriter.config import Config
from graphwriter.errors import EXIT_FAILED


def send(config: Config, events: Iterable[Any], doing: str) -> None:
    """Publish `events` and say how many; `doing` is shown meanwhile. Ctrl-C ends the process."""
    from graphwriter.producers.publisher import EventPublisher

    try:
        with EventPublisher(config.redis_url, config.stream) as publisher:
            for event in progress(events, doing):
                publisher.publish(event)
    except KeyboardInterrupt:
        sent = counted(publisher.published, "event")
        click.echo(
            f"graphwriter: stopped; {sent} published to {config.stream}. Sending them again does "
            "no harm",
            err=True,
        )
        sys.exit(EXIT_FAILED)
    click.echo(f"published {counted(publisher.published, 'event')} to {config.stream}")


def read(counts: Counter[str]) -> str:
    """Return what was read of an export and what was left out, for people."""
    left = [
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
    return f"{chats}; {', '.join(left)} left out" if left else chats
