"""Read-only facts of a stream, its group and its server; status, page, metrics and doctor use them.

Every function asks a few small commands, and raises Unavailable, Forbidden or ConfigError.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from graphwriter.errors import GraphwriterError
from graphwriter.partitions import tagged
from graphwriter.stream.client import Client, GroupGone, translated
from graphwriter.stream.entry import order

OLDEST = 100  # pending entries whose deliveries are read
HOLDING_CONSUMERS = 20  # consumers whose oldest entry is read, those with most entries first


class Group(NamedTuple):
    """A consumer group; ids as pairs of integers."""

    name: str
    delivered: tuple[int, ...]  # id of the last entry that was delivered to it
    pending: int
    entries_read: int | None  # where Redis knows it
    lag: int | None  # entries not delivered yet, where Redis knows how many


class Consumer(msgspec.Struct):
    """A consumer of the group, on any machine; times are in seconds."""

    name: str
    pending: int
    idle: float  # since its last command; before Redis 7.2 since it last got entries
    inactive: float | None = None  # since it last got entries, where Redis knows both


class StreamFacts(NamedTuple):
    """A stream and one of its groups. Times are those of entry ids, in seconds since 1970."""

    length: int = 0
    added: int | None = None  # entries ever added, trimmed ones too; None: not known
    group_exists: bool = False
    unread: int | None = None
    trimmed_unread: int | None = None  # trimmed before they were delivered: lost
    pending: int = 0
    oldest_unread: float | None = None
    oldest_pending: float | None = None
    consumers: tuple[Consumer, ...] = ()
    dead: int = 0


class Ends(NamedTuple):
    """Ids of a stream, as pairs of integers. `first` is None if it is empty."""

    first: tuple[int, ...] | None
    deleted: tuple[int, ...] | None  # the highest id deleted one by one, where Redis knows it


class Holding(NamedTuple):
    """The pending entries of a consumer: how many, the oldest one's id and age in seconds."""

    consumer: str
    pending: int
    oldest: str
    seconds: float


class Pending(NamedTuple):
    """The oldest pending entries: the one delivered most often, and how many were trimmed."""

    id: str
    consumer: str
    deliveries: int
    trimmed: int  # of the oldest hundred; lost if their worker dies


def stream(client: Client, name: str, group: str) -> StreamFacts:
    """Return the facts of a stream and a group of it."""
    with translated(client):
        dead = client.xlen(f"{tagged(name)}:dead")
        if not client.exists(name):
            return StreamFacts(dead=dead)
        raw: Any = client.xinfo_stream(name)
    facts = StreamFacts(raw["length"], raw.get("entries-added"), dead=dead)
    own = find_group(client, name, group)
    if own is None:
        return facts
    after = "({}-{}".format(*own.delivered)
    with translated(client):
        unread: Any = client.xrange(name, after, "+", count=1)
        pending: Any = client.xpending(name, group)
        consumers: Any = client.xinfo_consumers(name, group)
    return facts._replace(
        group_exists=True,
        unread=own.lag,
        trimmed_unread=_trimmed_unread(raw, own),
        pending=own.pending,
        oldest_unread=_seconds(unread[0][0]) if unread else None,
        oldest_pending=_seconds(pending["min"]) if pending["min"] else None,
        consumers=tuple(
            Consumer(
                _text(row["name"]),
                row["pending"],
                row["idle"] / 1000,
                row["inactive"] / 1000 if "inactive" in row else None,
            )
            for row in consumers
        ),
    )


def together(answers: Sequence[StreamFacts | GraphwriterError]) -> StreamFacts:
    """Return the facts of several streams as those of one: sums, the oldest, all consumers.

    A number that is unknown of one stream is unknown; a consumer of several is one consumer. Raises
    the first error.
    """
    facts = []
    for answer in answers:
        if isinstance(answer, GraphwriterError):
            raise answer
        facts.append(answer)
    if len(facts) == 1:
        return facts[0]
    by_name: dict[str, Consumer] = {}
    for one in (consumer for each in facts for consumer in each.consumers):
        known = by_name.get(one.name, Consumer(one.name, 0, one.idle, one.inactive))
        by_name[one.name] = Consumer(
            one.name,
            known.pending + one.pending,
            min(known.idle, one.idle),
            _least(known.inactive, one.inactive),
        )
    return StreamFacts(
        length=sum(each.length for each in facts),
        added=_sum(each.added for each in facts),
        group_exists=all(each.group_exists for each in facts),
        unread=_sum(each.unread for each in facts),
        trimmed_unread=_sum(each.trimmed_unread for each in facts),
        pending=sum(each.pending for each in facts),
        oldest_unread=_least(*(each.oldest_unread for each in facts)),
        oldest_pending=_least(*(each.oldest_pending for each in facts)),
        consumers=tuple(by_name.values()),
        dead=sum(each.dead for each in facts),
    )


def _sum(values: Iterable[int | None]) -> int | None:
    known = list(values)
    return None if None in known else sum(value or 0 for value in known)


