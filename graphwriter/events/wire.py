"""The event on the wire: `PostParsedEventV1`, and its two forms in a stream entry.

An entry has one of two forms, distinguished by the field `data`: (a) one field `data` with a JSON
object, (b) flat text fields. `facets` defines what an event means. A new field of the event is
added to the struct here, and to the types of form (b) below.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from graphwriter.errors import BadEvent

SIZE_LIMIT = 1024 * 1024  # bytes of one event; larger ones are refused

Int = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Time = Annotated[
    str | int | float, Meta(description="RFC 3339 text (UTC without a zone), or seconds since 1970")
]


class PeerV1(msgspec.Struct, frozen=True, gc=False):
    """A Telegram peer: one of the three with a bare positive id; without any it is null."""

    user_id: Int | None = None
    channel_id: Int | None = None
    chat_id: Int | None = None


AnyPeer = Annotated[
    PeerV1 | Int | str, Meta(description="an object, the same as JSON text, or a marked id")
]


class PostParsedEventV1(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One parsed Telegram post, as producers publish it.

    A facet (forward, reply, author, links, media) without any field changes nothing; a facet whose
    fields are all null clears what an earlier event set. Times are RFC 3339 text or seconds since
    1970, chat ids marked or bare, `tg_channel_id` always marked.
    """

    schema_version: str
    occurred_at: Time
    idempotency_key: str
    tenant_id: str
    channel_id: str
    post_id: Annotated[str, Meta(description="unique to the post; at most 2,000 bytes")]
    tg_channel_id: Annotated[Int, Meta(description="marked id of the chat the post is in")]
    telegram_message_id: Int | None = None
    tg_message_id: Annotated[Int | None, Meta(description="twin of telegram_message_id")] = None

    account_id: Annotated[
        Int | None,
        Meta(description="bare id of the user whose account saw a private chat or basic group"),
    ] = None
    trace_id: str | None = None
    user_id: str | Int | None = None
    text: str | None = None
    urls: Annotated[
        list[str] | UnsetType | None, Meta(description="all URLs of the post, in their order")
    ] = UNSET
    posted_at: Time | None = None
    content_hash: str | None = None
    link_count: Int | None = None
    telegram_post_url: str | None = None
    has_media: bool | None = None
    is_edited: bool | None = None
    views_count: Int | None = None
    forwards_count: Int | None = None
    reactions_count: Int | None = None
    media_sha256_list: Annotated[
        list[str] | UnsetType | None, Meta(description="SHA-256 of each of its files, in hex")
    ] = UNSET
    grouped_id: Annotated[Int | None, Meta(description="the album that the post is a part of")] = (
        None
    )

    forward_from_peer_id: AnyPeer | UnsetType | None = UNSET
    forward_from_chat_id: Int | UnsetType | None = UNSET
    forward_from_message_id: Int | UnsetType | None = UNSET
    forward_date: Time | UnsetType | None = UNSET
    forward_from_name: str | UnsetType | None = UNSET

    reply_to_message_id: Int | UnsetType | None = UNSET
    reply_to_chat_id: Int | UnsetType | None = UNSET
    thread_id: Int | UnsetType | None = UNSET

    author_peer_id: AnyPeer | UnsetType | None = UNSET
    author_name: str | UnsetType | None = UNSET
    author_type: str | UnsetType | None = UNSET


_json = msgspec.json.Decoder(PostParsedEventV1)
_strings = msgspec.json.Decoder(list[str])
_peer_text: msgspec.json.Decoder[PeerV1 | int | str | None]
_peer_text = msgspec.json.Decoder(PeerV1 | Int | str | None)
_decimal = re.compile(rb"[+-]?[0-9]+").fullmatch


def decode(fields: Mapping[bytes, bytes]) -> PostParsedEventV1:
    """Return the event of an entry's `fields`, in either form.

    Raises:
        BadEvent: with the reason; the message names the field and its value.
    """
    data = fields.get(b"data")
    size = len(data) if data is not None else sum(len(k) + len(v) for k, v in fields.items())
    if size > SIZE_LIMIT:
        raise BadEvent(
            "too_large", f"the event has {size} bytes, at most {SIZE_LIMIT} are accepted"
        )
    try:
        if data is None:
            return msgspec.convert(_flat(fields), PostParsedEventV1)
        if not data.isascii():
            data.decode()  # msgspec does not check strings that it skips
        return _json.decode(data)
    except UnicodeDecodeError as error:
        raise BadEvent("bad_utf8", f"byte {error.start} is not UTF-8") from None
    except RecursionError:
        raise BadEvent("too_deep", _DEEP) from None
    except msgspec.ValidationError as error:
        return _last_duplicate(error, fields)
    except msgspec.DecodeError as error:
        raise BadEvent("not_json", unquoted(error)) from None


def from_values(values: Mapping[str, Any]) -> PostParsedEventV1:
    """Return the event of a Python mapping with the fields of form (a); raises BadEvent."""
    try:
        return msgspec.convert(values, PostParsedEventV1)
    except msgspec.ValidationError as error:
        raise _refusal(error, values) from None


