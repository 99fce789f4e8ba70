"""One consumer of a group: create_group, read, pending, claim, acknowledge, and tries."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from redis import ConnectionPool

from graphwriter.partitions import tagged
from graphwriter.stream import info, pause
from graphwriter.stream.client import Client, GroupGone, connect, script, translated
from graphwriter.stream.deadletters import DeadLetters
from graphwriter.stream.entry import ALL, Entry, new_entry
from graphwriter.stream.pause import Pause

T = TypeVar("T")
log = logging.getLogger("graphwriter")
BLOCK = 1.0  # seconds that a read waits for its first entry; a batch does not wait to be full
SOCKET_MARGIN = 5.0  # seconds that the socket of a blocking read waits longer than the server
SUSPECT = 2  # deliveries above which an entry is tried alone: it may crash workers
MISSED_INTERVAL = 1.0  # seconds between two counts of missed entries without a lag
TRIES_KEPT = 7 * 24 * 3600  # seconds after which Redis deletes an unused hash of tries


class Stream:
    """One consumer of a group of one stream; `Streams` is the same for several.

    Nothing connects before the first call. Every call blocks for at most the client's timeout and
    raises `Unavailable` or `ConfigError`. Reading and claiming create the group again if it was
    deleted, and count that in `regrouped`. Reading counts in `missed` the entries that were trimmed
    or deleted before they were delivered, if Redis knows how many (from 7.0 on).

    Args:
        beside: another stream on the same server, whose connections are used.
    """

    def __init__(
        self,
        source: str | ConnectionPool,
        stream: str,
        group: str,
        consumer: str,
        block: float = BLOCK,
        beside: Stream | None = None,
    ) -> None:
        self.name, self.group, self.consumer = stream, group, consumer
        self.block = block
        if beside is None:
            self.client: Client = connect(source, stream)
            self.reader: Client = connect(source, stream, timeout=block + SOCKET_MARGIN, retries=0)
        else:
            self.client, self.reader = beside.client, beside.reader
        self._letters = DeadLetters(self.client, stream, group, consumer)
        self._tries = f"{tagged(stream)}:tries:{group}"
        self.regrouped = 0  # times that the group was deleted and created again
        self.missed = 0
        self._lags, self._next_count = False, 0.0
        self._warned = False  # that missed entries cannot be counted

    @property
    def parts(self) -> tuple[Stream, ...]:
        """The streams that are read: this one."""
        return (self,)

    def close(self) -> None:
        """Close the connections. Safe to call twice."""
        self.client.close()
        self.reader.close()

    def paused(self) -> Pause | None:
        """Return the pause of our group, or None."""
        return pause.read(self.client, self.name, self.group)

    def create_group(self) -> bool:
        """Create the group, and the stream if necessary; it starts at the first entry.

        Returns whether it did not exist. Never `$`: entries added before would be lost.
        """
        if info.find_group(self.client, self.name, self.group):
            return False  # a full Redis refuses XGROUP CREATE even if the group exists
        with translated(self.client):
            try:
                self.client.xgroup_create(self.name, self.group, id="0", mkstream=True)
            except Exception as error:
                if "BUSYGROUP" not in str(error):
                    raise
                return False
            return True

    def read(self, count: int) -> list[Entry]:
        """Return up to `count` new entries; waits up to `block` seconds for the first one."""
        entries: list[Entry] = []
        if self._lags or time.monotonic() >= self._next_count:
            entries = self._grouped_call(lambda: self._count_and_read(count), [])
        if not entries:
            entries = self._read(b">", count, block=max(1, int(self.block * 1000)))
        self._lags = len(entries) == count
        return entries

    def _count_and_read(self, count: int) -> list[Entry]:
        """Count missed entries, which the read would skip, and read without waiting."""
        # No transaction: if the server refuses one command, the other one still runs.
        pipe: Any = self.reader.pipeline(transaction=False)
        pipe.eval(script("missed"), 1, self.name, self.group)
        pipe.xreadgroup(self.group, self.consumer, {self.name: b">"}, count=count)
        missed, reply = pipe.execute(raise_on_error=False)
        self._next_count = time.monotonic() + MISSED_INTERVAL
        if isinstance(reply, Exception):
            raise reply
        self.count_missed(missed)
        return self.new(reply)

    def count_missed(self, reply: Any) -> None:
        """Count what missed.lua returned; an error is logged once."""
        if isinstance(reply, int):
            self.missed += reply
        elif not self._warned:
            log.warning("entries trimmed before they are read cannot be counted: %s", reply)
            self._warned = True

    def look(self, count: int) -> tuple[bytes, list[Entry]]:
        """Return up to `count` new entries without waiting, and an id.

        Where they are fewer than `count`, everything up to that id is delivered.
        """

        def step() -> tuple[bytes, list[Entry]]:
            pipe: Any = self.reader.pipeline(transaction=False)
            pipe.eval(script("missed"), 1, self.name, self.group)
            pipe.xrevrange(self.name, count=1)
            pipe.xreadgroup(self.group, self.consumer, {self.name: b">"}, count=count)
            missed, newest, reply = pipe.execute(raise_on_error=False)
            for each in (reply, newest):
                if isinstance(each, Exception):
                    raise each
            self.count_missed(missed)
            return newest[0][0] if newest else b"0-0", self.new(reply)

        nothing: tuple[bytes, list[Entry]] = (b"0-0", [])
        return self._grouped_call(step, nothing)

    def pending(self, count: int) -> list[Entry]:
        """Return up to `count` of the oldest entries that are pending with this consumer.

        Only the oldest one if some were delivered too often: reading them all may be what crashes
        the worker.
        """

        def deliveries() -> list[int]:
            rows: Any = self.client.xpending_range(
                self.name, self.group, "-", "+", count, self.consumer
            )
            return [row["times_delivered"] for row in rows]

        nothing: list[int] = []
        too_often = max(self._grouped_call(deliveries, nothing), default=0) > SUSPECT
        return self._read(b"0", 1 if too_often else count)

    def claim(self, idle: float, count: int, cursor: bytes = b"0-0") -> tuple[bytes, list[Entry]]:
        """Claim entries that have been pending with any consumer for more than `idle` seconds.

        One step of a sweep: returns the cursor of the next step, `0-0` when the sweep is over, and
        up to `count` entries, maybe none. Trimmed entries come back with empty fields and are
        removed from the pending entries list.
        """

        def step() -> tuple[bytes, list[Entry]]:
            reply: list[Any] = self.reader.xautoclaim(
                self.name, self.group, self.consumer, int(idle * 1000), cursor, count=count
            )
            entries = [new_entry(key, fields, self.name) for key, fields in reply[1]]
            # Redis 7 lists the trimmed ones here, and has removed them from the pending list.
            gone = reply[2] if len(reply) > 2 else []
            trimmed = [new_entry(key, None, self.name) for key in gone]
            return reply[0], self._with_deliveries(entries) + trimmed

        nothing: tuple[bytes, list[Entry]] = (b"0-0", [])
        return self._grouped_call(step, nothing)

    def ack(self, ids: Iterable[bytes]) -> None:
        """Acknowledge entries. Idempotent."""
        with translated(self.client):
            self.client.xack(self.name, self.group, *ids)

    def done(self, entries: Iterable[Entry]) -> None:
        """Acknowledge entries that are written, or lost. Idempotent."""
        self.ack(entry.id for entry in entries)

    def bury(self, entry: Entry, reason: str, error: str) -> None:
        """Keep `entry` as a dead letter and acknowledge it; see `DeadLetters.add`."""
        self._letters.add(entry, reason, error)

    def try_alone(self, entry: Entry) -> int:
        """Count a try of `entry` by itself before it begins, and return how many there were."""
        with translated(self.reader):
            pipe = self.reader.pipeline()  # a silent retry would count a try that never was
            pipe.hincrby(self._tries, entry.id.decode(), 1)
            pipe.expire(self._tries, TRIES_KEPT)
            return int(pipe.execute()[0])

    def tried(self, entry: Entry) -> None:
        """Forget the tries of `entry`: it is done, or an outage ended the try."""
        with translated(self.client):
            self.client.hdel(self._tries, entry.id.decode())

    def idle(self) -> float | None:
        """Return the seconds since any process last read under our name; None: never."""
        return info.idle(self.client, self.name, self.group, self.consumer)

    def _read(self, start: bytes, count: int, block: int | None = None) -> list[Entry]:
        def step() -> list[Entry]:
            reply: Any = self.reader.xreadgroup(
                self.group, self.consumer, {self.name: start}, count=count, block=block
            )
            entries = self.new(reply)
            return entries if block else self._with_deliveries(entries)

        return self._grouped_call(step, [])

    def new(self, reply: Any) -> list[Entry]:
        """Return the entries of a reply to XREADGROUP that asks for this stream only."""
        if not reply:
            return []
        rows = next(iter(reply.values()))[0] if isinstance(reply, dict) else reply[0][1]
        return [new_entry(key, fields, self.name) for key, fields in rows]

    def _grouped_call(self, step: Callable[[], T], nothing: T) -> T:
        """Run a read or claim; if the group was deleted create it, and return `nothing`."""
        try:
            with translated(self.reader):
                return step()
        except GroupGone:
            if self.create_group():
                self.regrouped += 1
            return nothing

    def _with_deliveries(self, entries: list[Entry]) -> list[Entry]:
        """Return `entries` with their numbers of deliveries; Redis counts every re-read."""
        if not entries:
            return entries
        with translated(self.client):
            rows = self.client.xpending_range(
                self.name, self.group, entries[0].id, entries[-1].id, ALL, self.consumer
            )
        times = {row["message_id"]: int(row["times_delivered"]) for row in rows}
        return [entry._replace(deliveries=times.get(entry.id, 1)) for entry in entries]
