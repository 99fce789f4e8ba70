"""One chat of a Telegram Desktop export: its messages as events.

Pure. What is not in an export: usernames (so no `telegram_post_url`), views, the date of a forward,
and the forwarded post's id, which some other exporters add as `forwarded_from_message_id`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from graphwriter.errors import BadEvent
from graphwriter.events import times
from graphwriter.events.telegram import Peer
from graphwriter.events.wire import shown
from graphwriter.producers.identity import identity, wired

# Desktop's types of chats, and the kind of peer that each is to Telegram.
KINDS = {
    "public_channel": "channel",
    "private_channel": "channel",
    "public_supergroup": "channel",
    "private_supergroup": "channel",
    "private_group": "chat",
    "personal_chat": "user",
    "bot_chat": "user",
    "saved_messages": "user",
    "replies": "user",
    "verification_codes": "user",
}
_BROADCASTS = ("public_channel", "private_channel")

_PEER = re.compile(r"(user|chat|channel)([1-9][0-9]{0,17})", re.ASCII).fullmatch
# Exports of 2020 give a peer as one integer: its id, and its kind above bit 32. Chats and channels
# share a kind there.
_OLD_USER, _OLD_CHAT = 1 << 32, 2 << 32

_Int = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_Bare = Annotated[int, Meta(gt=0, le=10**18)]
_Media = Raw | UnsetType


class _Part(msgspec.Struct):
    text: str = ""


class _Reaction(msgspec.Struct):
    count: _Int = 0


class Message(msgspec.Struct):
    """What is read of a message, under Desktop's own names."""

    id: _Int
    type: str = "message"
    action: str | None = None
    date: str | None = None
    date_unixtime: str | _Int | None = None
    edited: str | None = None
    edited_unixtime: str | _Int | None = None
    from_: str | None = msgspec.field(default=None, name="from")
    from_id: str | _Bare | None = None
    author: str | None = None
    forwarded_from: str | None = None
    forwarded_from_id: str | _Bare | None = None
    forwarded_from_message_id: _Int | None = None
    reply_to_message_id: _Int | None = None
    reply_to_peer_id: str | _Bare | None = None
    text: str | list[str | _Part] = ""
    reactions: list[_Reaction] | None = None
    photo: _Media = UNSET
    file: _Media = UNSET
    media_type: _Media = UNSET
    poll: _Media = UNSET
    contact_information: _Media = UNSET
    location_information: _Media = UNSET
    place_name: _Media = UNSET
    game_title: _Media = UNSET
    invoice_information: _Media = UNSET
    giveaway_information: _Media = UNSET
    giveaway_results: _Media = UNSET
    paid_stars_amount: _Media = UNSET


_MEDIA = Message.__struct_fields__[Message.__struct_fields__.index("photo") :]


class Chat:
    """A chat by Desktop's type and bare id, and what was learnt of its topics so far.

    Raises:
        BadEvent: the type is not known, so that the id cannot be marked.
    """

    def __init__(self, type_: str | None, bare: int) -> None:
        if type_ not in KINDS:
            raise BadEvent("unknown_chat", f"type is {shown(type_)}, which is no kind of chat")
        self.peer = Peer(KINDS[type_], bare)
        self.marked = self.peer.marked
        self._broadcast = type_ in _BROADCASTS
        self._roots: set[int] = set()
        self._threads: dict[int, int] = {}  # filled in forums only: about 100 bytes a message

    def topic(self, root: int) -> None:
        """Remember that a topic begins with the message `root`."""
        self._roots.add(root)

    def event(self, message: Message, tenant: str, occurred_at: str | None) -> dict[str, Any]:
        """Return the event of `message`; `occurred_at` as text, or None for the message's own.

        Raises:
            BadEvent: a date or a peer is none, or there is no date. The error names the field.
        """
        posted = _micros(message, "date")
        if posted is None:
            raise BadEvent("missing_field", "date_unixtime and date are both not there")
        edited = _micros(message, "edited")
        if edited is not None and edited < posted:
            edited = None  # exports of 2019 write 1970 for "never"
        occurred = occurred_at or times.iso(posted if edited is None else edited)
        return {
            **identity(tenant, self.marked, message.id, occurred),
            "posted_at": times.iso(posted),
            "text": _text(message),
            "has_media": any(getattr(message, name) is not UNSET for name in _MEDIA),
            "is_edited": edited is not None,
            "reactions_count": (
                None if message.reactions is None else sum(r.count for r in message.reactions)
            ),
            **self._forward(message),
            **self._reply(message),
            **self._author(message),
        }

    def _forward(self, message: Message) -> dict[str, Any]:
        peer = self._peer("forwarded_from_id", message)
        return {
            "forward_from_peer_id": wired(peer),
            "forward_from_chat_id": None,
            "forward_from_message_id": message.forwarded_from_message_id,
            "forward_date": None,
            "forward_from_name": message.forwarded_from,
        }

    def _reply(self, message: Message) -> dict[str, Any]:
        """Return the reply facet: an answer to a topic's root says which topic and is no reply."""
        to, thread = message.reply_to_message_id, None
        where = self._peer("reply_to_peer_id", message)
        if to is not None and where is None and self._roots:
            thread = to if to in self._roots else self._threads.get(to)
            if thread is not None:
                self._threads[message.id] = thread
            if thread == to:
                to = None
        return {
            "reply_to_message_id": to,
            "reply_to_chat_id": None if where is None or to is None else where.marked,
            "thread_id": thread,
        }

    def _author(self, message: Message) -> dict[str, Any]:
        peer = self._peer("from_id", message)
        if peer is None and self._broadcast:
            peer = self.peer  # a post without a sender is the channel's own
        if peer is None:
            name = message.author or message.from_
        else:
            name = message.from_ if peer.kind == "user" else message.author
        unnamed = None if not name else "signature"
        return {
            "author_peer_id": wired(peer),
            "author_name": name,
            "author_type": unnamed if peer is None else peer.kind,
        }

    def _peer(self, field: str, message: Message) -> Peer | None:
        """Return the peer that Desktop writes as `user1`, `chat1` or `channel1`, once as 1."""
        value: str | int | None = getattr(message, field)
        if value is None:
            return None
        if isinstance(value, str):
            if found := _PEER(value):
                return Peer(found[1], int(found[2]))
            raise BadEvent("wrong_type", f"{field} is {shown(value)}, expected such as channel1")
        # Integers beside `date_unixtime`, which is younger, are another exporter's plain user ids.
        if message.date_unixtime is not None or value <= _OLD_USER:
            return Peer("user", value)
        if value <= _OLD_CHAT:
            return Peer("user", value - _OLD_USER)
        bare = value - _OLD_CHAT
        return self.peer if bare == self.peer.id else Peer("channel", bare)


def _micros(message: Message, name: str) -> int | None:
    """Return microseconds since 1970, from the seconds if there, else the local text as UTC."""
    for field in (f"{name}_unixtime", name):
        value = getattr(message, field)
        if value is not None:
            return times.micros(field, value)
    return None


def _text(message: Message) -> str:
    if isinstance(message.text, str):
        return message.text
    return "".join(part if isinstance(part, str) else part.text for part in message.text)
