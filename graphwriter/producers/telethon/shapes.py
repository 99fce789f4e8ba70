"""What is read of Telethon's messages, under Telegram's own names.

Old layers' names are among them; whatever else a message has is passed over.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

_Int = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_Bare = Annotated[int, Meta(gt=0, le=10**18)]


class _Peer(msgspec.Struct):
    user_id: _Bare | None = None
    chat_id: _Bare | None = None
    channel_id: _Bare | None = None


AnyPeer = _Peer | _Bare | None  # a plain id was a user's, in layers before 2020


class Forward(msgspec.Struct):
    """A MessageFwdHeader."""

    date: Any = None
    from_id: AnyPeer = None
    from_name: str | None = None
    channel_id: _Bare | None = None  # old layers
    channel_post: _Int | None = None
    saved_from_peer: AnyPeer = None
    saved_from_msg_id: _Int | None = None


class Reply(msgspec.Struct):
    """A MessageReplyHeader, or a MessageReplyStoryHeader, which has none of these."""

    reply_to_msg_id: _Int | None = None
    reply_to_peer_id: AnyPeer = None
    reply_to_top_id: _Int | None = None
    forum_topic: bool | None = None
    reply_to_scheduled: bool | None = None


class _Reaction(msgspec.Struct):
    count: _Int = 0


class _Reactions(msgspec.Struct):
    results: list[_Reaction] | None = None


class Message(msgspec.Struct):
    """A Message, MessageService or MessageEmpty."""

    id: _Int
    kind: str | None = msgspec.field(default=None, name="_")
    action: Any = None
    peer_id: AnyPeer = None
    to_id: AnyPeer = None
    from_id: AnyPeer = None
    out: bool | None = None
    post: bool | None = None
    date: Any = None
    edit_date: Any = None
    edit_hide: bool | None = None
    message: str | None = None
    media: Any = None
    views: _Int | None = None
    forwards: _Int | None = None
    reactions: _Reactions | None = None
    post_author: str | None = None
    fwd_from: Forward | None = None
    reply_to: Reply | None = None
    reply_to_msg_id: _Int | None = None
