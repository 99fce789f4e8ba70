"""Entries and their ids."""

from __future__ import annotations

from typing import Any, NamedTuple

ALL = 2**31 - 1  # where Redis wants a count and every entry of a range is meant


class Entry(NamedTuple):
    """An item of a stream, not decoded. `fields` is empty if it was trimmed while pending.

    `id` is unique within `stream`, its name, and empty where only one can be meant.
    """

    id: bytes
    fields: dict[bytes, bytes]
    deliveries: int = 1
    stream: str = ""

    @property
    def time(self) -> int:
        """When it was added: milliseconds since 1970, by the server's or the producer's clock."""
        return int(self.id.partition(b"-")[0])


_new: Any = tuple.__new__  # three times as fast as a named tuple's own constructor


def new_entry(key: bytes, fields: dict[bytes, bytes] | None, stream: str) -> Entry:
    """Return an entry that was just read."""
    entry: Entry = _new(Entry, (key, fields or {}, 1, stream))
    return entry


def order(key: bytes | str) -> tuple[int, ...]:
    """Return an entry's id, or the beginning of one, as integers that can be compared."""
    text = key.decode() if isinstance(key, bytes) else key
    return tuple(map(int, text.split("-")))
