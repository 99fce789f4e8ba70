"""The queries: the selection, the columns, and one JSON object for each row.

PostgreSQL returns each row as the JSON of an event in form (a), so the code that decodes the stream
also decodes and validates rows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from importlib import resources
from typing import Any

from graphwriter.database.connection import SCHEMA
from graphwriter.errors import ConfigError
from graphwriter.keep import NOTHING, Keep

_TEXT = "any"
_INTEGER = "int2 int4 int8 numeric"
_TIME = "timestamptz timestamp int4 int8 numeric float4 float8 text varchar"
_TEXTS = "jsonb json text[] varchar[]"
_PEER = "jsonb json text varchar int8 numeric"

# For each field of the event: the allowed types of its column, and the names of the column. Of
# several columns, the first value that is not null is used.
_FIELDS = {
    "post_id": (_TEXT, "post_id id"),
    "channel_id": (_TEXT, "channel_id"),
    "tenant_id": (_TEXT, "tenant_id"),
    "tg_channel_id": (_INTEGER, "tg_channel_id"),
    "telegram_message_id": (_INTEGER, "telegram_message_id tg_message_id"),
    "account_id": (_INTEGER, "account_id"),
    "occurred_at": (_TIME, "occurred_at updated_at posted_at"),
    "posted_at": (_TIME, "posted_at"),
    # Also if the graph stores no texts: a version depends on all values, and must be the same.
    "text": (_TEXT, "text"),
    "content_hash": (_TEXT, "content_hash"),
    "telegram_post_url": (_TEXT, "telegram_post_url"),
    "has_media": ("bool", "has_media"),
    "is_edited": ("bool", "is_edited"),
    "views_count": (_INTEGER, "views_count"),
    "forwards_count": (_INTEGER, "forwards_count"),
    "reactions_count": (_INTEGER, "reactions_count"),
    "forward_from_peer_id": (_PEER, "forward_from_peer_id"),
    "forward_from_chat_id": (_INTEGER, "forward_from_chat_id"),
    "forward_from_message_id": (_INTEGER, "forward_from_message_id"),
    "forward_date": (_TIME, "forward_date"),
    "forward_from_name": (_TEXT, "forward_from_name"),
    "reply_to_message_id": (_INTEGER, "reply_to_message_id"),
    "reply_to_chat_id": (_INTEGER, "reply_to_chat_id"),
    "thread_id": (_INTEGER, "thread_id"),
    "author_peer_id": (_PEER, "author_peer_id"),
    "author_name": (_TEXT, "author_name post_author"),
    "author_type": (_TEXT, "author_type"),
    "urls": (_TEXTS, "urls"),
    "media_sha256_list": (_TEXTS, "media_sha256_list"),
    "grouped_id": (_INTEGER, "grouped_id"),
}
# Read only if the setting is on: another schema may use such a name for something else.
_KEPT = {"urls": "links", "media_sha256_list": "media", "grouped_id": "albums"}
_ALWAYS = ("post_id", "channel_id", "tg_channel_id", "telegram_message_id", "occurred_at")
_USUAL = tuple(
    name
    for name in _FIELDS
    if name.startswith(("posted_at", "forward_from", "forward_date", "reply", "thread"))
)
# A semicolon with comments after it. With a quote after it, it may be inside a literal: it stays.
_END = re.compile(r"(?:;(?:\s|--[^\n'\"$]*(?:\n|$))*)+$")
_KEYS = {"uuid": "uuid", "int2": "int8", "int4": "int8", "int8": "int8"} | dict.fromkeys(
    ("text", "varchar"), "text"
)


@dataclass(frozen=True)
class Selection:
    """Which posts are read, and what their nulls mean.

    Args:
        sql: a custom query, see docs/backfill.md; None: posts.sql.
        linked: only posts with a forward or a reply; for posts.sql only.
        since: only posts whose event has this time (with a zone) or a later one.
        channels: only posts of these chats: marked ids of Telegram, or values of channel_id.
        tenant: tenant_id for rows without one.
        nulls_clear: an event contains every facet that has a column; if all its columns are null,
            the facet is cleared.
        file: the file of `sql`, for messages.
    """

    sql: str | None = None
    linked: bool = False
    since: datetime | None = None
    channels: tuple[str, ...] = ()
    tenant: str = "default"
    nulls_clear: bool = False
    file: str | None = field(default=None, compare=False, repr=False)  # the same query is the same


class Query:
    """The SQL statements of a selection, for the columns and types of its source."""

    def __init__(
        self, selection: Selection, columns: list[tuple[str, str]], keep: Keep = NOTHING
    ) -> None:
        """Check the columns, (name, type) as PostgreSQL reports them; raises ConfigError."""
        self._selection = selection
        types = dict(columns)
        twice = {name for name in types if [n for n, _ in columns].count(name) > 1}
        if used := sorted(twice & {n for _, names in _FIELDS.values() for n in names.split()}):
            raise ConfigError(f"{_source(selection)} has two columns {', '.join(used)}: {SCHEMA}")
        self._sources = {
            name: found
            for name, (_, names) in _FIELDS.items()
            if getattr(keep, _KEPT.get(name, ""), True)
            and (found := [one for one in names.split() if one in types])
        }
        wanted = _ALWAYS if selection.sql else (*_ALWAYS, *_USUAL)
        if missing := [_FIELDS[name][1] for name in wanted if name not in self._sources]:
            lack = ", ".join(names.replace(" ", " or ") for names in missing)
            raise ConfigError(f"{_source(selection)} lacks the column {lack}: {SCHEMA}")
        for name, found in self._sources.items():
            kinds = _FIELDS[name][0]
            for column in found:
                if kinds != "any" and types[column] not in kinds.split():
                    raise ConfigError(
                        f"{_source(selection)} has {column} of type {types[column]}, expected "
                        f"{kinds.replace(' ', ', ')}: {SCHEMA}"
                    )
        self.key = "id" if "id" in types else "post_id"
        if types[self.key] not in _KEYS:
            raise ConfigError(
                f"{_source(selection)} has {self.key} of type {types[self.key]}, expected uuid, an "
                f"integer or text: {SCHEMA}"
            )
        self.key_type = _KEYS[types[self.key]]
        self._channel_type = _KEYS.get(types["channel_id"])

    def columns(self, field: str) -> list[str]:
        """Return the existing columns for a field of the event."""
        return self._sources.get(field, [])

    def _value(self, name: str) -> str:
        columns = [f"post.{column}" for column in self._sources[name]]
        if _FIELDS[name][0] == _TEXT:
            columns = [f"{column}::text" for column in columns]
        return columns[0] if len(columns) == 1 else f"coalesce({', '.join(columns)})"

    def rows(self, where: str, rest: str = "") -> str:
        """Return the query of (key, event) for the condition `where`; event is null without a chat.

        It has the parameter `tenant` and those of `where`.
        """
        values = {name: self._value(name) for name in self._sources}
        held = values.get("tenant_id")
        values["tenant_id"] = f"coalesce({held}, %(tenant)s)" if held else "%(tenant)s::text"
        fields = ", ".join(f"{value} AS {name}" for name, value in values.items())
        key = f"post.{self.key}::text"
        event = (
            f"row_to_json((SELECT event FROM (SELECT 'v1' AS schema_version, {key} AS "
            f"idempotency_key, {fields}) AS event))"
        )
        if not self._selection.nulls_clear:
            event = f"json_strip_nulls({event})"
        return (
            f"SELECT {key}, CASE WHEN post.tg_channel_id IS NOT NULL THEN {event} END "
            f"FROM {embedded(self._selection)} WHERE {where} {rest}"
        )

    def keys(self, where: str, rest: str = "") -> str:
        """Return the query of the keys for the condition `where`."""
        return f"SELECT post.{self.key}::text FROM {embedded(self._selection)} WHERE {where} {rest}"

    def count(self) -> str:
        """Return the query that counts the selection."""
        return f"SELECT count(*) FROM {embedded(self._selection)} WHERE {self.selected()}"

    def selected(self, after: str | None = None, upto: str | None = None) -> str:
        """Return the condition of the selection, of keys above `after` and up to `upto`.

        It always has a parameter, see `embedded`.
        """
        chosen = self._selection
        terms = []
        if chosen.linked:
            terms.append(
                "(post.forward_from_peer_id IS NOT NULL OR post.reply_to_message_id IS NOT NULL)"
            )
        if chosen.since is not None:
            terms.append(f"{self._value('occurred_at')} >= %(since)s")
        if chosen.channels:
            terms.append(self._of_channels())
        if after is not None:
            terms.append(f"post.{self.key} > %(after)s::{self.key_type}")
        if upto is not None:
            terms.append(f"post.{self.key} <= %(upto)s::{self.key_type}")
        return " AND ".join(terms) or "%(every)s"

    def _of_channels(self) -> str:
        """Return the condition of the chats, in the columns' types, so that an index is used."""
        chats, others = self._channels()
        terms = ["post.tg_channel_id = ANY(%(chats)s::int8[])"] if chats else []
        if others and self._channel_type is None:
            terms.append("post.channel_id::text = ANY(%(channels)s)")
        elif others:
            terms.append(f"post.channel_id = ANY(%(channels)s::{self._channel_type}[])")
        return f"({' OR '.join(terms)})"

    def _channels(self) -> tuple[list[str], list[str]]:
        """Return which of the chats are Telegram's ids, and which are values of channel_id."""
        given = self._selection.channels
        chats = [one for one in given if re.fullmatch(r"-?[0-9]{1,18}", one)]
        if self._channel_type == "int8":
            return chats, list(given)
        return chats, [one for one in given if one not in chats]

    def parameters(self, **more: Any) -> dict[str, Any]:
        """Return the parameters of these queries."""
        chosen = self._selection
        chats, channels = self._channels()
        of_all = {"tenant": chosen.tenant, "since": chosen.since, "every": True}
        return {**of_all, "chats": chats, "channels": channels, **more}


def embedded(selection: Selection) -> str:
    """Return the source as a table expression named `post`, for a query with parameters.

    At least one parameter is required: without, PostgreSQL would execute several statements in one
    text, and the first of them could end the read-only transaction.
    """
    text = selection.sql or (resources.files(__package__) / "posts.sql").read_text("utf-8")
    text = _END.sub("", text).replace("%", "%%")
    return f"(\n{text}\n) AS post"


def _source(selection: Selection) -> str:
    if selection.sql is None:
        return "the table posts, joined with channels,"
    return "the query" if selection.file is None else f"the query of --sql {selection.file}"
