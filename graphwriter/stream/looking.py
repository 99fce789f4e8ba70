"""What Redis tells about a stream and its group, for those who watch: it changes nothing."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from graphwriter.stream.client import Client, order, translated
from graphwriter.stream.consumer import tagged


class Consumer(msgspec.Struct):
    """A consumer of the group, of whichever machine; times are in seconds."""

    name: str
    pending: int
    idle: float  # since it last asked for something; before Redis 7.2 since it last got something
    inactive: float | None = None  # since it last got something, where Redis tells both


class Seen(NamedTuple):
    """One look. Times are those in the entries' ids, in seconds since 1970; None: not known."""

    length: int = 0
    added: int | None = None  # since the stream is there, trimmed ones too
    group_exists: bool = False
    unread: int | None = None
    trimmed_unread: int | None = None  # gone before the group was given them: lost
    pending: int = 0
    oldest_unread: float | None = None
    oldest_pending: float | None = None
    consumers: tuple[Consumer, ...] = ()
    dead: int = 0


def look(client: Client, stream: str, group: str) -> Seen:
    """Look once; a few small commands. Raises Unavailable or ConfigError."""
    with translated(client):
        dead = client.xlen(f"{tagged(stream)}:dead")
        if not client.exists(stream):
            return Seen(dead=dead)
        info: Any = client.xinfo_stream(stream)
        groups: Any = client.xinfo_groups(stream)
        found = Seen(info["length"], info.get("entries-added"), dead=dead)
        row = next((row for row in groups if row["name"] == group.encode()), None)
        if row is None:
            return found
        unread: Any = client.xrange(stream, b"(" + row["last-delivered-id"], "+", count=1)
        waiting: Any = client.xpending(stream, group)
        consumers: Any = client.xinfo_consumers(stream, group)
    return found._replace(
        group_exists=True,
        unread=row.get("lag"),
        trimmed_unread=_trimmed_unread(info, row),
        pending=row["pending"],
        oldest_unread=_seconds(unread[0][0]) if unread else None,
        oldest_pending=_seconds(waiting["min"]) if waiting["min"] else None,
        consumers=tuple(
            Consumer(
                one["name"].decode(errors="replace"),
                one["pending"],
                one["idle"] / 1000,
                one["inactive"] / 1000 if "inactive" in one else None,
            )
            for one in consumers
        ),
    )


def _trimmed_unread(info: dict[str, Any], group: dict[str, Any]) -> int | None:
    """Return how many entries went before the group was given them, where Redis knows enough."""
    added, read = info.get("entries-added"), group.get("entries-read")
    if read is None and group["last-delivered-id"] == b"0-0":
        read = 0
    if added is None or read is None:
        return None
    first = info.get("first-entry")
    if first and order(first[0]) <= order(group["last-delivered-id"]):
        return 0  # what goes first is the oldest
    return max(0, int(added - read - info["length"]))


def _seconds(key: bytes) -> float:
    return order(key)[0] / 1000
