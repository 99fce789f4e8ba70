"""Telethon's own objects for the tests: messages as Telegram sends them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from telethon import utils
from telethon.tl import types

CHANNEL, OTHER, GROUP, USER = 1179270258, 1500000001, 77, 5000000001
CHANNEL_MARKED, OTHER_MARKED = -(10**12 + CHANNEL), -(10**12 + OTHER)
POSTED = datetime(2024, 5, 1, 10, 0, 0, tzinfo=UTC)
EDITED = datetime(2024, 5, 1, 10, 5, 0, tzinfo=UTC)


def message(number: int = 10, **fields: Any) -> Any:
    """A message of the channel, as far as `fields` do not say otherwise."""
    values = {
        "peer_id": types.PeerChannel(CHANNEL),
        "date": POSTED,
        "message": "hello",
        "post": True,
        **fields,
    }
    return types.Message(id=number, **values)


def in_group(number: int = 10, **fields: Any) -> Any:
    """A message of a user in a supergroup."""
    return message(number, **{"post": False, "from_id": types.PeerUser(USER), **fields})


def forwarded(**fields: Any) -> Any:
    """A message with this header of a forward."""
    return message(fwd_from=types.MessageFwdHeader(**{"date": POSTED, **fields}))


def replying(**fields: Any) -> Any:
    """A message of a supergroup with this header of a reply."""
    return in_group(reply_to=types.MessageReplyHeader(**fields))


def user(**fields: Any) -> Any:
    """A user with a name."""
    return types.User(id=USER, **{"first_name": "Ada", "last_name": "Lovelace", **fields})


def channel(bare: int = CHANNEL, **fields: Any) -> Any:
    """A channel with a title and a user name."""
    values = {"title": "Notes", "username": "notes", **fields}
    return types.Channel(id=bare, photo=types.ChatPhotoEmpty(), date=POSTED, **values)


def finished(sent: Any, *entities: Any) -> Any:
    """The message as a client hands it out, which knows the entities that came with it."""
    known = {utils.get_peer_id(each): each for each in entities}
    sent._finish_init(_Client(), known, None)  # noqa: SLF001 - as the client does
    return sent


class _Client:
    """What a message looks at in its client when it is made."""

    _self_id = 1
    _mb_entity_cache: dict[int, Any] = {}  # noqa: RUF012 - Telethon's own name
