"""Deletes consumers of workers that will not come back, such as those of pods that are gone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from graphwriter.stream import info
from graphwriter.stream.client import Client, script, translated
from graphwriter.stream.info import Consumer

PAGE = 500  # consumers that one call deletes at most


def expired(client: Client, name: str, group: str, idle: float) -> list[Consumer]:
    """Return the consumers without pending entries that sent no command for `idle` seconds."""
    consumers = info.stream(client, name, group).consumers
    return [one for one in consumers if not one.pending and one.idle >= idle]


def prune(client: Client, name: str, group: str, idle: float) -> Iterator[str]:
    """Delete the `expired` consumers, and yield their names.

    A consumer that takes entries meanwhile stays; one that comes back is created by its first read.
    Raises Unavailable, ConfigError, and GroupGone without a group.
    """
    while True:
        with translated(client):
            found: Any = client.eval(script("prune"), 1, name, group, int(idle * 1000), PAGE)
        yield from (one.decode(errors="replace") for one in found)
        if len(found) < PAGE:
            return
