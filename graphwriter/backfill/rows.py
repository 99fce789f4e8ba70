"""Rows of PostgreSQL into the graph, or into the stream, a batch after another."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from graphwriter import events, files
from graphwriter.database import Database, Part, Row, Selection
from graphwriter.errors import BadEvent
from graphwriter.graph import Graph, Refused
from graphwriter.graph.batch import Batch, fold
from graphwriter.graph.write import Pairs, settle
from graphwriter.producers.publisher import EventPublisher
from graphwriter.stream.client import connect, translated


class Reject(NamedTuple):
    """A row that is not written, and why."""

    id: str
    reason: str
    message: str


def append(file: Path, rejects: Iterable[Reject]) -> None:
    """Add `rejects` to a file, a JSON line each; none makes no file. No link is followed."""
    lines = [msgspec.json.encode(reject._asdict()) + b"\n" for reject in rejects]
    if lines:
        files.append(file, b"".join(lines))


class Done(NamedTuple):
    """What was done of a part: the rows read, those that changed something, and those rejected."""

    rest: Part  # what is left of it
    read: int
    written: int
    rejects: list[Reject]


class Target(Protocol):
    """Where the events go. Both methods raise Unavailable and ConfigError."""

    def fold(self, pairs: Pairs[Row]) -> Batch:
        """Prepare events, in a thread beside `put`."""

    def put(self, pairs: Pairs[Row], batch: Batch) -> Iterator[tuple[Pairs[Row], int | Refused]]:
        """Write events; yield lots of them, each with how many changed something, or an error."""


class ToGraph:
    """Writes events as a worker does. `rewrite`: also what the graph has already."""

    def __init__(self, graph: Graph, with_text: bool, rewrite: bool = False) -> None:
        self._graph, self._text, self._rewrite = graph, with_text, rewrite

    def fold(self, pairs: Pairs[Row]) -> Batch:
        """Return the rows of the statement."""
        return fold((event for _, event in pairs), self._text)

    def put(self, pairs: Pairs[Row], batch: Batch) -> Iterator[tuple[Pairs[Row], int | Refused]]:
        """Write them; a refused batch in halves."""
        for lot, outcome in settle(self._graph, pairs, batch, self._text, rewrite=self._rewrite):
            yield lot, outcome if isinstance(outcome, Refused) else len(outcome)


class ToStream:
    """Publishes events for the workers to write."""

    def __init__(self, url: str, stream: str) -> None:
        self._url, self._stream = url, stream
        self._publisher: EventPublisher | None = None

    def fold(self, pairs: Pairs[Row]) -> Batch:  # noqa: ARG002 - the workers fold
        """Return nothing: the workers fold."""
        return fold(())

    def put(self, pairs: Pairs[Row], batch: Batch) -> Iterator[tuple[Pairs[Row], int | Refused]]:  # noqa: ARG002
        """Publish them."""
        publisher = self._publisher or EventPublisher(self._url, self._stream, patience=0)
        self._publisher = None  # what a failed one holds back is published anew
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
        """Ask the server for a sign of life, once."""
        client = connect(self._url, self._stream, retries=0)
        try:
            with translated(client):
                client.exists(self._stream)
        finally:
            client.close()

    def close(self) -> None:
        """Close the connection."""
        if self._publisher is not None:
            self._publisher.close()


def fill(
    database: Database,
    target: Target,
    part: Part,
    *,
    batch_size: int = 1000,
    tenant: str | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> Iterator[Done]:
    """Write `part`, and say what was done after each batch; stop where `stopping` says so.

    While a batch is written the next one is read, decoded and folded. A row that cannot be written
    is a reject, and the rest is written. With `tenant` other tenants' rows are rejects.

    Raises:
        Unavailable: a server is away: go on later with the `rest` of what was done last.
        ConfigError: a person has to mend something.
    """
    ready = _ready(database, target, part, batch_size, tenant)
    with ThreadPoolExecutor(1, "read-ahead") as helper:
        ahead = helper.submit(next, ready, None)
        try:
            while (one := ahead.result()) is not None and not stopping():
                ahead = helper.submit(next, ready, None)
                rest, read, pairs, batch, rejects = one
                written = 0
                for lot, outcome in target.put(pairs, batch) if pairs else ():
                    if isinstance(outcome, Refused):
                        rejects += [_reject(row.id, outcome) for row, _ in lot]
                    else:
                        written += outcome
                yield Done(rest, read, written, rejects)
        finally:
            wait([ahead])
            helper.submit(ready.close).result()  # ends the query, whose connection is that thread's


def named(
    url: str, target: Target, ids: Sequence[str], batch_size: int, tenant: str | None
) -> Iterator[Reject]:
    """Write the posts of `ids`, and yield those that cannot be; errors are those of `fill`."""
    selection = Selection(tenant=tenant or Selection.tenant)
    with Database(url, selection) as database:
        for done in fill(
            database, target, Part(ids=tuple(ids)), batch_size=batch_size, tenant=tenant
        ):
            yield from done.rejects


_Ready = tuple[Part, int, list[tuple[Row, events.Event]], Batch, list[Reject]]


def _ready(
    database: Database, target: Target, part: Part, batch_size: int, tenant: str | None
) -> Generator[_Ready, None, None]:
    for rows in database.batches(part, batch_size):
        now = int(time.time() * 1000)
        pairs: list[tuple[Row, events.Event]] = []
        rejects: list[Reject] = []
        for row in rows:
            if row.error is not None:
                rejects.append(_reject(row.id, row.error))
                continue
            try:
                pairs.append((row, events.decode({b"data": row.data}, now, tenant)))
            except BadEvent as error:
                rejects.append(_reject(row.id, database.explained(error)))
        if part.ids is not None:
            part = part._replace(ids=part.ids[batch_size:])
        else:
            part = part._replace(after=rows[-1].id)
        yield part, len(rows), pairs, target.fold(pairs), rejects


def _reject(key: str, error: BadEvent) -> Reject:
    return Reject(key, error.reason, error.message)
