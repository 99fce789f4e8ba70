"""Posts out of PostgreSQL, in constant memory: keyset pages, each by a server-side cursor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from graphwriter.database.connection import Connection, Unreadable
from graphwriter.database.query import Query, Selection, embedded
from graphwriter.errors import BadEvent, ConfigError

PAGE = 10_000  # rows of one query and its snapshot; a connection fetches far fewer at once


class Row(NamedTuple):
    """A post: its key, and its event as JSON in form (a), or why there is none."""

    id: str
    data: bytes
    error: BadEvent | None = None


class Part(NamedTuple):
    """Some of the selected posts: those of `ids`, else all above `after` and up to `upto`."""

    after: str | None = None
    upto: str | None = None
    ids: tuple[str, ...] | None = None


class Database:
    """Posts of the PostgreSQL at `url`.

    Every method that asks the server raises `Unavailable` where it does not answer or the
    connection is lost (call again, with a later `after`), and `ConfigError` where a person has to
    mend something: the table, column or permission is named. A query that cannot be read at all
    raises it before the first row.
    """

    def __init__(self, url: str, selection: Selection | None = None) -> None:
        self.selection = selection or Selection()
        self._connection = Connection(url)
        self._query: Query | None = None

    @property
    def place(self) -> str:
        """Where it is, for people, without user and password."""
        return self._connection.place

    def close(self) -> None:
        """Close the connection; it opens again when needed. Safe to call twice."""
        self._connection.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def check(self) -> Query:
        """Connect, and find out the columns, once."""
        if self._query is None:
            self._query = Query(self.selection, self._columns())
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
        """Return `error` with the columns that a field it misses comes from, where we know them."""
        columns = self.check().columns(error.message.partition(" ")[0])
        if error.reason != "missing_field" or not columns:
            return error
        said = f"{error.message}: {' and '.join(columns)} of this row {_are(columns)} null"
        return BadEvent(error.reason, said)

    def count(self) -> int:
        """Return how many posts are selected: one scan."""
        query = self.check()
        ((number,),) = self._all(query.count(), query.parameters())
        return int(number)

    def part(self, size: int, after: str | None = None) -> Part:
        """Return the next `size` posts above `after`, in the order of their keys.

        Looks only for the key at which the part ends. The last one is open, for posts that come.
        """
        query = self.check()
        rest = f"ORDER BY post.{query.key} OFFSET {size - 1} LIMIT 1"
        found = self._all(query.keys(query.selected(after), rest), query.parameters(after=after))
        return Part(after, found[0][0] if found else None)

    def posts(self, part: Part = Part(), many: int = 1000) -> Iterator[Row]:  # noqa: B008 - immutable
        """Yield the selected posts of `part` (all of them), in the order of their keys.

        Posts that are not there are yielded too if `part` names them, each with the error.
        """
        for rows in self.batches(part, many):
            yield from rows

    def batches(self, part: Part, many: int = 1000) -> Iterator[list[Row]]:
        """Yield what `posts` does, up to `many` at once and never none."""
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
        """Return the next rows where one of them cannot be computed, found by halving."""
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
                error = BadEvent("wrong_type", f"the id is no {kind}")
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
        said = (
            "tg_channel_id is null: no row of channels fits the post's channel_id, or it has none"
        )
        return Row(key, b"", BadEvent("missing_field", said))
    return Row(key, event)


def _key(given: str, kind: str) -> str | None:
    """Return an id as PostgreSQL writes it, None for what is none of its kind."""
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
