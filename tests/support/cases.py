"""The contract as data: the fields of an event, what a graph may hold, and examples.

A case is one entry and what has to come of it: a refusal, or tables of the graph that it makes.
`others` are more words that fit a refusal. `unclear`: the contract is silent, and the comment
above says how it is read here.
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
event integer: tg_channel_id telegram_message_id tg_message_id link_count account_id
post text: post_id channel_id tenant_id
post time: posted_at
post integer: views_count forwards_count reactions_count
post boolean: has_media is_edited
post text: telegram_post_url content_hash text
post integer: grouped_id
forward peer: forward_from_peer_id
forward integer: forward_from_chat_id forward_from_message_id
forward time: forward_date
forward text: forward_from_name
reply integer: reply_to_message_id reply_to_chat_id thread_id
author peer: author_peer_id
author text: author_name author_type
links list: urls
media list: media_sha256_list
"""
KIND: dict[str, str] = {}
REGISTERS: dict[str, list[str]] = {
    name: [] for name in ("post", "forward", "reply", "author", "links", "media")
}
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
    "urls": set, "files": set, "links": dict, "media": dict,
}  # fmt: skip
VERSIONS = ["version", "forward_version", "reply_version", "author_version"]
VERSIONS += ["links_version", "media_version"]
ADDRESS = ["tg_channel_id", "telegram_message_id"]
NODES: dict[str, tuple[str, list[str], list[str]]] = {
    "Message": ("messages", ADDRESS, []),
    "Message:Post": (
        "messages",
        [*ADDRESS, "post_id"],
        [*REGISTERS["post"], *VERSIONS, "links_count"],
    ),
    "ForwardSource": ("sources", ["source_type", "source_id"], ["name", "name_day"]),
    "Author": ("authors", ["author_type", "author_id"], ["name", "name_day"]),
    "Link": ("urls", ["url"], []),
    "Media": ("files", ["sha256"], []),
}
LINKS: dict[str, tuple[str, str, list[str]]] = {
    "FORWARDED_FROM": (
        ("forwards", "ForwardSource", ["forward_date", "forward_from_message_id", "source_name"])
    ),
    "FORWARDED_FROM_POST": ("forward_posts", "Message", []),
    "REPLIES_TO": ("replies", "Message", ["thread_id"]),
    "AUTHOR_OF": ("authored", "Author", ["signature"]),
    "LINKS_TO": ("links", "", ["url"]),
    "HAS_MEDIA": ("media", "Media", []),
}
MANY = ("links", "media")  # a post may have several of these

CHANNEL, BARE = -1001179270258, 1179270258
HERE = (CHANNEL, 7)
BASE: dict[str, Any] = {
    "schema_version": "v1", "occurred_at": "2024-05-01T10:00:00Z", "idempotency_key": "k",
    "tenant_id": "t", "channel_id": "c", "post_id": "p", "tg_channel_id": CHANNEL,
    "telegram_message_id": 7,
}  # fmt: skip
ABSENT = object()
Fields = Mapping[bytes, bytes]


class Case(NamedTuple):
    name: str
    fields: Fields
    refusal: str | None = None
    graph: Mapping[str, Any] | None = None
    unclear: bool = False
    others: str = ""


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


NO_FORWARD: dict[str, Any] = {"forwards": {}, "forward_posts": {}, "sources": set()}
NO_REPLY = {"replies": {}, "messages": post()["messages"]}
NO_AUTHOR: dict[str, Any] = {"authored": {}, "authors": set()}
CHAN5, CHAT5 = -1000000000005, -5
CUT = posted(2024, 5, 1, 10, 0, 0, 123456)
NULLS = {"user_id": None, "channel_id": None, "chat_id": None}

