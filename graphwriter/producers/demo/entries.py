"""The demo's entries: an event in either wire form, or broken in a way that a worker refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

Fields = dict[bytes, bytes]
_DEEP = 5_000  # brackets, past what any decoder here follows


def _with(**changed: Any) -> Callable[[dict[str, Any]], Fields]:
    return lambda event: form_a({**event, **changed})


def _without(name: str) -> Callable[[dict[str, Any]], Fields]:
    return lambda event: form_a({key: value for key, value in event.items() if key != name})


def _self_reply(event: dict[str, Any]) -> Fields:
    own = event["telegram_message_id"]
    return form_a({**event, "reply_to_message_id": own, "reply_to_chat_id": None})


def _raw(data: bytes) -> Callable[[dict[str, Any]], Fields]:
    return lambda _: {b"data": data}


def _flat_text_for_a_number(event: dict[str, Any]) -> Fields:
    return form_b(event) | {b"views_count": b"many"}


def _no_fields(_: dict[str, Any]) -> Fields:
    return {b"": b""}  # as empty as a stream entry can be


_NAMED_AT_LENGTH = {
    "forward_from_peer_id": None,
    "forward_from_chat_id": None,
    "forward_from_name": "long " * 500,
}

# What makes a broken entry of a good event, each with the reason that a worker refuses it for.
BROKEN: tuple[tuple[str, Callable[[dict[str, Any]], Fields]], ...] = (
    ("not_json", _raw(b'{"schema_version":"v1","tenant_id":')),
    ("missing_field", _without("post_id")),
    ("wrong_type", _with(telegram_message_id="seven")),
    ("schema_version", _with(schema_version="v7")),
    ("self_link", _self_reply),
    ("integer_range", _with(tg_channel_id=2**70)),
    ("missing_field", _no_fields),
    ("bad_utf8", _raw(b'{"schema_version":"v1","text":"\xff\xfe"}')),
    ("wrong_type", _with(author_peer_id={"user_id": 1, "channel_id": 2})),
    ("too_deep", _raw(b'{"unknown":' + b"[" * _DEEP + b"]" * _DEEP + b"}")),
    ("occurred_at", _with(occurred_at="1969-07-20T20:17:40Z")),
    ("wrong_type", _flat_text_for_a_number),
    ("id_too_long", _with(**_NAMED_AT_LENGTH)),
    ("not_json", _raw(b"")),
)

_FACETS = ("forward_", "reply_", "thread_", "author_")
_TEXTS = ("forward_from_name", "author_name", "author_type")


def form_a(event: Mapping[str, Any]) -> Fields:
    """Return the fields of `event` as one JSON object."""
    return {b"data": msgspec.json.encode(event)}


def form_b(event: Mapping[str, Any]) -> Fields:
    """Return the fields of `event` as flat text; absent values are left out.

    But not a facet's: its nulls are what clears an earlier event's, and there an empty name is one.
    """
    fields: Fields = {}
    for key, value in event.items():
        if isinstance(value, str):
            fields[key.encode()] = value.encode()
        elif value is not None:
            fields[key.encode()] = msgspec.json.encode(value)
        elif key.startswith(_FACETS):
            fields[key.encode()] = b"" if key in _TEXTS else b"null"
    return fields
