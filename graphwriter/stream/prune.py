"""Deletes consumers of workers that will not come back, such as those of pods that are gone."""

from __future__ import annotations

from collections.abc import Iterator

from graphwriter.stream import info
from graphwriter.stream.client import Client, script, translated
from graphwriter.stream.info import Consumer


def expired(client: Client, name: str, group: str, idle: float) -> list[Consumer]:
    """Return the consumers without pending entries that sent no command for `idle` seconds."""
    consumers = info.stream(client, name, group).consumers
    return [one for one in consumers if not one.pending and one.idle >= idle]


def prune(client: Client, name: str, group: str, idle: float) -> Iterator[str]:
    """Delete the `expired` consumers, and yield the name of each that was deleted.

    A consumer that takes entries meanwhile stays. Raises Unavailable, ConfigError.
    """
    for consumer in expired(client, name, group, idle):
        with translated(client):
            deleted = client.eval(script("prune"), 1, name, group, consumer.name, int(idle * 1000))
        if deleted:
            yield consumer.name
