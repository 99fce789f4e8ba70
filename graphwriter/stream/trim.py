"""Which entries every group is done with, and their removal; and what a stream still contains.

Everything blocks on Redis for a page at a time, and raises `Unavailable` or `ConfigError`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from graphwriter.stream import info
from graphwriter.stream.client import Client, GroupGone, script, translated
from graphwriter.stream.entry import ALL, Entry, order

PAGE_SIZE = 500  # entries in memory at a time


def oldest_needed(client: Client, name: str) -> bytes | None:
    """Return the id before which every group has acknowledged everything, None without groups.

    `entries_read` and `lag` are estimates: only ids and pending entries are used.
    """
    needed: list[tuple[int, ...]] = []
    for group in info.groups(client, name):
        milliseconds, sequence = group.delivered
        needed.append((milliseconds, sequence + 1))
        if group.pending:
            with translated(client):
                oldest: Any = client.xpending(name, group.name)["min"]
            if oldest:  # else the last one was acknowledged just now
                needed.append(order(oldest))
    return "{}-{}".format(*min(needed)).encode() if needed else None


def trim(client: Client, name: str, before: bytes) -> int:
    """Remove entries before the id, in whole nodes of the stream; return how many.

    One call removes about ten thousand, so that Redis serves others between two calls. It ends: ids
    only rise, so nothing is added before an id that was delivered.
    """
    removed = 0
    while count := _trim_once(client, name, before):
        removed += count
    return removed


def _trim_once(client: Client, name: str, before: bytes) -> int:
    with translated(client):
        return int(client.xtrim(name, minid=before.decode(), approximate=True))


def count_before(client: Client, name: str, before: bytes) -> int:
    """Return how many entries are before the id. Redis counts them, a thousand at a time."""
    count, start = 0, "-"
    while True:
        with translated(client):
            page: Any = client.eval(script("count"), 1, name, start, f"({before.decode()}")
        if not page[0]:
            return count
        count += page[0]
        start = f"({page[1].decode()}"


def retained(client: Client, name: str, group: str) -> Iterator[tuple[Entry, bool]]:
    """Yield each entry of the stream, oldest first, and whether it is in flight for the group.

    In flight are entries that were not delivered to the group, or not acknowledged. All others are
    in the graph, or dead letters, by the time they are yielded. Ends at the entry that is the last
    one at the start.
    """
    last, start = info.last_id(client, name), "-"
    while True:
        with translated(client):
            page: Any = client.xrange(name, start, last, count=PAGE_SIZE)
        if not page:
            return
        in_flight = _in_flight(client, name, group, [key for key, _ in page])
        for key, fields in page:
            yield Entry(key, fields), key in in_flight
        start = f"({page[-1][0].decode()}"


def _in_flight(client: Client, name: str, group: str, ids: list[bytes]) -> set[bytes]:
    # First the last delivered id, then the pending entries: an entry that is delivered between the
    # two counts as unread, and never as done.
    own = info.find_group(client, name, group)
    if own is None:
        return set(ids)
    in_flight = {key for key in ids if order(key) > own.delivered}
    if len(in_flight) < len(ids):
        try:
            with translated(client):
                rows: Any = client.xpending_range(name, group, ids[0], ids[-1], ALL)
        except GroupGone:
            return set(ids)
        in_flight |= {row["message_id"] for row in rows}
    return in_flight
