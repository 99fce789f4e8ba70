"""Telegram Desktop's export, `result.json`, as events.

Both shapes are read: one chat, and a whole account with its chats and left chats. An export may
have several gigabytes, so it is never decoded whole: `JsonFile` cuts it into messages, and msgspec
decodes each alone. A general streaming parser was tried and put aside for what Desktop really
writes: some versions escape control characters as `\\x01` and leave `document_id` without quotes
(telegramdesktop/tdesktop 27571 and 24961), which is no JSON and would end the file there. Both are
mended here; whatever else is wrong with a message costs that message only.

One pass is enough for forum topics. A topic is a service message `topic_created`, its id is the
topic's id, and exports run by rising id, so the root has come before anything in the topic. A plain
post in a topic looks like a reply to the root; it is told apart by the set of roots seen so far.
A root that the export leaves out (a chosen span of time) cannot be known, and counts as replied to.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated

import msgspec

from graphwriter.errors import BadEvent

Rejected = Callable[[str, BadEvent], None]

# How Desktop names the kinds of chats, by how Telegram marks their ids.
_CHANNELS = {"public_channel", "private_channel", "public_supergroup", "private_supergroup"}
_BASIC_CHATS = {"private_group"}
_USERS = {"personal_chat", "bot_chat", "saved_messages", "replies", "verification_codes"}

_CHANNEL_MARK = 10**12
_PEER = re.compile(r"(user|chat|channel)([1-9][0-9]{0,17})")
# Exports of 2020 hold peers as one integer: the bare id above these bits for a user or a chat.
_OLD_USER = 1 << 32
_OLD_CHAT = 2 << 32

_MENDS = (
    # The escape alone, never the second half of an escaped backslash.
    (
        re.compile(rb"\\(?:x(?=[0-9A-Fa-f]{2})|(.))", re.DOTALL),
        lambda m: (m[1] and m[0]) or rb"\u00",
    ),
    (re.compile(rb'("document_id":\s*)[^"\s][^\n]*'), lambda m: m[1] + b"null"),
)

_Id = Annotated[int, msgspec.Meta(ge=-(2**63), lt=2**63)]
_Peer = str | Annotated[int, msgspec.Meta(gt=0, lt=2**63)] | None
_Media = msgspec.Raw | msgspec.UnsetType


class _Part(msgspec.Struct):
    text: str = ""


class _Reaction(msgspec.Struct):
    count: Annotated[int, msgspec.Meta(ge=0, lt=2**31)] = 0


class _Message(msgspec.Struct):
    """What is read of a message; the names are Desktop's."""

    id: _Id
    type: str = "message"
    action: str | None = None
    date: str | None = None
    date_unixtime: str | int | None = None
    edited: str | None = None
    edited_unixtime: str | int | None = None
    from_: str | None = msgspec.field(default=None, name="from")
    from_id: _Peer = None
    author: str | None = None
    forwarded_from: str | None = None
    forwarded_from_id: _Peer = None
    forwarded_from_message_id: _Id | None = None
    reply_to_message_id: _Id | None = None
    reply_to_peer_id: _Peer = None
    text: str | list[str | _Part] = ""
    reactions: list[_Reaction] | None = None
    photo: _Media = msgspec.UNSET
    file: _Media = msgspec.UNSET
    media_type: _Media = msgspec.UNSET
    poll: _Media = msgspec.UNSET
    contact_information: _Media = msgspec.UNSET
    location_information: _Media = msgspec.UNSET
    place_name: _Media = msgspec.UNSET
    game_title: _Media = msgspec.UNSET
    invoice_information: _Media = msgspec.UNSET
    giveaway_information: _Media = msgspec.UNSET
    paid_stars_amount: _Media = msgspec.UNSET

    def has_media(self) -> bool:
        return any(getattr(self, name) is not msgspec.UNSET for name in _MEDIA)


_MEDIA = [f.name for f in msgspec.structs.fields(_Message) if f.type == _Media]
_decoder = msgspec.json.Decoder(_Message)
