"""The stream as one consumer of a group sees it: read, pending, claim, ack."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

from redis import ConnectionPool

from graphwriter.stream import missed
from graphwriter.stream.client import Client, GroupGone, connect, order, translated

T = TypeVar("T")
log = logging.getLogger("graphwriter")
MARGIN = 5.0  # seconds that a blocking read's socket waits longer than the server blocks
SUSPECT = 2  # deliveries above which an entry is tried alone: it may be what ends the worker
EVERY = 2**31 - 1  # where Redis asks for a count: all that this consumer has in a range
LOOK = 1.0  # seconds between two looks for missed entries of one who keeps up
TRIES_KEPT = 7 * 24 * 3600  # seconds; the hash of tries goes by itself when nobody needs it

# KEYS stream; ARGV first and last id. A page's number of entries and last id, without the entries.
_COUNT = """
local found = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[2], 'COUNT', 1000)
return {#found, found[#found] and found[#found][1]}
"""


class Entry(NamedTuple):
    """An item of the stream, undecoded. `fields` is empty if it was trimmed while pending."""

    id: bytes
    fields: dict[bytes, bytes]
    deliveries: int = 1

    @property
    def time(self) -> int:
        """When it was added: milliseconds since 1970, by the server's or the producer's clock."""
        return int(self.id.partition(b"-")[0])


_new: Any = tuple.__new__  # a named tuple's own is a function of Python's, three times as slow


def tagged(stream: str) -> str:
    """Return `stream` as a key prefix that lies in the same cluster slot."""
    start = stream.find("{")
    if start >= 0 and stream.find("}", start) > start + 1:
        return stream
    return f"{{{stream}}}"


class Stream:
    """One consumer of a group of one stream.

    Nothing connects before the first call. Every call blocks for at most the client's timeout and
    raises `Unavailable` or `ConfigError`; reading and claiming make the group again when it is gone
    and count that in `regrouped`. Reading counts in `missed` the entries that were trimmed or
    deleted before the group was given them, where Redis knows how many (from 7.0 on).
    """

    def __init__(
        self,
        source: str | ConnectionPool,
        stream: str,
        group: str,
        consumer: str,
        block: float = 1.0,
    ) -> None:
        self.name, self.group, self.consumer = stream, group, consumer
        self.block = block
        self.client: Client = connect(source, stream)
        self._reader: Client = connect(source, stream, timeout=block + MARGIN, retries=0)
        self._tries = f"{tagged(stream)}:tries:{group}"
        self.regrouped = 0  # times that the group was gone and made again
        self.missed = 0
        self._behind, self._next_look = False, 0.0
        self._blind = False  # whether it was said that we may not look

    def close(self) -> None:
        """Close the connections. Safe to call twice."""
        self.client.close()
        self._reader.close()

    def create_group(self) -> bool:
        """Make the group, and the stream with it, reading from the first entry there is.

        Returns whether it was not there. Never `$`: entries added before would be lost.
        """
        if any(row["name"] == self.group for row in self.groups()):
            return False  # a Redis that is full refuses to make a group even where it is there
        with translated(self.client):
            try:
                self.client.xgroup_create(self.name, self.group, id="0", mkstream=True)
            except Exception as error:
                if "BUSYGROUP" not in str(error):
                    raise
                return False
            return True

    def read(self, count: int) -> list[Entry]:
        """Return up to `count` entries that nobody was given yet; waits `block` seconds for one."""
        entries: list[Entry] = []
        if self._behind or time.monotonic() >= self._next_look:  # else there is nothing to miss
            entries = self._grouped_call(lambda: self._look_and_read(count), [])
        if not entries:
            entries = self._read(b">", count, block=max(1, int(self.block * 1000)))
        self._behind = len(entries) == count
        return entries

    def _look_and_read(self, count: int) -> list[Entry]:
        """Read without waiting, and count right before what was missed and would be passed over."""
        # No transaction: a server that refuses the one has to do the other.
        pipe: Any = self._reader.pipeline(transaction=False)
        pipe.eval(missed.SCRIPT, 1, self.name, self.group)
        pipe.xreadgroup(self.group, self.consumer, {self.name: b">"}, count=count)
        gone, reply = pipe.execute(raise_on_error=False)
        self._next_look = time.monotonic() + LOOK
        if isinstance(reply, Exception):
            raise reply
        if isinstance(gone, int):
            self.missed += gone
        elif not self._blind:
            log.warning("entries that go unread are not counted: %s", gone)
            self._blind = True
        return _entries(reply)

    def pending(self, count: int) -> list[Entry]:
        """Return up to `count` of the oldest entries this consumer was given and has not acked.

        Only the oldest where some came back too often: reading them all may be what ends us.
        """

        def deliveries() -> list[int]:
            rows: Any = self.client.xpending_range(
                self.name, self.group, "-", "+", count, self.consumer
            )
            return [row["times_delivered"] for row in rows]

        nobody: list[int] = []
        often = max(self._grouped_call(deliveries, nobody), default=0) > SUSPECT
        return self._read(b"0", 1 if often else count)

    def claim(self, idle: float, count: int, cursor: bytes = b"0-0") -> tuple[bytes, list[Entry]]:
        """Take over entries that some consumer has had for more than `idle` seconds.

        One step of a sweep: returns the cursor for the next step, `0-0` when the sweep is over, and
        up to `count` entries, maybe none. Trimmed entries come back with empty fields, however
        long they have been pending, and are so no more.
        """

        def step() -> tuple[bytes, list[Entry]]:
            reply: list[Any] = self._reader.xautoclaim(
                self.name, self.group, self.consumer, int(idle * 1000), cursor, count=count
            )
            entries = [Entry(key, fields or {}) for key, fields in reply[1]]
            # Redis 7 names the trimmed ones here, and has dropped them from the pending list.
            gone = [Entry(key, {}) for key in (reply[2] if len(reply) > 2 else [])]
            return reply[0], self._counted(entries) + gone

        nothing: tuple[bytes, list[Entry]] = (b"0-0", [])
        return self._grouped_call(step, nothing)

    def ack(self, ids: Iterable[bytes]) -> None:
        """Acknowledge entries; one that is acknowledged already does no harm."""
        with translated(self.client):
            self.client.xack(self.name, self.group, *ids)

    def try_alone(self, entry: Entry) -> int:
        """Count that `entry` is about to be tried alone, and return how often it was, with this."""
        with translated(self._reader):
            pipe = self._reader.pipeline()  # a silent retry would count a try that never was
            pipe.hincrby(self._tries, entry.id.decode(), 1)
            pipe.expire(self._tries, TRIES_KEPT)
            return int(pipe.execute()[0])

    def tried(self, entry: Entry) -> None:
        """Forget the tries of `entry`: it is done, or it was not its fault."""
        with translated(self.client):
            self.client.hdel(self._tries, entry.id.decode())

    def length(self) -> int:
        """Return how many entries the stream holds."""
        with translated(self.client):
            return int(self.client.xlen(self.name))

    def idle(self) -> float | None:
        """Return the seconds since somebody last read under our name; None: nobody ever has."""
        try:
            with translated(self.client):
                if not self.client.exists(self.name):
                    return None
                rows: Any = self.client.xinfo_consumers(self.name, self.group)
        except GroupGone:
            return None
        ours = self.consumer.encode()
        return next((row["idle"] / 1000 for row in rows if row["name"] == ours), None)

    def last_id(self) -> str:
        """Return the id of the newest entry that is still there, 0-0 without one."""
        with translated(self.client):
            newest: Any = self.client.xrevrange(self.name, count=1)
        return newest[0][0].decode() if newest else "0-0"

    def groups(self) -> list[dict[str, Any]]:
        """Return Redis's view of every group of the stream; none if there is no stream."""
        with translated(self.client):
            if not self.client.exists(self.name):
                return []
            rows: Any = self.client.xinfo_groups(self.name)
        return [
            {key: v.decode() if isinstance(v, bytes) else v for key, v in row.items()}
            for row in rows
        ]

    def oldest_needed(self) -> bytes | None:
        """Return the id before which every group has acknowledged everything, None without groups.

        `entries_read` and `lag` are estimates: only ids and pending lists count here.
        """
        needed: list[tuple[int, ...]] = []
        for row in self.groups():
            milliseconds, sequence = order(row["last-delivered-id"])
            needed.append((milliseconds, sequence + 1))
            if row["pending"]:
                with translated(self.client):
                    oldest: Any = self.client.xpending(self.name, row["name"])["min"]
                if oldest:  # else the last one was acknowledged just now
                    needed.append(order(oldest))
        return "{}-{}".format(*min(needed)).encode() if needed else None

    def trim(self, before: bytes) -> int:
        """Remove entries before the id, in whole nodes of the stream; return how many went.

        One call removes about ten thousand, so that Redis serves others between two. It ends: ids
        only rise, so nothing is added before one that was delivered.
        """
        removed = 0
        while gone := self._trimmed(before):
            removed += gone
        return removed

    def _trimmed(self, before: bytes) -> int:
        with translated(self.client):
            return int(self.client.xtrim(self.name, minid=before.decode(), approximate=True))

    def count_before(self, before: bytes) -> int:
        """Return how many entries lie before the id. Counted by Redis, a thousand at a time."""
        count, start = 0, "-"
        while True:
            with translated(self.client):
                found: Any = self.client.eval(_COUNT, 1, self.name, start, f"({before.decode()}")
            if not found[0]:
                return count
            count += found[0]
            start = f"({found[1].decode()}"

    def _read(self, start: bytes, count: int, block: int | None = None) -> list[Entry]:
        def step() -> list[Entry]:
            reply: Any = self._reader.xreadgroup(
                self.group, self.consumer, {self.name: start}, count=count, block=block
            )
            entries = _entries(reply)
            return entries if block else self._counted(entries)

        return self._grouped_call(step, [])

    def _grouped_call(self, step: Callable[[], T], nothing: T) -> T:
        """Run a read or claim; where the group is gone make it, and return `nothing` this time."""
        try:
            with translated(self._reader):
                return step()
        except GroupGone:
            if self.create_group():
                self.regrouped += 1
            return nothing

    def _counted(self, entries: list[Entry]) -> list[Entry]:
        """Return `entries` with how often Redis has delivered each; it counts every re-read."""
        if not entries:
            return entries
        with translated(self.client):
            rows = self.client.xpending_range(
                self.name, self.group, entries[0].id, entries[-1].id, EVERY, self.consumer
            )
        times = {row["message_id"]: int(row["times_delivered"]) for row in rows}
        return [entry._replace(deliveries=times.get(entry.id, 1)) for entry in entries]


def _entries(reply: Any) -> list[Entry]:
    if not reply:
        return []
    found = next(iter(reply.values()))[0] if isinstance(reply, dict) else reply[0][1]
    return [_new(Entry, (key, fields or {}, 1)) for key, fields in found]
