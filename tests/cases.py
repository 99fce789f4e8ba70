"""The contract as data: the fields of an event, what a graph may hold, and examples.

A case is one entry and what has to come of it: a refusal, or (parts of) the graph it leaves when
it is the only one. A story is several entries of one or more posts.

`unclear` marks a case that the contract is silent on: the comment says how it is read here.
`others` are further words for a refusal where it is certain that the entry is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

# Register and type of every known field; a register's values stand in this order.
FIELDS = """\
event text: schema_version idempotency_key trace_id user_id
event time: occurred_at
event integer: tg_channel_id telegram_message_id tg_message_id link_count
event list: urls media_sha256_list
post text: post_id channel_id tenant_id
post time: posted_at
post integer: views_count forwards_count reactions_count
post boolean: has_media is_edited
post text: telegram_post_url content_hash text
forward peer: forward_from_peer_id
forward integer: forward_from_chat_id forward_from_message_id
forward time: forward_date
forward text: forward_from_name
reply integer: reply_to_message_id reply_to_chat_id thread_id
author peer: author_peer_id
author text: author_name author_type
"""
KIND: dict[str, str] = {}
REGISTERS: dict[str, list[str]] = {"post": [], "forward": [], "reply": [], "author": []}
for _line in FIELDS.splitlines():
    _register, _kind, *_names = _line.replace(":", "").split()
    KIND |= dict.fromkeys(_names, _kind)
    REGISTERS.get(_register, []).extend(_names)
REQUIRED = ["schema_version", "occurred_at", "idempotency_key", "tg_channel_id"]
REQUIRED += ["tenant_id", "channel_id", "post_id"]

# The tables of a graph as it is compared, and which table, key and properties a node or link has.
TABLES: dict[str, Callable[[], Any]] = {
    "messages": dict, "sources": set, "authors": set,
    "forwards": dict, "forward_posts": dict, "replies": dict, "authored": dict,
}  # fmt: skip
VERSIONS = ["version", "forward_version", "reply_version", "author_version"]
ADDRESS = ["tg_channel_id", "telegram_message_id"]
NODES: dict[str, tuple[str, list[str], list[str]]] = {
    "Message": ("messages", ADDRESS, []),
    "Message:Post": ("messages", [*ADDRESS, "post_id"], [*REGISTERS["post"], *VERSIONS]),
    "ForwardSource": ("sources", ["source_type", "source_id"], ["name", "name_day"]),
    "Author": ("authors", ["author_type", "author_id"], ["name", "name_day"]),
}
LINKS: dict[str, tuple[str, str, list[str]]] = {
    "FORWARDED_FROM": (
        ("forwards", "ForwardSource", ["forward_date", "forward_from_message_id", "source_name"])
    ),
    "FORWARDED_FROM_POST": ("forward_posts", "Message", []),
    "REPLIES_TO": ("replies", "Message", ["thread_id"]),
    "AUTHOR_OF": ("authored", "Author", ["signature"]),
}

CHANNEL = -1001179270258
HERE = (CHANNEL, 7)
BASE: dict[str, Any] = {
    "schema_version": "v1",
    "occurred_at": "2024-05-01T10:00:00Z",
    "idempotency_key": "k",
    "tenant_id": "t",
    "channel_id": "c",
    "post_id": "p",
    "tg_channel_id": CHANNEL,
    "telegram_message_id": 7,
}
ABSENT = object()
Fields = Mapping[bytes, bytes]


class Case(NamedTuple):
    name: str
    fields: Fields
    refusal: str | None = None
    graph: Mapping[str, Any] | None = None
    unclear: bool = False
    others: tuple[str, ...] = ()


class Story(NamedTuple):
    name: str
    entries: list[Fields]
    graph: Mapping[str, Any]


def a(**changes: Any) -> Fields:
    """An entry with one JSON object."""
    event = {name: value for name, value in (BASE | changes).items() if value is not ABSENT}
    return {b"data": json.dumps(event).encode()}


def raw(more: str) -> Fields:
    """An entry with one JSON object that ends in fields as they are written here."""
    return {b"data": json.dumps(BASE).encode()[:-1] + b", " + more.encode() + b"}"}


def b(**changes: bytes | object) -> Fields:
    """An entry with flat fields."""
    flat = {name: str(value).encode() for name, value in BASE.items()} | changes
    return {name.encode(): value for name, value in flat.items() if isinstance(value, bytes)}


def post(**properties: Any) -> dict[str, Any]:
    return {"messages": {HERE: {"post_id": "p", "channel_id": "c", "tenant_id": "t", **properties}}}


def posted(*moment: int) -> dict[str, Any]:
    return post(posted_at=datetime(*moment, tzinfo=UTC))  # type: ignore[misc,arg-type]


def source(kind: str, bare: str, *of: Any, post: tuple[int, int] | None = None) -> dict[str, Any]:
    """A forward's source, its properties where they are not null, and its source post."""
    link = {HERE: ((kind, bare), *of, *[None] * (3 - len(of)))}
    return {"forwards": link, "forward_posts": {} if post is None else {HERE: post}}


def reply(*target: int, thread: int | None = None) -> dict[str, Any]:
    return {"replies": {HERE: (target, thread)}}


def author(kind: str, bare: str, signature: str | None = None) -> dict[str, Any]:
    return {"authored": {HERE: ((kind, bare), signature)}}
