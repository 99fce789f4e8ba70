"""The sources of an audit: each yields the events that the graph must contain."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from graphwriter import events
from graphwriter.database import Database
from graphwriter.errors import BadEvent
from graphwriter.events import Event
from graphwriter.keep import NOTHING, Keep
from graphwriter.producers import lines
from graphwriter.stream import DeadLetters
from graphwriter.stream.client import Client
from graphwriter.stream.trim import retained


class Item(NamedTuple):
    """One event of a source, or why it is invalid, and its place: a line, an entry's id, a post."""

    place: str
    event: Event | BadEvent
    in_flight: bool = False  # unread or pending: it may not be in the graph yet


class Source(Protocol):
    """A source of events, read once from its beginning, with the memory of a page.

    `exact`: it has the events that were written. Otherwise it has posts with their own time, and
    the graph may have the same values with another time.
    """

    exact: bool

    def __iter__(self) -> Iterator[Item]:
        """Yield the items; blocks on reading, raises `ConfigError` or `Unavailable`."""
        ...

    def dead(self, places: set[str]) -> set[str]:  # noqa: ARG002 - of those that have letters
        """Return which of these places are dead letters, and so not in the graph: here none."""
        return set()


class StreamSource(Source):
    """The entries that are still in a stream, or in several; those with their clients.

    With several the place of an entry is its id and its stream.
    """

    exact = True

    def __init__(
        self,
        streams: Sequence[tuple[Client, str]],
        group: str,
        tenant: str | None = None,
        keep: Keep = NOTHING,
    ) -> None:
        self._streams, self._group = streams, group
        self._tenant, self._keep = tenant, keep
        self._letters = [DeadLetters(client, name, group) for client, name in streams]
        self._dead: set[str] = set()  # places of decodable events; they are few
        self._read: dict[str, str] = {}  # the last letter that was read, by stream

    def __iter__(self) -> Iterator[Item]:
        """Yield the entries of each stream, oldest first, up to the last one at its start."""
        for client, name in self._streams:
            for entry, in_flight in retained(client, name, self._group):
                clock = max(_now(), entry.time)
                event = _decoded(entry.fields, clock, self._tenant, self._keep)
                yield Item(self._place(entry.id.decode(), name), event, in_flight)

    def dead(self, places: set[str]) -> set[str]:
        """Read the dead letters; called only if something differs."""
        for letters in self._letters:
            for letter in letters.list(after=self._read.get(letters.stream)):
                self._read[letters.stream] = letter.id
                if letter.reason in _DECODED:
                    self._dead.add(self._place(letter.source_id, letters.stream))
        return places & self._dead

    def _place(self, key: str, stream: str) -> str:
        return key if len(self._streams) == 1 else f"{key} of {stream}"


_DECODED = ("post_id_taken", "refused", "deliveries")  # reasons that arise while writing


class FileSource(Source):
    """A file of events, one per line, plain or gzipped."""

    exact = True

    def __init__(self, path: str, tenant: str | None = None, keep: Keep = NOTHING) -> None:
        self._path, self._tenant, self._keep = path, tenant, keep

    def __iter__(self) -> Iterator[Item]:
        """Yield the lines; raises ConfigError with the line at which the file cannot be read."""
        for number, line in lines.checked(self._path):
            event = _decoded({b"data": line}, _now(), self._tenant, self._keep)
            yield Item(f"line {number}", event)


class PostsSource(Source):
    """The posts of an export or a dump, turned into events here."""

    exact = False

    def __init__(
        self, posts: Iterable[dict[str, Any]], rejected: list[Item], keep: Keep = NOTHING
    ) -> None:
        self._posts, self._rejected, self._keep = posts, rejected, keep

    def __iter__(self) -> Iterator[Item]:
        """Yield the posts, and values that cannot be read as soon as they are found."""
        for values in self._posts:
            yield from self._take_rejected()
            place = f"post {values['tg_channel_id']}/{values['telegram_message_id']}"
            try:
                yield Item(place, events.from_values(values, _now(), self._keep))
            except BadEvent as error:
                yield Item(place, error)
        yield from self._take_rejected()

    def _take_rejected(self) -> Iterator[Item]:
        while self._rejected:
            yield self._rejected.pop(0)


class DatabaseSource(Source):
    """The posts of a PostgreSQL database; their time is `updated_at`, else `posted_at`."""

    exact = False

    def __init__(self, database: Database, tenant: str | None = None, keep: Keep = NOTHING) -> None:
        self._database, self._tenant, self._keep = database, tenant, keep

    def __iter__(self) -> Iterator[Item]:
        """Yield the selected posts, in the order of their keys."""
        for row in self._database.posts():
            event = row.error or _decoded({b"data": row.data}, _now(), self._tenant, self._keep)
            yield Item(f"post {row.id}", event)


def export(
    read: Callable[..., Iterator[dict[str, Any]]],
    path: str,
    tenant: str,
    account: int | None = None,
    keep: Keep = NOTHING,
) -> PostsSource:
    """Return the posts of an export or a dump; `read` is the `events` function of its importer."""
    rejected: list[Item] = []
    posts = read(
        Path(path),
        tenant=tenant,
        account=account,
        rejected=lambda place, error: rejected.append(Item(place, error)),
    )
    return PostsSource(posts, rejected, keep)


def _decoded(
    fields: dict[bytes, bytes], clock: int, tenant: str | None, keep: Keep
) -> Event | BadEvent:
    try:
        return events.decode(fields, clock, tenant, keep)
    except BadEvent as error:
        return error


def _now() -> int:
    return int(time.time() * 1000)
