"""The event on the wire: `PostParsedEventV1`, and how a stream entry becomes one.

An entry comes in either of two forms, told apart by the field `data`: (a) one field `data` with a
JSON object, (b) flat text fields. Nothing here knows what an event means; `events` does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from graphwriter.errors import BadEvent

LIMIT = 1024 * 1024  # bytes of one event; larger ones are refused

Int = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Time = Annotated[
    str | int | float, Meta(description="RFC 3339 text (UTC without a zone), or seconds since 1970")
]


class PeerV1(msgspec.Struct, frozen=True, gc=False):
    """A Telegram peer: exactly one of the three, a bare positive id; none of them is null."""

    user_id: Int | None = None
    channel_id: Int | None = None
    chat_id: Int | None = None


AnyPeer = Annotated[
    PeerV1 | Int | str, Meta(description="an object, the same as JSON text, or a marked id")
]


class PostParsedEventV1(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One parsed Telegram post, as producers publish it.

    A facet (forward, reply, author) none of whose fields is there is not spoken for and changes
    nothing; there and all null it clears what an earlier event said. Times are RFC 3339 text or
    seconds since 1970, chat ids marked or bare, `tg_channel_id` always marked.
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

    trace_id: str | None = None
    user_id: str | Int | None = None
    text: str | None = None
    urls: list[str] | None = None
    posted_at: Time | None = None
    content_hash: str | None = None
    link_count: Int | None = None
    telegram_post_url: str | None = None
    has_media: bool | None = None
    is_edited: bool | None = None
    views_count: Int | None = None
    forwards_count: Int | None = None
    reactions_count: Int | None = None
    media_sha256_list: list[str] | None = None

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
    if size > LIMIT:
        raise BadEvent("too_large", f"the event has {size} bytes, at most {LIMIT} are taken")
    try:
        if data is None:
            return msgspec.convert(_flat(fields), PostParsedEventV1)
        if not data.isascii():
            data.decode()  # msgspec does not look into strings that it skips
        return _json.decode(data)
    except UnicodeDecodeError as error:
        raise BadEvent("bad_utf8", f"byte {error.start} is not UTF-8") from None
    except RecursionError:
        raise BadEvent("too_deep", _DEEP) from None
    except msgspec.ValidationError as error:
        return _again(error, fields)
    except msgspec.DecodeError as error:
        raise BadEvent("not_json", plain(error)) from None


def from_values(values: Mapping[str, Any]) -> PostParsedEventV1:
    """Return the event of a mapping as in form (a), but in Python; raises BadEvent."""
    try:
        return msgspec.convert(values, PostParsedEventV1)
    except msgspec.ValidationError as error:
        raise _refusal(error, values) from None


def peer_text(text: str) -> PeerV1 | int | None:
    """Return the peer that JSON `text` holds, also within quotes, as form (b) may have it.

    Raises msgspec's errors, and RecursionError.
    """
    found = _peer_text.decode(text)
    if isinstance(found, str):
        found = _peer_text.decode(found)
        if isinstance(found, str):
            raise msgspec.ValidationError("a peer within quotes within quotes")
    return found


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


def _raw(_name: str, raw: bytes) -> str:
    return raw.decode()


# What a field of form (b) is. Times and peers stay text here: `events` reads them in either form.
_NAMES: dict[Callable[[str, bytes], Any], str] = {
    _text: """schema_version idempotency_key tenant_id channel_id post_id trace_id user_id text
        content_hash telegram_post_url forward_from_name author_name author_type""",
    _int: """tg_channel_id telegram_message_id tg_message_id link_count views_count forwards_count
        reactions_count forward_from_chat_id forward_from_message_id reply_to_message_id
        reply_to_chat_id thread_id""",
    _bool: "has_media is_edited",
    _list: "urls media_sha256_list",
    _raw: "occurred_at posted_at forward_date forward_from_peer_id author_peer_id",
}
_FIELDS = {
    name.encode(): (name, parse) for parse, names in _NAMES.items() for name in names.split()
}


def _flat(fields: Mapping[bytes, bytes]) -> dict[str, Any]:
    """Return form (b)'s known fields with their types; null or empty is null but in a text."""
    values: dict[str, Any] = {}
    for key, raw in fields.items():
        known = _FIELDS.get(key)
        if known is not None:
            name, parse = known
            null = parse is not _text and raw in (b"", b"null")
            values[name] = None if null else parse(name, raw)
    return values


_AT = re.compile(r" - at `\$\.(\w+)[^`]*`$")
BEYOND = re.compile(r"Expected `int` [<>]= -?92233720368547758")  # the edges of 64 bits
_MISSING = re.compile(r"Object missing required field `(\w+)`")


def _refusal(error: msgspec.ValidationError, values: Mapping[str, Any]) -> BadEvent:
    version = values.get("schema_version")
    if isinstance(version, str) and version != "v1":
        # Another version may well have other types: that it is another version is the cause.
        return unknown_version(version)
    return refusal(error, values)


def refusal(error: msgspec.ValidationError, values: Mapping[str, Any]) -> BadEvent:
    """Say which field is wrong and how, from msgspec's message and the object's own values."""
    text = str(error)
    if missing := _MISSING.match(text):
        return BadEvent("missing_field", f"{missing[1]} is required and not there")
    at = _AT.search(text)
    if at is None:
        return BadEvent("wrong_type", plain(error))
    reason = "integer_range" if BEYOND.match(text) else "wrong_type"
    expected = text[: at.start()].removeprefix("Expected ").replace("`", "")
    return BadEvent(reason, f"{at[1]} is {shown(values.get(at[1]))}, expected {expected}")


def unknown_version(version: str) -> BadEvent:
    """Return the refusal of another schema version."""
    return BadEvent("schema_version", f'schema_version is {shown(version)}, this reads only "v1"')


def shown(value: object) -> str:
    """Return a value for an error message: short, on one line, quoted where it is text."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:70]}… ({len(text)} characters)"


def _again(error: msgspec.ValidationError, fields: Mapping[bytes, bytes]) -> PostParsedEventV1:
    """Return the event if only a key was wrong that came again later, else raise the refusal."""
    values = _untyped(fields)
    if b"data" in fields and values:
        return from_values(values)  # of duplicate keys the last counts; it names the wrong one
    raise _refusal(error, values)


def _untyped(fields: Mapping[bytes, bytes]) -> dict[str, Any]:
    """Return the fields as they are; raises BadEvent where they are not even JSON."""
    data = fields.get(b"data")
    if data is None:
        flat = fields.items()
        return {k.decode(errors="replace"): v.decode(errors="replace") for k, v in flat}
    try:
        values = msgspec.json.decode(data)
    except msgspec.ValidationError as error:  # a number of thousands of digits
        raise BadEvent("integer_range", plain(error)) from None
    except msgspec.DecodeError as error:
        raise BadEvent("not_json", plain(error)) from None
    except RecursionError:
        raise BadEvent("too_deep", _DEEP) from None
    return values if isinstance(values, dict) else {}


_DEEP = "the JSON is nested too deep to be an event"


def plain(error: Exception) -> str:
    """Return the message of an error of msgspec without its backquotes."""
    return str(error).replace("`", "")
