"""Reads posts from PostgreSQL in constant memory: keyset pages, each with a server-side cursor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from graphwriter.database.connection import Connection, Unreadable
from graphwriter.database.query import Query, Selection, embedded
from graphwriter.errors import BadEvent, ConfigError
from graphwriter.keep import NOTHING, Keep

PAGE = 10_000  # rows of one query and its snapshot; fetched in smaller batches


class Row(NamedTuple):
    """A post: its key, and its event as JSON in form (a), or the error why it has none."""

    id: str
    data: bytes
    error: BadEvent | None = None


class Part(NamedTuple):
    """A part of the selected posts: those of `ids`, or all keys above `after` and up to `upto`."""

    after: str | None = None
    upto: str | None = None
    ids: tuple[str, ...] | None = None


class Database:
    """Posts of the PostgreSQL at `url`; `keep`: columns of what is not kept are not read.

    Every method that sends a query raises `Unavailable` if the server does not answer or the
    connection is lost (call again, with a later `after`), and `ConfigError` for a missing table,
    column or permission, which it names. For an invalid query it is raised before the first row.
    """

    def __init__(self, url: str, selection: Selection | None = None, keep: Keep = NOTHING) -> None:
        self._keep = keep
        self.selection = selection or Selection()
        self._connection = Connection(url)
        self._query: Query | None = None

    @property
    def place(self) -> str:
        """Host, port and database, without user and password."""
        return self._connection.place

    def close(self) -> None:
        """Close the connection; it is opened again on the next use. Safe to call twice."""
        self._connection.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def check(self) -> Query:
        """Connect and read the columns, on the first call only."""
        if self._query is None:
            self._query = Query(self.selection, self._columns(), self._keep)
        return self._query

    def _columns(self) -> list[tuple[str, str]]:
        asked = False
        try:
            with self._connection.reading() as connection:
                asked = True
                text = f"SELECT * FROM {embedded(self.selection)} LIMIT %(none)s"
                cursor = connection.execute(text, {"none": 0})
                return [
                    (one.name, _type_name(connection, one.type_code))
                    for one in cursor.description or ()
                ]
        except ConfigError as error:
            if asked and self.selection.file is not None:
                raise ConfigError(f"--sql {self.selection.file}: {error}") from None
            raise

    def explained(self, error: BadEvent) -> BadEvent:
        """Return `error`; for a missing field, with the names of the columns it comes from."""
        columns = self.check().columns(error.message.partition(" ")[0])
        if error.reason != "missing_field" or not columns:
            return error
        said = f"{error.message}: {' and '.join(columns)} of this row {_are(columns)} null"
        return BadEvent(error.reason, said)

    def count(self) -> int:
        """Return how many posts are selected. Scans the table once."""
        query = self.check()
        ((number,),) = self._all(query.count(), query.parameters())
        return int(number)

    def part(self, size: int, after: str | None = None) -> Part:
        """Return the next `size` posts above `after`, in the order of their keys.

        Reads only the key at which the part ends. The last part is open, for posts added later.
        """
        query = self.check()
        rest = f"ORDER BY post.{query.key} OFFSET {size - 1} LIMIT 1"
        found = self._all(query.keys(query.selected(after), rest), query.parameters(after=after))
        return Part(after, found[0][0] if found else None)

    def posts(self, part: Part = Part(), many: int = 1000) -> Iterator[Row]:  # noqa: B008 - immutable
        """Yield the selected posts of `part` (all of them), in the order of their keys.

        If `part` names ids, missing posts are yielded too, with an error.
        """
        for rows in self.batches(part, many):
            yield from rows

    def batches(self, part: Part, many: int = 1000) -> Iterator[list[Row]]:
        """Yield the same as `posts`, in non-empty lists of up to `many`."""
        if part.ids is not None:
            for start in range(0, len(part.ids), many):
                yield self._named(part.ids[start : start + many])
            return
        after = part.after
        while True:
            read = 0
            try:
                for rows in self._page(after, part.upto, many):
                    yield rows
                    after, read = rows[-1].id, read + len(rows)
            except Unreadable:
                rows = self._apart(after, part.upto, many)
                if rows:
                    yield rows
                    after, read = rows[-1].id, PAGE
            if read < PAGE:
                return

    def _page(self, after: str | None, upto: str | None, many: int) -> Iterator[list[Row]]:
        query = self.check()
        text = query.rows(query.selected(after, upto), f"ORDER BY post.{query.key} LIMIT {PAGE}")
        with (
            self._connection.reading() as connection,
            connection.cursor(name="posts") as cursor,
        ):
            cursor.execute(text, query.parameters(after=after, upto=upto))
            while found := cursor.fetchmany(many):
                yield [_row(*one) for one in found]

    def _apart(self, after: str | None, upto: str | None, many: int) -> list[Row]:
        """Return the next rows if one of them cannot be computed; it is found by halving."""
        query = self.check()
        rest = f"ORDER BY post.{query.key} LIMIT {many}"
        parameters = query.parameters(after=after, upto=upto)
        keys = [
            key for (key,) in self._all(query.keys(query.selected(after, upto), rest), parameters)
        ]
        return self._halved(keys)

    def _halved(self, keys: Sequence[str]) -> list[Row]:
        if not keys:
            return []
        query = self.check()
        where = f"post.{query.key} = ANY(%(keys)s::{query.key_type}[])"
        text = query.rows(where, f"ORDER BY post.{query.key}")
        try:
            with self._connection.reading() as connection:
                found = connection.execute(text, query.parameters(keys=list(keys))).fetchall()
        except Unreadable as error:
            if len(keys) == 1:
                said = f"PostgreSQL cannot compute the row: {error}"
                return [Row(keys[0], b"", BadEvent("unreadable", said))]
            middle = len(keys) // 2
            return self._halved(keys[:middle]) + self._halved(keys[middle:])
        return [_row(*one) for one in found]

    def _named(self, ids: Sequence[str]) -> list[Row]:
        """Return a row for each of `ids`, in their order."""
        kind = self.check().key_type
        keys = {one: _key(one, kind) for one in dict.fromkeys(ids)}
        found = {row.id: row for row in self._halved([key for key in keys.values() if key])}
        rows = []
        for one, key in keys.items():
            error = BadEvent("not_found", "no post has this id")
            if key is None:
                error = BadEvent("wrong_type", f"the id is not a {kind}")
            row = found.get(key or "")
            rows.append(Row(one, b"", error) if row is None else row._replace(id=one))
        return rows

    def _all(self, text: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        try:
            with self._connection.reading() as connection:
                return connection.execute(text, parameters).fetchall()
        except Unreadable as error:
            raise ConfigError(f"PostgreSQL at {self.place} cannot select: {error}") from None


def _are(columns: Sequence[str]) -> str:
    return "is" if len(columns) == 1 else "are"


def _row(key: str, event: bytes | None) -> Row:
    if event is None:
        said = "tg_channel_id is null: channels has no row for the channel_id, or a null"
        return Row(key, b"", BadEvent("missing_field", said))
    return Row(key, event)


def _key(given: str, kind: str) -> str | None:
    """Return an id in PostgreSQL's form; None if it is not of this type."""
    try:
        if kind == "uuid":
            return str(UUID(given))
        if kind == "int8":
            number = int(given)
            return str(number) if -(2**63) <= number < 2**63 else None
    except ValueError:
        return None
    return None if "\x00" in given else given


def _type_name(connection: Any, oid: int) -> str:
    known = connection.adapters.types.get(oid)
    if known is None:
        return f"number {oid}"
    return f"{known.name}[]" if known.oid != oid else str(known.name)
