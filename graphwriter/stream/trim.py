"""What a stream still holds, told apart by whether the group is done with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from graphwriter.stream.client import GroupGone, order, translated
from graphwriter.stream.consumer import EVERY, Entry, Stream

PAGE = 500  # entries in memory at a time


def retained(stream: Stream) -> Iterator[tuple[Entry, bool]]:
    """Yield each entry that is there now, oldest first, and whether it is still in flight.

    In flight is what the group has not been given, or has not acknowledged. Of all other entries
    the outcome is in the graph, or a dead letter, by the time they are yielded. Blocks on Redis a
    page at a time; raises `Unavailable` or `ConfigError`.
    """
    last, start = stream.last_id(), "-"
    while True:
        with translated(stream.client):
            found: Any = stream.client.xrange(stream.name, start, last, count=PAGE)
        if not found:
            return
        waiting = _in_flight(stream, [key for key, _ in found])
        for key, fields in found:
            yield Entry(key, fields), key in waiting
        start = f"({found[-1][0].decode()}"


def _in_flight(stream: Stream, ids: list[bytes]) -> set[bytes]:
    # First how far the group was read, then what is pending: an entry that is delivered between the
    # two is then held for unread, and never for done.
    read = next((row for row in stream.groups() if row["name"] == stream.group), None)
    if read is None:
        return set(ids)
    last = order(read["last-delivered-id"])
    waiting = {key for key in ids if order(key) > last}
    if len(waiting) < len(ids):
        try:
            with translated(stream.client):
                rows: Any = stream.client.xpending_range(
                    stream.name, stream.group, ids[0], ids[-1], EVERY
                )
        except GroupGone:
            return set(ids)
        waiting |= {row["message_id"] for row in rows}
    return waiting
