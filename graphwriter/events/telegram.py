"""Telegram ids: bare, marked, and as fields of an event.

A peer is a user, a basic chat or a channel (supergroups are channels), each with a bare positive
id. Its *marked* id contains the kind too: `id` for a user, `-id` for a basic chat,
`-(10**12 + id)` for a channel. This is arithmetic, not the text "-100" before the id: the two agree
only for channel ids of ten digits.

Channels number their messages for everybody. Private chats and basic groups number them for each
account: there an address needs the account too, and `chat_of_account` puts it into the chat's id.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from graphwriter.errors import BadEvent
from graphwriter.events.wire import BEYOND, PeerV1, peer_text, shown

MARK = 10**12
ACCOUNT_MARK = 2 * 10**15  # chats of an account start below every channel's marked id


class Peer(NamedTuple):
    """A user, chat or channel: `kind` is one of these words, `id` the bare positive id."""

    kind: str
    id: int

    @property
    def marked(self) -> int:
        """The marked id."""
        if self.kind == "channel":
            return -(MARK + self.id)
        return -self.id if self.kind == "chat" else self.id


def unmarked(marked: int) -> Peer:
    """Return the peer of a marked id, which is any integer except 0."""
    if marked > 0:
        return Peer("user", marked)
    if marked < -MARK:
        return Peer("channel", -marked - MARK)
    return Peer("chat", -marked)


def marked_chat(given: int, beside: Peer | None = None) -> int:
    """Return the marked id of a chat id that is marked (negative) or bare (positive).

    A bare id has the kind of the chat or channel `beside` it, else it is a channel's.
    """
    if given < 0:
        return given
    kind = "chat" if beside is not None and beside.kind == "chat" else "channel"
    return Peer(kind, given).marked


def numbered_for_each_account(marked: int) -> bool:
    """Return whether each account has its own message ids in this chat."""
    return marked >= -MARK


def chat_of_account(account: int | None, marked: int) -> int:
    """Return the chat's id in an address: for a private chat or basic group of a known account an
    id of the two together, else `marked`. Such an id is below those of all channels.
    """
    if account is None or not numbered_for_each_account(marked):
        return marked
    return _chat_of_account(account, marked)


@lru_cache(maxsize=4096)
def _chat_of_account(account: int, marked: int) -> int:
    text = b"[%d,%d]" % (account, marked)
    return -(ACCOUNT_MARK + (int.from_bytes(blake2b(text, digest_size=8).digest()) >> 14))


def read_account(value: int | None) -> int | None:
    """Return `account_id`; raises BadEvent if it is not a bare user id."""
    if value is not None and value <= 0:
        raise BadEvent("wrong_type", f"account_id is {value}, expected a bare positive id")
    return value


def read_peer(name: str, value: PeerV1 | int | str | UnsetType | None) -> Peer | None:
    """Return the peer in field `name`: an object, its JSON text or a marked id; None for null.

    Raises:
        BadEvent: it names several peers, or an impossible one. The message names the field.
    """
    if value is None or value is UNSET:
        return None
    if isinstance(value, str):
        try:
            value = peer_text(value)
        except (msgspec.MsgspecError, RecursionError) as error:
            reason = "integer_range" if BEYOND.match(str(error)) else "wrong_type"
            raise BadEvent(reason, f"{name} is {shown(value)}, expected a peer as JSON") from None
        if value is None:
            return None
    if isinstance(value, int):
        return unmarked(read_marked(name, value))
    user, channel, chat_id = value.user_id, value.channel_id, value.chat_id
    kind, bare = "user", user
    if channel is not None:
        kind, bare = "channel", channel
    elif chat_id is not None:
        kind, bare = "chat", chat_id
    if bare is None:
        return None
    if (number := (user is not None) + (channel is not None) + (chat_id is not None)) > 1:
        raise BadEvent("wrong_type", f"{name} names {number} peers, expected one")
    if bare <= 0:
        raise BadEvent("wrong_type", f"{name} has {kind}_id {bare}, expected a bare positive id")
    peer = Peer(kind, bare)
    _in_range(name, peer.marked)
    return peer


def read_chat(name: str, value: int | UnsetType | None, beside: Peer | None) -> int | None:
    """Return the marked id of the chat in field `name`, as `marked_chat`; None for null.

    Raises:
        BadEvent: the id is impossible.
    """
    if value is None or value is UNSET:
        return None
    return _in_range(name, marked_chat(read_marked(name, value), beside))


def read_marked(name: str, value: int) -> int:
    """Return `value`; raises BadEvent for 0, which is not a Telegram id."""
    if value == 0:
        raise BadEvent("wrong_type", f"{name} is 0, which is not a Telegram id")
    return value


def _in_range(name: str, marked: int) -> int:
    if marked < -(2**63):
        raise BadEvent("integer_range", f"{name} is beyond 64 bits as the marked id {marked}")
    return marked