def _least(*values: float | None) -> float | None:
    return min((value for value in values if value is not None), default=None)


def _trimmed_unread(raw: dict[str, Any], group: Group) -> int | None:
    """Return how many entries were trimmed before they were delivered, if Redis knows enough.

    missed.lua counts the same when a worker reads, and marks them as counted.
    """
    added, read = raw.get("entries-added"), group.entries_read
    if read is None and group.delivered == (0, 0):
        read = 0
    if added is None or read is None:
        return None
    first = raw.get("first-entry")
    if first and order(first[0]) <= group.delivered:
        return 0  # trimming starts at the oldest entry
    return max(0, int(added - read - raw["length"]))


def groups(client: Client, name: str) -> list[Group]:
    """Return every group of the stream; none if the stream does not exist."""
    with translated(client):
        rows: Any = client.xinfo_groups(name) if client.exists(name) else []
    return [
        Group(
            _text(row["name"]),
            order(row["last-delivered-id"]),
            row["pending"],
            row.get("entries-read"),
            row.get("lag"),
        )
        for row in rows
    ]


def find_group(client: Client, name: str, group: str) -> Group | None:
    """Return one group of the stream; None if it does not exist."""
    return next((row for row in groups(client, name) if row.name == group), None)


def drained(client: Client, name: str, group: str) -> bool:
    """Return whether the group has read and acknowledged every entry of the stream.

    By ids and pending entries: `lag` is an estimate, and unknown after some deletions.
    """
    own = find_group(client, name, group)
    return own is not None and not own.pending and own.delivered >= order(last_id(client, name))


def length(client: Client, name: str) -> int:
    """Return how many entries the stream has."""
    with translated(client):
        return int(client.xlen(name))


def last_id(client: Client, name: str) -> str:
    """Return the id of the newest entry that still exists, 0-0 without one."""
    with translated(client):
        newest: Any = client.xrevrange(name, count=1)
    return newest[0][0].decode() if newest else "0-0"


def idle(client: Client, name: str, group: str, consumer: str) -> float | None:
    """Return the seconds since the consumer's last command; None if it never read."""
    try:
        with translated(client):
            rows: Any = client.xinfo_consumers(name, group) if client.exists(name) else []
    except GroupGone:
        return None
    return next((row["idle"] / 1000 for row in rows if _text(row["name"]) == consumer), None)


def ends(client: Client, name: str) -> Ends | None:
    """Return the ends of the stream; None if it does not exist."""
    with translated(client):
        if not client.exists(name):
            return None
        raw: Any = client.xinfo_stream(name)
    first, deleted = raw.get("first-entry"), raw.get("max-deleted-entry-id")
    return Ends(order(first[0]) if first else None, order(deleted) if deleted else None)


def holdings(client: Client, name: str, group: str) -> list[Holding]:
    """Return what is pending with each consumer, most first. Raises GroupGone without a group."""
    with translated(client):
        rows: Any = client.xinfo_consumers(name, group) if client.exists(name) else []
        holding = sorted((row for row in rows if row["pending"]), key=lambda row: -row["pending"])
        found = []
        for row in holding[:HOLDING_CONSUMERS]:
            oldest: Any = client.xpending_range(name, group, "-", "+", 1, row["name"])
            if oldest:  # else it was acknowledged meanwhile
                seconds = oldest[0]["time_since_delivered"] / 1000
                id_ = _text(oldest[0]["message_id"])
                found.append(Holding(_text(row["name"]), row["pending"], id_, seconds))
    return found


def oldest_pending(client: Client, name: str, group: str) -> Pending | None:
    """Return the facts of the oldest hundred pending entries; None if none is pending."""
    with translated(client):
        rows: Any = client.xpending_range(name, group, "-", "+", OLDEST)
        if not rows:
            return None
        ids = [row["message_id"] for row in rows]
        kept: Any = client.xrange(name, ids[0], ids[-1], count=1)
    most = max(rows, key=lambda row: row["times_delivered"])
    first = order(kept[0][0]) if kept else None
    trimmed = sum(first is None or order(key) < first for key in ids)
    return Pending(
        _text(most["message_id"]), _text(most["consumer"]), most["times_delivered"], trimmed
    )


def ping(client: Client) -> None:
    """Return if Redis answers."""
    with translated(client):
        client.ping()


def server(client: Client) -> dict[str, Any]:
    """Return the fields of INFO."""
    with translated(client):
        fields: Any = client.info()
    return dict(fields)


def persistence(client: Client) -> dict[str, str]:
    """Return the directives `save` and `appendfsync`."""
    with translated(client):
        directives: Any = client.config_get("save", "appendfsync")
    return {_text(name): _text(value) for name, value in directives.items()}


def clock_ahead(client: Client) -> float:
    """Return by how many seconds the server's clock is ahead of this machine's."""
    with translated(client):
        start = time.time()
        seconds, micro = client.time()
        return float(seconds + micro / 1e6 - (start + time.time()) / 2)


def _seconds(key: bytes) -> float:
    return order(key)[0] / 1000


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
