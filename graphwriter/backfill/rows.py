"""Rows of PostgreSQL written to a target, batch by batch: the graph, the stream, or a dry run."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from graphwriter import events, files
from graphwriter.database import Database, Part, Row, Selection
from graphwriter.errors import BadEvent
from graphwriter.events import Event
from graphwriter.graph import Graph, Refused
from graphwriter.graph.batch import Batch, fold
from graphwriter.graph.write import Pairs, write_halving
from graphwriter.keep import NOTHING, Keep
from graphwriter.producers.publisher import EventPublisher
from graphwriter.stream import info
from graphwriter.stream.streams import clients
from graphwriter.worker.readahead import ReadAhead

EXAMPLES = 3  # events, and rejects, that a dry run shows


class Reject(NamedTuple):
    """A row that cannot be written, and why."""

    id: str
    reason: str
    message: str


def append_rejects(file: Path, rejects: Iterable[Reject]) -> None:
    """Add `rejects` to a file, one JSON line each; without any no file is made."""
    lines = [msgspec.json.encode(reject._asdict()) + b"\n" for reject in rejects]
    if lines:
        files.append(file, b"".join(lines))


class Written(NamedTuple):
    """One batch of a part: the rows read, those that changed the target, and the rejects."""

    rest: Part  # what is left of the part
    read: int
    written: int
    rejects: list[Reject]


class Target(Protocol):
    """Where events go. `keep`: what is kept of them there."""

    keep: Keep

    def put(self, pairs: Pairs[Row], batch: Batch) -> Iterator[tuple[Pairs[Row], int | Refused]]:
        """Write events; yield groups of them, each with how many changed something, or an error.

        `batch` holds the rows of the statement for all `pairs`. Raises Unavailable and ConfigError.
        """


class ToGraph:
    """Writes events as a worker does; with `rewrite` also those that the graph has already."""

    def __init__(self, graph: Graph, keep: Keep, rewrite: bool = False) -> None:
        self._graph, self.keep, self._rewrite = graph, keep, rewrite

    def put(self, pairs: Pairs[Row], batch: Batch) -> Iterator[tuple[Pairs[Row], int | Refused]]:
        """Write them; a refused batch in halves."""
        for group, outcome in write_halving(
            self._graph, pairs, batch, self.keep, rewrite=self._rewrite
        ):
            yield group, outcome if isinstance(outcome, Refused) else len(outcome)


class ToStream:
    """Publishes events, so that the workers write them."""

    keep = NOTHING

    def __init__(self, url: str, stream: str) -> None:
        self._url, self._stream = url, stream
        self._publisher: EventPublisher | None = None

    def put(self, pairs: Pairs[Row], batch: Batch) -> Iterator[tuple[Pairs[Row], int | Refused]]:  # noqa: ARG002
        """Publish them."""
        publisher = self._publisher or EventPublisher(self._url, self._stream, patience=0)
        self._publisher = None  # a publisher that fails is closed, and its events published again
        try:
            for row, _ in pairs:
                publisher.publish(row.data)
            publisher.flush()
        except BaseException:
            publisher.close()
            raise
        self._publisher = publisher
        yield pairs, len(pairs)

    def check(self) -> None:
        """Return if the server answers; one attempt."""
        for client, _ in clients(self._url, self._stream, retries=0):
            try:
                info.ping(client)
            finally:
                client.close()

    def close(self) -> None:
        """Close the connection."""
        if self._publisher is not None:
            self._publisher.close()


class DryRun:
    """Counts what a backfill would write, and writes nothing."""

    keep = NOTHING

    def __init__(self) -> None:
        names = ("read", "rejected", "posts", "forwards", "replies", "authors")
        self.counts = dict.fromkeys(names, 0)
        self.events: list[dict[str, Any]] = []
        self.rejects: list[Reject] = []

    def put(self, pairs: Pairs[Row], batch: Batch) -> Iterator[tuple[Pairs[Row], int | Refused]]:
        """Count them."""
        examples = pairs[: EXAMPLES - len(self.events)]
        self.events += [msgspec.json.decode(row.data) for row, _ in examples]
        self.counts["posts"] += len(batch.posts)
        self.counts["forwards"] += len(batch.forwards)
        self.counts["replies"] += len(batch.replies)
        self.counts["authors"] += len(batch.authored)
        yield pairs, len(pairs)

    def run(self, database: Database, part: Part, tenant: str | None) -> Iterator[int]:
        """Read `part`; yield how many rows were read after each batch. Raises as `write_part`."""
        for written in write_part(database, self, part, tenant=tenant):
            self.counts["read"] += written.read
            self.counts["rejected"] += len(written.rejects)
            self.rejects += written.rejects[: EXAMPLES - len(self.rejects)]
            yield self.counts["read"]


def write_part(
    database: Database,
    target: Target,
    part: Part,
    *,
    batch_size: int = 1000,
    tenant: str | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> Iterator[Written]:
    """Write `part`; yield what was written after each batch, and end early if `stopping`.

    The next batch is read, decoded and folded while one is written. A row that cannot be written is
    a reject, and the others are written. With `tenant` the rows of other tenants are rejects.

    Raises:
        Unavailable: a server does not answer: resume later at the last `rest`.
        ConfigError: a setting or a server's set-up has to be changed.
    """
    batches = _batches(database, part, batch_size, tenant, target.keep)
    with ReadAhead[_Prepared | None]() as ahead:
        ahead.start(lambda: next(batches, None))
        try:
            while (prepared := ahead.take()) is not None and not stopping():
                ahead.start(lambda: next(batches, None))
                written, rejects = 0, prepared.rejects
                for group, outcome in (
                    target.put(prepared.pairs, prepared.batch) if prepared.pairs else ()
                ):
                    if isinstance(outcome, Refused):
                        rejects += [_reject(row.id, outcome) for row, _ in group]
                    else:
                        written += outcome
                yield Written(prepared.rest, prepared.read, written, rejects)
        finally:
            ahead.drop()
            ahead.start(batches.close)  # ends the query, whose connection belongs to that thread
            ahead.take()


def write_ids(
    url: str, target: Target, ids: Sequence[str], batch_size: int, tenant: str | None
) -> Iterator[Reject]:
    """Write the posts of `ids`, and yield those that cannot be; raises what `write_part` does."""
    selection = Selection(tenant=tenant or Selection.tenant)
    with Database(url, selection, target.keep) as database:
        for written in write_part(
            database, target, Part(ids=tuple(ids)), batch_size=batch_size, tenant=tenant
        ):
            yield from written.rejects


class _Prepared(NamedTuple):
    rest: Part  # what is left of the part after this batch
    read: int
    pairs: list[tuple[Row, Event]]
    batch: Batch
    rejects: list[Reject]


def _batches(
    database: Database, part: Part, batch_size: int, tenant: str | None, keep: Keep
) -> Generator[_Prepared, None, None]:
    for rows in database.batches(part, batch_size):
        now = int(time.time() * 1000)
        pairs: list[tuple[Row, Event]] = []
        rejects: list[Reject] = []
        for row in rows:
            if row.error is not None:
                rejects.append(_reject(row.id, row.error))
                continue
            try:
                pairs.append((row, events.decode({b"data": row.data}, now, tenant, keep)))
            except BadEvent as error:
                rejects.append(_reject(row.id, database.explained(error)))
        if part.ids is not None:
            part = part._replace(ids=part.ids[batch_size:])
        else:
            part = part._replace(after=rows[-1].id)
        batch = fold((event for _, event in pairs), keep)
        yield _Prepared(part, len(rows), pairs, batch, rejects)


def _reject(key: str, error: BadEvent) -> Reject:
    return Reject(key, error.reason, error.message)