# fmt: off
CASES: list[Case] = [
    # Wire forms
    Case("required fields alone", a(), None, post()),
    Case("required fields alone, flat", b(), None, post()),
    Case("twin id alone", a(telegram_message_id=ABSENT, tg_message_id=7), None, post()),
    Case("twin id alone, flat", b(telegram_message_id=None, tg_message_id=b"7"), None, post()),
    Case("twin ids that are equal", a(tg_message_id=7), None, post()),
    Case("twin ids that differ", a(tg_message_id=8), "wrong_type"),
    Case("data wins over flat fields", {**a(), **b(views_count=b"1")}, None, post()),
    Case("unknown fields", a(extra={"n": [10**40]}, x=1.5), None, post()),
    Case("unknown flat fields", b(extra=b"{", x=b""), None, post()),
    Case("account in a channel", a(account_id=5), None, post()),
    Case("account of a negative id", a(account_id=-5), "wrong_type"),
    Case("account of zero", a(account_id=0), "wrong_type"),
    Case("account as text", a(account_id="5"), "wrong_type"),
    Case("all known fields", a(trace_id="x", user_id="u", text="", urls=["u"], link_count=0,
        media_sha256_list=[], has_media=True, is_edited=False, views_count=0, content_hash="h"),
        None, post(has_media=True, is_edited=False, views_count=0, content_hash="h")),
    Case("flat types", b(has_media=b"true", is_edited=b"false", views_count=b"-1", urls=b"[]"),
        None, post(has_media=True, is_edited=False, views_count=-1)),
    Case("flat nulls", b(has_media=b"null", views_count=b"", posted_at=b"null"), None, post()),
    Case("flat text is never parsed", b(content_hash=b"null", telegram_post_url=b""),
        None, post(content_hash="null", telegram_post_url="")),
    Case("negative message id", a(telegram_message_id=-999999939), None,
        {"messages": {(CHANNEL, -999999939): post()["messages"][HERE]}}),
    # Not JSON, too large, too deep, bad UTF-8
    Case("no JSON", {b"data": b"{"}, "not_json"),
    Case("empty data", {b"data": b""}, "not_json"),
    Case("NaN", raw('"views_count": NaN'), "not_json", others="wrong_type"),
    Case("infinity as a time", raw('"posted_at": -Infinity'), "not_json", others="wrong_type"),
    Case("no object", {b"data": b"[]"}, "wrong_type", others="not_json"),
    Case("JSON null", {b"data": b"null"}, "wrong_type", others="not_json"),
    Case("a JSON text", {b"data": b'"x"'}, "wrong_type", others="not_json"),
    Case("a JSON number", {b"data": b"1"}, "wrong_type", others="not_json"),
    Case("two objects", {b"data": json.dumps(BASE).encode() * 2}, "not_json"),
    Case("a comma too many", {b"data": json.dumps(BASE).encode()[:-1] + b",}"}, "not_json"),
    Case("a byte order mark", {b"data": b"\xef\xbb\xbf" + json.dumps(BASE).encode()}, "not_json"),
    Case("UTF-16", {b"data": json.dumps(BASE).encode("utf-16")}, "bad_utf8", others="not_json"),
    Case("compressed", {b"data": b"\x1f\x8b\x08\x00"}, "bad_utf8", others="not_json"),
    Case("a NUL outside of a text", raw('"x": 1\x00'), "not_json"),
    Case("single quotes", {b"data": str(BASE).encode()}, "not_json"),
    Case("another field alone", {b"payload": json.dumps(BASE).encode()}, "missing_field"),
    Case("a list with a number", a(urls=["u", 1]), "wrong_type"),
    Case("an object as a text", a(content_hash={}), "wrong_type"),
    Case("a list as a peer", a(author_peer_id=[]), "wrong_type"),
    Case("broken JSON in a flat peer", b(author_peer_id=b"{"), "not_json", others="wrong_type"),
    Case("broken JSON text of a peer", a(author_peer_id="{"), "not_json", others="wrong_type"),
    Case("large", a(text="x" * 1_000_000), None, post()),
    Case("too large", a(text="x" * 2**20), "too_large"),
    Case("too large, flat", b(text=b"x" * (2**20 + 1)), "too_large"),
    # Silent on what counts toward the limit: read as all names and values of the entry.
    Case("too large as a sum", b(text=b"x" * 2**19, more=b"x" * 2**19), "too_large", unclear=True),
    Case("deep", raw('"x": ' + "[" * 50 + "]" * 50), None, post()),
    Case("too deep", raw('"x": ' + "[" * 90_000 + "]" * 90_000), "too_deep", others="not_json"),
    Case("never closed", {b"data": b"[" * 500_000}, "too_deep", others="not_json"),
    Case("deep flat list", b(urls=b"[" * 90_000), "too_deep", others="not_json wrong_type"),
    Case("deep text", a(author_peer_id="[" * 90_000), "too_deep", others="not_json wrong_type"),
    Case("no UTF-8", {b"data": a()[b"data"].replace(b"p", b"\xff")}, "bad_utf8", others="not_json"),
    Case("bad UTF-8, flat", b(text=b"\xed\xa0\x80"), "bad_utf8"),
    # Silent on unknown fields with bad UTF-8: read as ignored in flat fields, not in one text.
    Case("bad UTF-8 in an unknown flat field", b(extra=b"\xff"), None, unclear=True),
    Case("lone surrogate", raw(r'"text": "\ud800"'), "bad_utf8", others="not_json wrong_type"),
    Case("pair of surrogates", raw(r'"content_hash": "\ud83d\ude00"'), None,
        post(content_hash="\U0001f600")),
    # Types, missing fields, duplicate keys
    Case("integer as text", a(views_count="1"), "wrong_type"),
    Case("boolean as integer", a(views_count=True), "wrong_type"),
    Case("integer as boolean", a(has_media=1), "wrong_type"),
    Case("number as text", a(post_id=5), "wrong_type"),
    Case("fraction as integer", a(views_count=1.5), "wrong_type"),
    # "JSON integers" may or may not take in 1.0: read as no.
    Case("whole fraction as integer", a(views_count=1.0), "wrong_type", unclear=True),
    Case("underscore in a flat integer", b(views_count=b"1_000"), "wrong_type"),
    Case("foreign digits in a flat integer", b(views_count=b"\xd9\xa1"), "wrong_type"),
    Case("flat integer with a fraction", b(views_count=b"1.0"), "wrong_type"),
    Case("flat boolean in capitals", b(has_media=b"True"), "wrong_type"),
    Case("no version", a(schema_version=ABSENT), "missing_field", others="schema_version"),
    Case("unknown schema version", a(schema_version="v2"), "schema_version"),
    Case("no message id", a(telegram_message_id=ABSENT), "missing_field"),
    Case("no tenant", a(tenant_id=ABSENT), "missing_field"),
    Case("required null", a(post_id=None), "missing_field", others="wrong_type"),
    Case("required empty", b(tg_channel_id=b""), "missing_field", others="wrong_type"),
    # Silent on an empty post_id: read as a text like any other.
    Case("empty post_id", a(post_id=""), None, unclear=True),
    Case("last key", raw('"views_count": 1, "views_count": 2'), None, post(views_count=2)),
    Case("last key null", raw('"views_count": 1, "views_count": null'), None, post()),
    # "The last counts" is read as: the others are not even looked at.
    Case("first of equal keys wrong", raw('"views_count": "x", "views_count": 2'), None,
        post(views_count=2), unclear=True),
    Case("greatest integer", a(views_count=2**63 - 1), None, post(views_count=2**63 - 1)),
    Case("beyond 64 bits", a(views_count=2**63), "integer_range", others="wrong_type"),
    Case("far beyond", raw(f'"link_count": {"9" * 5000}'), "integer_range", others="wrong_type"),
    Case("beyond 64 bits, flat", b(views_count=b"-9223372036854775809"), "integer_range"),
    Case("beyond, marked", a(reply_to_chat_id=2**63 - 1), "integer_range", others="wrong_type"),
    # Times
    Case("zone", a(posted_at="2024-05-01T10:00:00+02:30"), None, posted(2024, 5, 1, 7, 30)),
    Case("no zone, space", a(posted_at="2024-05-01 10:00:00"), None, posted(2024, 5, 1, 10)),
    Case("more than six digits", a(posted_at="2024-05-01T10:00:00.1234569Z"), None, CUT),
    Case("seconds", a(posted_at=1714557600), None, posted(2024, 5, 1, 10)),
    Case("seconds and a half", a(posted_at=-0.5), None, posted(1969, 12, 31, 23, 59, 59, 500000)),
    # "Epoch seconds" of form (a) may or may not be a text: read as the same in both forms.
    Case("seconds as text", a(posted_at="1714557600.25"), None,
        posted(2024, 5, 1, 10, 0, 0, 250000), unclear=True),
    Case("flat seconds", b(posted_at=b"1714557600.1234569"), None, CUT),
    # "Cut" is read as digits dropped from the text: no float in between, and toward zero.
    Case("seconds cut", raw('"posted_at": 1714557600.1234569'), None, CUT, unclear=True),
    Case("negative seconds cut", b(posted_at=b"-0.0000019"), None,
        posted(1969, 12, 31, 23, 59, 59, 999999), unclear=True),
    # An exponent is read as a JSON number's right.
    Case("exponent", raw('"posted_at": 1.7145576e9'), None, posted(2024, 5, 1, 10), unclear=True),
    # RFC 3339 allows small letters and leap seconds: read as taken, and as refused.
    Case("small", a(posted_at="2024-05-01t10:00:00z"), None, posted(2024, 5, 1, 10), unclear=True),
    Case("leap second", a(posted_at="2016-12-31T23:59:60Z"), "wrong_type", unclear=True),
    # Zones that ISO 8601 knows and RFC 3339 does not: read as refused.
    Case("zone without colon", a(posted_at="2024-05-01T10:00:00+0200"), "wrong_type", unclear=True),
    Case("date alone", a(posted_at="2024-05-01"), "wrong_type"),
    Case("no such day", a(posted_at="2024-02-30T10:00:00Z"), "wrong_type"),
    Case("beyond the calendar", a(posted_at=10**15), "wrong_type", others="integer_range"),
    Case("no time", a(occurred_at="yesterday"), "wrong_type", others="occurred_at"),
    Case("before 1970", a(occurred_at="1970-01-01T00:59:59+01:00"), "occurred_at"),
    Case("far in the future", a(occurred_at="2900-01-01T00:00:00Z"), "occurred_at"),
    # Peers and marked ids
    Case("user", a(author_peer_id={"user_id": 5}), None, author("user", "5")),
    Case("chat", a(author_peer_id={"chat_id": 5}), None, author("chat", "5")),
    Case("channel", a(author_peer_id={"channel_id": 5}), None, author("channel", "5")),
    Case("peer as JSON text", a(author_peer_id='{"chat_id": 5}'), None, author("chat", "5")),
    Case("flat peer", b(author_peer_id=b'{"chat_id": 5}'), None, author("chat", "5")),
    # Read as taken: JSON text of a marked id, of null, and of an object, quoted in a flat field.
    Case("marked as text", a(author_peer_id="-5"), None, author("chat", "5"), unclear=True),
    Case("null as text", a(author_peer_id="null"), None, NO_AUTHOR, unclear=True),
    Case("quoted", b(author_peer_id=rb'"{\"user_id\": 5}"'), None, author("user", "5"), True),
    Case("marked user", a(author_peer_id=5), None, author("user", "5")),
    Case("marked chat", b(author_peer_id=b"-5"), None, author("chat", "5")),
    Case("marked channel", a(author_peer_id=CHAN5), None, author("channel", "5")),
    Case("greatest chat", a(author_peer_id=-10**12), None, author("chat", str(10**12)), True),
    Case("eleven digits", a(author_peer_id={"channel_id": 10**10}, forward_from_peer_id=-10**12
        - 10**10), None, author("channel", str(10**10)) | source("channel", str(10**10))),
    Case("nothing in an object", a(author_peer_id={}), None, NO_AUTHOR),
    Case("nulls in an object", a(author_peer_id=NULLS, author_name=""), None, NO_AUTHOR),
    Case("nulls and one", a(author_peer_id=NULLS | {"chat_id": 5}), None, author("chat", "5")),
    Case("two kinds", a(author_peer_id={"user_id": 5, "chat_id": 5}), "wrong_type"),
    Case("negative bare id", a(author_peer_id={"user_id": -5}), "wrong_type"),
    Case("bare id as text", a(author_peer_id={"user_id": "5"}), "wrong_type"),
    # Zero marks nothing: read as refused wherever a chat or peer is named.
    Case("zero", a(author_peer_id=0), "wrong_type", unclear=True),
    # Forwards
    Case("chat id alone, bare", a(forward_from_chat_id=5, forward_from_message_id=3), None,
        source("channel", "5", None, 3, post=(CHAN5, 3))),
    Case("chat id alone, marked", a(forward_from_chat_id=-5), None, source("chat", "5")),
    Case("bare beside a chat", a(forward_from_chat_id=6, forward_from_message_id=3,
        forward_from_peer_id=CHAT5), None, source("chat", "5", None, 3, post=(-6, 3))),
    Case("bare beside a user", a(forward_from_chat_id=5, forward_from_message_id=3,
        forward_from_peer_id=5), None, source("user", "5", None, 3, post=(CHAN5, 3))),
    Case("marked beside another kind", a(forward_from_chat_id=-5, forward_from_message_id=3,
        forward_from_peer_id=CHAN5), None, source("channel", "5", None, 3, post=(-5, 3))),
    Case("post of the peer", a(forward_from_peer_id=CHAN5, forward_from_message_id=3), None,
        source("channel", "5", None, 3, post=(CHAN5, 3))),
    Case("no post of a user", a(forward_from_peer_id=5, forward_from_message_id=3), None,
        source("user", "5", None, 3)),
    Case("hidden", a(forward_from_name="A:b", forward_date=0, forward_from_message_id=3), None,
        source("hidden", "A:b", datetime(1970, 1, 1, tzinfo=UTC), 3, "A:b")),
    Case("null name", b(author_name=b"null"), None, author("signature", f"{CHANNEL}:null", "null")),
    Case("nameless", b(forward_from_name=b"", forward_from_message_id=b"3"), None, NO_FORWARD),
    Case("own forward", a(forward_from_peer_id=CHANNEL, forward_from_message_id=7), "self_link"),
    Case("own bare chat", a(forward_from_chat_id=BARE, forward_from_message_id=7), "self_link"),
    Case("hidden name of 2,000 bytes", a(forward_from_name="é" * 1000), None),
    Case("hidden name too long", a(forward_from_name="é" * 1000 + "."), "id_too_long"),
    Case("long name beside a peer", a(forward_from_name="é" * 1001, forward_from_peer_id=5), None),
    Case("post_id too long", a(post_id="é" * 1001), "id_too_long"),
    # Replies and authors
    Case("reply", a(reply_to_message_id=-3, thread_id=2), None, reply(CHANNEL, -3, thread=2)),
    Case("bare reply", b(reply_to_message_id=b"7", reply_to_chat_id=b"5"), None, reply(CHAN5, 7)),
    Case("reply in a chat", a(reply_to_message_id=7, reply_to_chat_id=-5), None, reply(-5, 7)),
    Case("thread alone", a(thread_id=2, reply_to_chat_id=-5), None, NO_REPLY),
    Case("reply to itself", a(reply_to_message_id=7), "self_link"),
    Case("reply to itself, bare", a(reply_to_message_id=7, reply_to_chat_id=BARE), "self_link"),
    # In a private chat its own bare id is a channel's all the same: read to the letter.
    Case("bare in a private chat", a(tg_channel_id=5, reply_to_message_id=7, reply_to_chat_id=5),
        None, {"replies": {(5, 7): ((CHAN5, 7), None)}}, unclear=True),
    Case("signature", a(author_name="A"), None, author("signature", f"{CHANNEL}:A", "A")),
    Case("name beside a channel", a(author_name="A", author_peer_id=CHAN5, author_type="user"),
        None, author("channel", "5", "A")),
    # The limit is read as that of the name, not of the id with the channel before it.
    Case("signature of 2,000 bytes", a(author_name="é" * 1000), None, unclear=True),
    Case("signature too long", a(author_name="é" * 1001), "id_too_long"),
    Case("type alone", a(author_type="user"), None, NO_AUTHOR),
]
