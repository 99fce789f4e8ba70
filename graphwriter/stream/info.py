"""What Redis tells of itself and of who holds what, for `doctor`: it changes nothing.

Every function asks a few small commands, and raises Unavailable, Forbidden or ConfigError.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from graphwriter.stream.client import Client, order, translated

FIRST = 100  # of the pending entries whose deliveries are looked at
CONSUMERS = 20  # consumers whose oldest entry is looked up, those who hold most first


class Ends(NamedTuple):
    """Ids of a stream, as pairs of integers. `first` is None where it holds no entry."""

    first: tuple[int, ...] | None
    deleted: tuple[int, ...] | None  # the highest that was deleted singly, where Redis knows it


class Group(NamedTuple):
    """A consumer group: `delivered` is the id of the last entry that it was given."""

    name: str
    delivered: tuple[int, ...]
    lag: int | None


class Held(NamedTuple):
    """What one consumer holds: how many entries, the oldest one's id, and for how many seconds."""

    consumer: str
    pending: int
    oldest: str
    seconds: float


class Often(NamedTuple):
    """The entry that was delivered most often among those that are pending for longest."""

    id: str
    consumer: str
    deliveries: int


def ping(client: Client) -> None:
    """Return if Redis answers."""
    with translated(client):
        client.ping()


def info(client: Client) -> dict[str, Any]:
    """Return what INFO tells, by its names."""
    with translated(client):
        found: Any = client.info()
    return dict(found)


def saving(client: Client) -> dict[str, str]:
    """Return the directives `save` and `appendfsync`."""
    with translated(client):
        found: Any = client.config_get("save", "appendfsync")
    return {_text(name): _text(value) for name, value in found.items()}


def ahead(client: Client) -> float:
    """Return by how many seconds the server's clock is ahead of ours."""
    with translated(client):
        start = time.time()
        seconds, micro = client.time()
        return float(seconds + micro / 1e6 - (start + time.time()) / 2)


def ends(client: Client, stream: str) -> Ends | None:
    """Return the stream's ends; None where there is no stream."""
    with translated(client):
        if not client.exists(stream):
            return None
        told: Any = client.xinfo_stream(stream)
    first, deleted = told.get("first-entry"), told.get("max-deleted-entry-id")
    return Ends(order(first[0]) if first else None, order(deleted) if deleted else None)


def groups(client: Client, stream: str) -> list[Group]:
    """Return every group of the stream; none if there is no stream."""
    with translated(client):
        rows: Any = client.xinfo_groups(stream) if client.exists(stream) else []
    return [
        Group(_text(row["name"]), order(row["last-delivered-id"]), row.get("lag")) for row in rows
    ]


def held(client: Client, stream: str, group: str) -> list[Held]:
    """Return what each consumer holds, the one with most first. GroupGone where there is none."""
    with translated(client):
        rows: Any = client.xinfo_consumers(stream, group) if client.exists(stream) else []
        holding = sorted((one for one in rows if one["pending"]), key=lambda one: -one["pending"])
        found = []
        for one in holding[:CONSUMERS]:
            oldest: Any = client.xpending_range(stream, group, "-", "+", 1, one["name"])
            if oldest:  # else it was acknowledged meanwhile
                seconds = oldest[0]["time_since_delivered"] / 1000
                found.append(
                    Held(
                        _text(one["name"]), one["pending"], _text(oldest[0]["message_id"]), seconds
                    )
                )
    return found


def often(client: Client, stream: str, group: str) -> Often | None:
    """Return the entry that came back most often, of the oldest hundred; None: none is pending."""
    with translated(client):
        rows: Any = client.xpending_range(stream, group, "-", "+", FIRST)
    if not rows:
        return None
    most = max(rows, key=lambda row: row["times_delivered"])
    return Often(_text(most["message_id"]), _text(most["consumer"]), most["times_delivered"])


def gone(client: Client, stream: str, group: str) -> int:
    """Return how many of the oldest hundred pending entries the stream holds no more."""
    with translated(client):
        rows: Any = client.xpending_range(stream, group, "-", "+", FIRST)
        if not rows:
            return 0
        ids = [row["message_id"] for row in rows]
        kept: Any = client.xrange(stream, ids[0], ids[-1], count=1)
    first = order(kept[0][0]) if kept else None
    return sum(first is None or order(key) < first for key in ids)


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
