"""Peers and chats as events give them."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from graphwriter.errors import BadEvent
from graphwriter.events import telegram
from graphwriter.events.wire import BEYOND, PeerV1, peer_text, shown


def peer(name: str, value: PeerV1 | int | str | UnsetType | None) -> telegram.Peer | None:
    """Return the peer of an object, JSON text or marked id; None where it names none.

    Raises:
        BadEvent: it names several, or none that there can be. The message names the field.
    """
    if value is None or value is UNSET:
        return None
    if isinstance(value, str):
        try:
            value = peer_text(value)
        except (msgspec.MsgspecError, RecursionError) as error:
            reason = "integer_range" if BEYOND.match(str(error)) else "wrong_type"
            raise BadEvent(reason, f"{name} is {shown(value)}, no peer as JSON") from None
        if value is None:
            return None
    if isinstance(value, int):
        return telegram.peer(marked(name, value))
    user, channel, chat_id = value.user_id, value.channel_id, value.chat_id
    kind, bare = "user", user
    if channel is not None:
        kind, bare = "channel", channel
    elif chat_id is not None:
        kind, bare = "chat", chat_id
    if bare is None:
        return None
    if (number := (user is not None) + (channel is not None) + (chat_id is not None)) > 1:
        raise BadEvent("wrong_type", f"{name} names {number} peers at once, expected one")
    if bare <= 0:
        raise BadEvent("wrong_type", f"{name} has {kind}_id {bare}, expected a bare id")
    found = telegram.Peer(kind, bare)
    _in_range(name, found.marked)
    return found


def chat(name: str, value: int | UnsetType | None, beside: telegram.Peer | None) -> int | None:
    """Return the marked id of a chat that may be bare, whose kind is then that of `beside`.

    Raises:
        BadEvent: there can be no such id.
    """
    if value is None or value is UNSET:
        return None
    return _in_range(name, telegram.chat(marked(name, value), beside))


def marked(name: str, value: int) -> int:
    """Return `value`; raises BadEvent for 0, which is no Telegram id."""
    if value == 0:
        raise BadEvent("wrong_type", f"{name} is 0, which is no Telegram id")
    return value


def _in_range(name: str, marked_id: int) -> int:
    if marked_id < -(2**63):
        raise BadEvent("integer_range", f"{name} is beyond 64 bits as the marked id {marked_id}")
    return marked_id
