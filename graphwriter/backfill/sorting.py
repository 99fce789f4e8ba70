"""What one process of an offline load does: spread events, fold them, merge the ends of links.

First every event goes to the bucket of its address. Then each bucket is decoded and folded: the
newest of each facet wins, as in the graph. At last the ends of the links, which other buckets have
named too, are merged, bucket by bucket.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO, NamedTuple
from zlib import crc32

import msgspec

from graphwriter import events
from graphwriter.backfill import tables
from graphwriter.backfill.buckets import Buckets
from graphwriter.backfill.rows import Reject
from graphwriter.config import Config
from graphwriter.database import Database, Part, Selection
from graphwriter.errors import BadEvent, Unavailable
from graphwriter.events import Address, Event, telegram, wire
from graphwriter.graph.batch import Labels, name_of_end, newest

ROWS = 1000  # rows of PostgreSQL in memory
ENDS_LIMIT = 100_000  # sources, authors, pages and files that a process holds


class Plan(NamedTuple):
    """What every process has to know."""

    config: Config
    selection: Selection | None  # None: the events are in files
    folder: Path
    buckets: int

    @property
    def tables(self) -> Path:
        """Where the tables are written."""
        return self.folder / "tables"


class Read(NamedTuple):
    """What was read of a part: `rest` is left because of the error `waiting`."""

    read: int
    rejects: list[Reject]
    rest: Part | None = None
    waiting: str | None = None


class Folded(NamedTuple):
    """What one bucket gave."""

    events: int
    lines: dict[str, int]  # by table
    rejects: list[Reject]
    multiline: bool  # some text has a line feed


class Merged(NamedTuple):
    """The lines that the merge of one bucket gave, by table; multiline as in `Folded`."""

    lines: dict[str, int]
    multiline: bool


class Claim(NamedTuple):
    """A post_id that two addresses claim: `address` loses, `winner` keeps it."""

    post_id: str
    address: Address
    winner: Address


class _Where(msgspec.Struct, gc=False):
    """The fields of an event that its address is made of."""

    tg_channel_id: int
    telegram_message_id: int | None = None
    tg_message_id: int | None = None
    account_id: int | None = None


class _Label(msgspec.Struct, array_like=True, gc=False):
    """A source or an author in a bucket."""

    id: str
    type: str
    version: int
    name: str | None


_where = msgspec.json.Decoder(_Where)
_label = msgspec.json.Decoder(_Label)
_key = msgspec.json.Decoder(str)
_encode = msgspec.json.Encoder().encode
# What the buckets of keys have: posts, messages that links lead to, post_ids, other ends.
KEYS = ("posts", "targets", "ids", "sources", "authors", "urls", "files")


class Sorting:
    """The tasks of process `number`; every method raises OSError and `GraphwriterError`."""

    def __init__(self, number: int, plan: Plan) -> None:
        config = plan.config
        self._number, self._plan, self._keep = number, plan, config.keep
        self._events = self._opened("events")
        self._database: Database | None = None
        if plan.selection is not None and config.database_url is not None:
            self._database = Database(config.database_url, plan.selection, config.keep)
        self._files: dict[str, IO[str]] = {}
        self._ends = tables.Ends()
        self._buckets: dict[str, Buckets] = {}
        gc.collect()
        gc.freeze()

    def _opened(self, name: str) -> Buckets:
        plan = self._plan
        return Buckets(plan.folder, name, plan.buckets, self._number, plan.config.workers)

    def read(self, part: Part) -> Read:
        """Spread the rows of a part over the buckets."""
        assert self._database is not None
        read, rejects = 0, []
        try:
            for rows in self._database.batches(part, ROWS):
                for row in rows:
                    if row.error is not None:
                        rejects.append(Reject(row.id, row.error.reason, row.error.message))
                    else:
                        self._spread(b"", row.data)
                read += len(rows)
                if part.ids is None:
                    part = part._replace(after=rows[-1].id)
                else:
                    part = part._replace(ids=part.ids[ROWS:])
        except Unavailable as error:
            return Read(read, rejects, part, str(error))
        gc.collect()
        return Read(read, rejects)

    def spread(self, place: str, lines: list[tuple[int, bytes]]) -> Read:
        """Spread lines of a file, with their numbers; `place` is the number of the file."""
        for number, line in lines:
            self._spread(b"%s:%d" % (place.encode(), number), line)
        return Read(len(lines), [])

    def _spread(self, place: bytes, data: bytes) -> None:
        bucket = _bucket(data, self._plan.buckets)
        if b"\n" in data:
            data = data.replace(b"\n", b" ")  # white space: a text has it as an escape
        self._events.add(bucket, b"%s\t%s" % (place, data))

    def flush(self) -> None:
        """Write what is held of the events."""
        self._events.flush()

    def start(self) -> None:
        """Begin to fold, with empty tables."""
        self._close()
        self._ends = tables.Ends()
        self._buckets = {name: self._opened(name) for name in KEYS}
        for name in tables.tables(self._keep):
            file = self._plan.tables / f"{name}-{self._number}.csv"
            self._files[name] = file.open("w", encoding="utf-8", newline="\n")

    def fold(self, bucket: int, lost: frozenset[Address]) -> Folded:
        """Write the posts of a bucket and their links, without the posts that are `lost`."""
        now = int(time.time() * 1000)
        found: list[Event] = []
        rejects: list[Reject] = []
        lines = self._events.read(bucket)
        for line in lines:
            place, _, data = line.partition(b"\t")
            try:
                found.append(
                    events.decode({b"data": data}, now, self._plan.config.tenant, self._keep)
                )
            except BadEvent as error:
                rejects.append(self._reject(place, data, error))
        read = len(lines)
        del lines
        held = newest(found)
        for address in lost & held.keys():
            del held[address]
        rows = tables.rows(held.values(), self._keep, self._ends)
        self._note(bucket, held, rows.targets)
        multiline = self._write(rows.lines)
        counts = {name: len(of_table) for name, of_table in rows.lines.items()}
        del found, held, rows
        gc.collect()
        return Folded(read, counts, rejects, multiline)

    def _note(self, bucket: int, held: dict[Address, Event], targets: set[Address]) -> None:
        """Put what other buckets may have too into the buckets of keys."""
        number = self._plan.buckets
        posts, ids, ends = (self._buckets[name] for name in ("posts", "ids", "targets"))
        for address, event in held.items():
            post_id = event.post.post_id
            key = b"%d:%d" % address
            posts.add(bucket, key)
            ids.add(crc32(post_id.encode()) % number, b"%s\t%s" % (_encode(post_id), key))
        for address in targets:
            if address not in held:
                ends.add(hash(address) % number, b"%d:%d" % address)
        if len(self._ends) > ENDS_LIMIT:
            self._note_ends()

    def _note_ends(self) -> None:
        number = self._plan.buckets
        for name in ("sources", "authors"):
            held: Labels = getattr(self._ends, name)
            for (key, kind), (version, label) in held.items():
                line = _encode(_Label(key, kind, version, label))
                self._buckets[name].add(crc32(key.encode()) % number, line)
        for name in ("urls", "files"):
            for key in getattr(self._ends, name):
                self._buckets[name].add(crc32(key.encode()) % number, _encode(key))
        self._ends = tables.Ends()

    def end(self) -> None:
        """Write what is held after the last bucket was folded."""
        self._note_ends()
        for buckets in self._buckets.values():
            buckets.flush()

    def claims(self, bucket: int) -> list[Claim]:
        """Return the post_ids that several addresses claim: the lowest address keeps it."""
        lines = [line.rpartition(b"\t") for line in self._buckets["ids"].read(bucket)]
        if len({line[0] for line in lines}) == len(lines):
            return []
        claimed: dict[bytes, list[Address]] = {}
        for key, _, address in lines:
            chat, _, message = address.partition(b":")
            claimed.setdefault(key, []).append((int(chat), int(message)))
        return [
            Claim(_key.decode(key), address, min(addresses))
            for key, addresses in claimed.items()
            for address in addresses
            if address != min(addresses)
        ]

    def merge(self, bucket: int) -> Merged:
        """Write the ends of links whose keys are in a bucket, each once."""
        read = {name: self._buckets[name].read(bucket) for name in KEYS if name != "ids"}
        bare = set(read["targets"]).difference(read["posts"])
        lines = {"messages": list(tables.messages(key.decode() for key in bare))}
        for name in ("sources", "authors"):
            held: Labels = {}
            for line in read[name]:
                one = _label.decode(line)
                name_of_end(held, (one.id, one.type), one.version, one.name)
            lines[name] = list(tables.labels(held))
        for name in ("urls", "files"):
            if name in self._files:
                lines[name] = list(tables.keys(map(_key.decode, set(read[name]))))
        multiline = self._write(lines)
        return Merged({name: len(of_table) for name, of_table in lines.items()}, multiline)

    def close(self) -> None:
        """Complete the tables, and bring them to the disk."""
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
        self._close()

    def _close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files = {}

    def _write(self, lines: dict[str, list[str]]) -> bool:
        """Write lines to the tables; return whether some text in them has a line feed."""
        multiline = False
        for name, of_table in lines.items():
            if of_table:
                text = "\n".join(of_table)
                multiline |= "\r" in text or text.count("\n") >= len(of_table)
                self._files[name].write(f"{text}\n")
        return multiline

    def _reject(self, place: bytes, data: bytes, error: BadEvent) -> Reject:
        if self._database is not None:
            error = self._database.explained(error)
            return Reject(str(msgspec.json.decode(data)["idempotency_key"]), *error.args)
        return Reject(place.decode(), *error.args)


def _bucket(data: bytes, number: int) -> int:
    """Return the bucket of an event's address; any bucket if the event has none."""
    try:
        found: _Where | wire.PostParsedEventV1 = _where.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        try:
            found = wire.decode({b"data": data})  # an earlier duplicate of a key may be wrong
        except BadEvent:
            return 0
    message, account = found.telegram_message_id, found.account_id
    if message is None:
        message = found.tg_message_id or 0
    chat = found.tg_channel_id
    if account is not None:
        chat = telegram.chat_of_account(account, chat)
    return hash((chat, message)) % number


def numbered(lines: Iterable[tuple[int, bytes]], many: int) -> Iterable[list[tuple[int, bytes]]]:
    """Yield lists of up to `many` lines."""
    some: list[tuple[int, bytes]] = []
    for line in lines:
        some.append(line)
        if len(some) == many:
            yield some
            some = []
    if some:
        yield some
