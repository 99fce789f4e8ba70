"""One consumer of several streams: reads them all, and gives each back what is its own.

On one server a single XREADGROUP reads all streams. In a cluster they lie on several nodes, and no
command can read two of them: there each is read by itself, and an `Alarm` waits for all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from operator import attrgetter
from typing import Any, TypeVar

from redis import ConnectionPool

from graphwriter import partitions
from graphwriter.errors import GraphwriterError, Unavailable
from graphwriter.stream import topology
from graphwriter.stream.alarm import Alarm
from graphwriter.stream.client import Client, GroupGone, connect, script, translated
from graphwriter.stream.consumer import BLOCK, MISSED_INTERVAL, Stream
from graphwriter.stream.entry import Entry, new_entry
from graphwriter.stream.pause import Pause

T = TypeVar("T")
Clients = list[tuple[Client, tuple[str, ...]]]  # each with its streams
FIRST = b"0-0"  # where a sweep begins, and what ends it


def consumer_of(
    source: str | ConnectionPool, setting: str, group: str, name: str, block: float = BLOCK
) -> Stream | Streams:
    """Return the consumer `name` of the streams that `setting` names; raises ConfigError."""
    streams = partitions.names(setting)
    if len(streams) == 1:
        return Stream(source, streams[0], group, name, block)
    if topology.spread(source):
        return Spread(setting, [Stream(source, one, group, name, block) for one in streams])
    first = Stream(source, streams[0], group, name, block)
    others = [Stream(source, one, group, name, block, beside=first) for one in streams[1:]]
    return Streams(setting, [first, *others])


def clients(url: str, setting: str, *, timeout: float = 5.0, retries: int = 3) -> Clients:
    """Return the clients that the streams of `setting` need, each with its streams.

    On one server that is one client for all; in a cluster each stream has its own, since its slot
    can move. Raises as `connect`.
    """
    streams = partitions.names(setting)
    groups = [(one,) for one in streams] if topology.spread(url) else [streams]
    return [(connect(url, some[0], timeout=timeout, retries=retries), some) for some in groups]


def ask(of: Clients, question: Callable[[Client, str], T]) -> dict[str, T | GraphwriterError]:
    """Return the answer, or the error, for every stream; several nodes are asked at one time.

    Of a server that does not answer no more is asked: each question would take as long to fail.
    """

    def some(one: tuple[Client, tuple[str, ...]]) -> dict[str, T | GraphwriterError]:
        client, names = one
        answers: dict[str, T | GraphwriterError] = {}
        for name in names:
            try:
                answers[name] = question(client, name)
            except Unavailable as error:
                return dict.fromkeys(names, error) | answers
            except GraphwriterError as error:
                answers[name] = error
        return answers

    if len(of) == 1:
        return some(of[0])
    with ThreadPoolExecutor(len(of)) as pool:
        return {name: answer for answers in pool.map(some, of) for name, answer in answers.items()}


def each(url: str, setting: str) -> list[tuple[Client, str]]:
    """Return every stream with a client of its server."""
    return [(client, name) for client, some in clients(url, setting) for name in some]


class Streams:
    """One consumer of several streams on one server. Calls block and raise as those of `Stream`.

    `name` is the setting that names them, `parts` are the streams.
    """

    def __init__(self, setting: str, parts: Sequence[Stream]) -> None:
        self.parts = tuple(parts)
        first = self.parts[0]
        self.name, self.group, self.consumer = setting, first.group, first.consumer
        self.block = first.block
        self.client: Client = first.client
        self._by_name = {part.name: part for part in self.parts}
        self._turn = 0
        self._lagging: set[str] = set()  # streams that had more than was read
        self._next_count = 0.0

    def close(self) -> None:
        """Close the connections. Safe to call twice."""
        for part in self.parts:
            part.close()

    def paused(self) -> Pause | None:
        """Return the pause of our group, or None; all streams are paused together."""
        return self.parts[0].paused()

    def create_group(self) -> bool:
        """Create the group of each stream, and the stream if necessary; see `Stream`.

        Returns whether one did not exist.
        """
        return any([part.create_group() for part in self.parts])  # noqa: C419 - all of them

    @property
    def regrouped(self) -> int:
        """Times that a group was deleted and created again."""
        return sum(part.regrouped for part in self.parts)

    def read(self, count: int) -> list[Entry]:
        """Return up to `count` new entries, oldest first; waits up to `block` for the first one.

        Each stream gives its share first, so that a busy one keeps nobody waiting; what is left of
        `count` goes to those that have more. `count` is at least the number of streams.
        """
        parts = self._rotated()
        share = max(1, count // len(parts))
        counted = parts
        if time.monotonic() < self._next_count:
            counted = [part for part in parts if part.name in self._lagging]
        found = self._take(parts, share, counted) if counted else {}
        if not found:
            found = self._take(parts, share, block=max(1, int(self.block * 1000)))
        chunks = list(found.values())
        more = self._note(parts, found, share)
        left = count - sum(map(len, chunks))
        while more and left > 0:
            asked = more[:left]
            share = left // len(asked)
            found = self._take(asked, share, asked)
            chunks += found.values()
            left -= sum(map(len, found.values()))
            more = self._note(asked, found, share)
        return oldest_first(chunks)

    def _rotated(self) -> list[Stream]:
        """Return the streams, a different one first each time."""
        self._turn = (self._turn + 1) % len(self.parts)
        return [*self.parts[self._turn :], *self.parts[: self._turn]]

    def _note(
        self, asked: Sequence[Stream], found: dict[str, list[Entry]], share: int
    ) -> list[Stream]:
        """Note and return which of the streams that were asked for `share` may have more."""
        more = [part for part in asked if len(found.get(part.name, ())) == share]
        self._lagging.difference_update(part.name for part in asked)
        self._lagging.update(part.name for part in more)
        return more

    def _take(
        self,
        parts: Sequence[Stream],
        share: int,
        counted: Sequence[Stream] = (),
        block: int | None = None,
    ) -> dict[str, list[Entry]]:
        """Return up to `share` new entries of each stream that has some.

        First the missed entries of the `counted` ones are counted, which the read would skip.
        """

        def step() -> dict[str, list[Entry]]:
            # No transaction: if the server refuses one command, the other ones still run.
            pipe: Any = reader.pipeline(transaction=False) if counted else reader
            for part in counted:
                pipe.eval(script("missed"), 1, part.name, self.group)
            reply = pipe.xreadgroup(
                self.group, self.consumer, dict.fromkeys(names, b">"), count=share, block=block
            )
            if counted:
                *missed, reply = pipe.execute(raise_on_error=False)
                for part, number in zip(counted, missed, strict=True):
                    part.count_missed(number)
                if len(counted) == len(self.parts):
                    self._next_count = time.monotonic() + MISSED_INTERVAL
            if isinstance(reply, Exception):
                raise reply
            return _by_name(reply)

        reader, names = self.parts[0].reader, [part.name for part in parts]
        nothing: dict[str, list[Entry]] = {}
        return self._grouped(step, nothing)

    def _grouped(self, step: Callable[[], T], nothing: T) -> T:
        try:
            with translated(self.parts[0].reader):
                return step()
        except GroupGone:
            for part in self.parts:
                part.regrouped += part.create_group()
            return nothing

    def pending(self, count: int) -> list[Entry]:
        """Return up to `count` entries that are pending with this consumer, of one stream."""
        return next((found for part in self.parts if (found := part.pending(count))), [])

    def claim(self, idle: float, count: int, cursor: bytes = FIRST) -> tuple[bytes, list[Entry]]:
        """Claim entries as `Stream.claim`: one step of a sweep, which goes through all streams."""
        number, _, start = cursor.rpartition(b" ")
        for at in range(int(number or 0), len(self.parts)):
            after, entries = self.parts[at].claim(idle, count, start)
            if after != FIRST:
                return b"%d %s" % (at, after), entries
            start = FIRST
            if entries:
                is_last = at + 1 == len(self.parts)
                return (FIRST if is_last else b"%d %s" % (at + 1, FIRST)), entries
        return FIRST, []

    def done(self, entries: Iterable[Entry]) -> None:
        """Acknowledge entries that are written, or lost. Idempotent."""
        with translated(self.client):
            pipe: Any = self.client.pipeline(transaction=False)
            for name, ids in _ids(entries).items():
                pipe.xack(name, self.group, *ids)
            pipe.execute()

    def bury(self, entry: Entry, reason: str, error: str) -> None:
        """Keep `entry` as a dead letter of its stream and acknowledge it."""
        self._by_name[entry.stream].bury(entry, reason, error)

    def try_alone(self, entry: Entry) -> int:
        """Count a try of `entry` by itself before it begins, and return how many there were."""
        return self._by_name[entry.stream].try_alone(entry)

    def tried(self, entry: Entry) -> None:
        """Forget the tries of `entry`: it is done, or an outage ended the try."""
        self._by_name[entry.stream].tried(entry)

    def idle(self) -> float | None:
        """Return the seconds since any process last read under our name; None: never."""
        times = [one for part in self.parts if (one := part.idle()) is not None]
        return min(times, default=None)


class Spread(Streams):
    """One consumer of several streams in a cluster, where each has connections of its own."""

    def __init__(self, setting: str, parts: Sequence[Stream]) -> None:
        super().__init__(setting, parts)
        self._alarm = Alarm(self.block, {part.name: part.reader for part in self.parts})

    def close(self) -> None:
        """Close the connections. Safe to call twice."""
        self._alarm.close()
        super().close()

    def read(self, count: int) -> list[Entry]:
        """Return new entries, as on one server; only streams that may have some are read."""
        end = time.monotonic() + self.block
        while True:
            rung = self._alarm.rung(max(0.0, end - time.monotonic()))
            entries = self._look([part for part in self._rotated() if part.name in rung], count)
            if entries or time.monotonic() >= end:
                return entries

    def _look(self, parts: Sequence[Stream], count: int) -> list[Entry]:
        chunks: list[list[Entry]] = []
        while parts and count:
            more = []
            asked = parts[:count]
            share = count // len(asked)
            for part in asked:
                last, entries = part.look(share)
                chunks.append(entries)
                count -= len(entries)
                if len(entries) == share:
                    more.append(part)
                else:
                    self._alarm.arm(part.name, last)
            parts = more
        return oldest_first([chunk for chunk in chunks if chunk])

    def done(self, entries: Iterable[Entry]) -> None:
        """Acknowledge entries that are written, or lost. Idempotent."""
        for name, ids in _ids(entries).items():
            self._by_name[name].ack(ids)


def oldest_first(chunks: Sequence[list[Entry]]) -> list[Entry]:
    """Return the entries of several streams in one list, in the order of their times."""
    if len(chunks) == 1:
        return chunks[0]
    return sorted((entry for chunk in chunks for entry in chunk), key=attrgetter("time"))


def _ids(entries: Iterable[Entry]) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for entry in entries:
        found.setdefault(entry.stream, []).append(entry.id)
    return found


def _by_name(reply: Any) -> dict[str, list[Entry]]:
    """Return the entries of a reply to XREADGROUP, by stream; those without any are left out."""
    if isinstance(reply, dict):
        reply = [(name, rows[0]) for name, rows in reply.items()]
    found = {}
    for raw, rows in reply or ():
        name = raw.decode()
        found[name] = [new_entry(key, fields, name) for key, fields in rows]
    return found