def peer_text(text: str) -> PeerV1 | int | None:
    """Return the peer in JSON `text`, which form (b) may quote once more.

    Raises msgspec's errors, and RecursionError.
    """
    peer = _peer_text.decode(text)
    if isinstance(peer, str):
        peer = _peer_text.decode(peer)
        if isinstance(peer, str):
            raise msgspec.ValidationError("a peer that is quoted twice")
    return peer


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of form (a), for producers in other languages."""
    return msgspec.json.schema(PostParsedEventV1)


def _text(_name: str, raw: bytes) -> str:
    return raw.decode()


def _int(name: str, raw: bytes) -> int:
    if not _decimal(raw):
        raise msgspec.ValidationError(f"Expected a decimal integer - at `$.{name}`")
    if len(raw) > 40:  # int() is quadratic, and refuses 4,300 digits with another error
        raise msgspec.ValidationError(f"Expected `int` <= {2**63 - 1} - at `$.{name}`")
    return int(raw)


def _bool(name: str, raw: bytes) -> bool:
    if raw not in (b"true", b"false"):
        raise msgspec.ValidationError(f"Expected `true` or `false` - at `$.{name}`")
    return raw == b"true"


def _list(name: str, raw: bytes) -> list[str]:
    try:
        return _strings.decode(raw)
    except msgspec.MsgspecError:
        raise msgspec.ValidationError(f"Expected a list of text - at `$.{name}`") from None


# The fields of form (b) by the function that parses them. Times and peers stay text: `facets` reads
# them. "null" and an empty value are null, except in `_TEXTS`.
_TEXTS = """schema_version idempotency_key tenant_id channel_id post_id trace_id user_id text
    content_hash telegram_post_url forward_from_name author_name author_type"""
_OTHERS = {
    _int: """tg_channel_id telegram_message_id tg_message_id account_id link_count views_count
        forwards_count reactions_count forward_from_chat_id forward_from_message_id
        reply_to_message_id reply_to_chat_id thread_id grouped_id""",
    _bool: "has_media is_edited",
    _list: "urls media_sha256_list",
    _text: "occurred_at posted_at forward_date forward_from_peer_id author_peer_id",
}
_Parse = Callable[[str, bytes], Any]
_FIELDS: dict[bytes, tuple[str, _Parse, bool]] = {  # name, parse, nullable
    **{name.encode(): (name, _text, False) for name in _TEXTS.split()},
    **{
        name.encode(): (name, parse, True)
        for parse, names in _OTHERS.items()
        for name in names.split()
    },
}


def _flat(fields: Mapping[bytes, bytes]) -> dict[str, Any]:
    """Return the known fields of form (b) with their types."""
    values: dict[str, Any] = {}
    for key, raw in fields.items():
        field = _FIELDS.get(key)
        if field is not None:
            name, parse, nullable = field
            values[name] = None if nullable and raw in (b"", b"null") else parse(name, raw)
    return values


_AT = re.compile(r" - at `\$\.(\w+)[^`]*`$")
BEYOND = re.compile(r"Expected `int` [<>]= -?92233720368547758")  # the limits of 64 bits
_MISSING = re.compile(r"Object missing required field `(\w+)`")


def _refusal(error: msgspec.ValidationError, values: Mapping[str, Any]) -> BadEvent:
    version = values.get("schema_version")
    if isinstance(version, str) and version != "v1":
        # Another version may have other types: the version is the cause.
        return unknown_version(version)
    return refusal(error, values)


def refusal(error: msgspec.ValidationError, values: Mapping[str, Any]) -> BadEvent:
    """Return which field is wrong and why, from msgspec's message and the object's values."""
    text = str(error)
    if missing := _MISSING.match(text):
        return BadEvent("missing_field", f"{missing[1]} is required and missing")
    at = _AT.search(text)
    if at is None:
        return BadEvent("wrong_type", unquoted(error))
    reason = "integer_range" if BEYOND.match(text) else "wrong_type"
    expected = text[: at.start()].removeprefix("Expected ").replace("`", "")
    return BadEvent(reason, f"{at[1]} is {shown(values.get(at[1]))}, expected {expected}")


def unknown_version(version: str) -> BadEvent:
    """Return the refusal of another schema version."""
    return BadEvent("schema_version", f'schema_version is {shown(version)}, expected "v1"')


def shown(value: object) -> str:
    """Return a value for an error message: short, on one line, text in quotes."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:70]}… ({len(text)} characters)"


def _last_duplicate(
    error: msgspec.ValidationError, fields: Mapping[bytes, bytes]
) -> PostParsedEventV1:
    """Return the event if only an earlier duplicate of a key was wrong, else raise the refusal."""
    values = _untyped(fields)
    if b"data" in fields and values:
        return from_values(values)  # of duplicate keys the last one counts
    raise _refusal(error, values)


def _untyped(fields: Mapping[bytes, bytes]) -> dict[str, Any]:
    """Return the fields without types; raises BadEvent if they are not JSON."""
    data = fields.get(b"data")
    if data is None:
        flat = fields.items()
        return {k.decode(errors="replace"): v.decode(errors="replace") for k, v in flat}
    try:
        values = msgspec.json.decode(data)
    except msgspec.ValidationError as error:  # a number with thousands of digits
        raise BadEvent("integer_range", unquoted(error)) from None
    except msgspec.DecodeError as error:
        raise BadEvent("not_json", unquoted(error)) from None
    except RecursionError:
        raise BadEvent("too_deep", _DEEP) from None
    return values if isinstance(values, dict) else {}


_DEEP = "the JSON is nested too deep"


def unquoted(error: Exception) -> str:
    """Return the message of a msgspec error without its backquotes."""
    return str(error).replace("`", "")
