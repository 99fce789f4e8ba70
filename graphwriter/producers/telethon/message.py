"""A message of Telethon as an event.

It reads attributes only: it takes the objects of any version of Telethon, and the mappings that
`to_dict` and `to_json` return, so telethon itself is not imported. docs/producers.md has the
mapping of the fields as a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from graphwriter.errors import BadEvent
from graphwriter.events import times
from graphwriter.events.telegram import Peer
from graphwriter.events.wire import refusal, shown
from graphwriter.producers.identity import identity, wired

_NO_MEDIA = ("MessageMediaEmpty", "MessageMediaWebPage")  # a link preview belongs to the text
# What is read of a message, under Telegram's own names, also those of old layers. Other fields are
# ignored.
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
    entities: Any = None
    grouped_id: _Int | None = None


class Names(NamedTuple):
    """Names that Telethon received along with the message."""

    forward: str | None = None
    sender: str | None = None
    username: str | None = None


UNKNOWN = Names()


def prepare_parsed_event(
    message: Any,
    *,
    tenant_id: str = "telethon",
    channel_id: str | None = None,
    post_id: str | None = None,
    username: str | None = None,
    occurred_at: datetime | str | float | None = None,
    account: int | None = None,
) -> dict[str, Any] | None:
    """Return the event of a Telethon message, ready for `EventPublisher.publish`.

    None for a service message or an empty one, which are not posts. The event contains its forward,
    its reply and its author, so an edited message clears links that were removed.

    Args:
        message: a `Message`, or what its `to_dict` or `to_json` gave as a mapping.
        channel_id, post_id: your own ids; None: derived from Telegram's, always the same.
        username: of the chat, for the URL of the post; None: the one that Telethon knows.
        account: the bare id of the user whose account saw the message. Private chats and basic
            groups number their messages for each account: without it, two accounts share nodes.
        occurred_at: the version of the event, the newer one wins; None: the time of the last edit,
            or of the posting. Views and reactions change without a time of their own: to publish a
            message again for them, give the time at which it was fetched.

    Raises:
        BadEvent: it is not a message, or a field has an invalid value.
    """
    read = _read(message)
    if not isinstance(message, Mapping):
        read.kind = _kind(message)
    known = _names(message)._replace(**({"username": username} if username else {}))
    event = event_of(read, tenant_id, known, _time("occurred_at", occurred_at), account)
    if event is not None:
        ours = {"channel_id": channel_id, "post_id": post_id}
        event.update({name: value for name, value in ours.items() if value is not None})
    return event


def event_of(
    message: Message,
    tenant: str,
    known: Names = UNKNOWN,
    occurred: int | None = None,
    account: int | None = None,
) -> dict[str, Any] | None:
    """Return the event of a decoded message; otherwise as `prepare_parsed_event`."""
    if message.kind == "MessageEmpty":
        return None
    if message.kind == "MessageService" or message.action is not None:
        return None
    own = _chat(message)
    posted, edited = _time("date", message.date), _time("edit_date", message.edit_date)
    if posted is None:
        raise BadEvent("missing_field", "date is missing")
    if edited is not None and edited < posted:
        edited = None
    if occurred is None:
        occurred = posted if edited is None else edited
    username = (known.username or "").lstrip("@")
    results = None if message.reactions is None else message.reactions.results
    return {
        **identity(tenant, own.marked, message.id, times.iso(occurred), account),
        "posted_at": times.iso(posted),
        "text": message.message or "",
        "urls": _urls(message),
        "grouped_id": message.grouped_id,
        "has_media": message.media is not None and _kind(message.media) not in _NO_MEDIA,
        # Telegram also counts a reaction as an edit, with `edit_hide` set.
        "is_edited": edited is not None and not message.edit_hide,
        "views_count": message.views,
        "forwards_count": message.forwards,
        "reactions_count": None if results is None else sum(each.count for each in results),
        "telegram_post_url": (
            f"https://t.me/{username}/{message.id}" if username and own.kind == "channel" else None
        ),
        **_forward(message.fwd_from, known),
        **_reply(message, own),
        **_author(message, own, known),
    }


def _read(message: Any) -> Message:
    try:
        return msgspec.convert(message, Message, from_attributes=True)
    except msgspec.ValidationError as error:
        values = message if isinstance(message, Mapping) else getattr(message, "__dict__", {})
        raise refusal(error, values) from None


def _kind(value: Any) -> str:
    """Return the name of a TL object's class, which a mapping has under `_`."""
    return str(value.get("_")) if isinstance(value, Mapping) else type(value).__name__


def _names(message: Any) -> Names:
    if isinstance(message, Mapping):
        return UNKNOWN
    forward = getattr(message, "forward", None)
    chat = getattr(message, "chat", None)
    return Names(
        name_of(getattr(forward, "chat", None)) or name_of(getattr(forward, "sender", None)),
        name_of(getattr(message, "sender", None)),
        _text(chat, "username"),
    )


def name_of(entity: Any) -> str | None:
    """Return the title of a chat or channel, the names of a user."""
    if title := _text(entity, "title"):
        return title
    parts = (_text(entity, "first_name"), _text(entity, "last_name"))
    return " ".join(part for part in parts if part) or None


def _text(entity: Any, name: str) -> str | None:
    value = getattr(entity, name, None)
    return value if isinstance(value, str) else None


def peer_of(name: str, given: AnyPeer) -> Peer | None:
    """Return the peer in field `name`, None if there is none; raises BadEvent."""
    if given is None:
        return None
    if isinstance(given, int):
        return Peer("user", given)
    ids = (("user", given.user_id), ("chat", given.chat_id), ("channel", given.channel_id))
    found = [Peer(kind, bare) for kind, bare in ids if bare is not None]
    if len(found) != 1:
        raise BadEvent("wrong_type", f"{name} is not a peer: expected one of user, chat, channel")
    return found[0]


def _chat(message: Message) -> Peer:
    """Return the chat that the message is in."""
    own = peer_of("peer_id", message.peer_id)
    if own is not None:
        return own
    own, sender = peer_of("to_id", message.to_id), peer_of("from_id", message.from_id)
    if own is None:
        of = "" if message.kind is None else f" of a {shown(message.kind)}"
        raise BadEvent("missing_field", f"peer_id{of} is missing")
    # In old layers a private message is addressed to the own account; the chat is with the sender.
    return sender if own.kind == "user" and sender is not None and not message.out else own


def _forward(header: Forward | None, known: Names) -> dict[str, Any]:
    header = header or Forward()
    source = peer_of("fwd_from.from_id", header.from_id)
    if header.channel_id is not None:
        source = Peer(
            "channel", header.channel_id
        )  # then `from_id` is the person who signed the post
    where, number = None, header.channel_post
    saved = peer_of("fwd_from.saved_from_peer", header.saved_from_peer)
    # `saved_from` is the source post only if Telegram names no other. It is not used for users and
    # hidden senders: it is then the private chat from which the message was forwarded.
    hidden = source is None and header.from_name is not None
    if number is None and saved is not None and saved.kind != "user" and not hidden:
        where, number = saved.marked, header.saved_from_msg_id
    date = _time("fwd_from.date", header.date)
    return {
        "forward_from_peer_id": wired(source),
        "forward_from_chat_id": where,
        "forward_from_message_id": number,
        "forward_date": None if date is None else times.iso(date),
        "forward_from_name": header.from_name or known.forward,
    }


def _reply(message: Message, own: Peer) -> dict[str, Any]:
    """Return the reply facet: a plain post in a topic has a thread and is not a reply."""
    header = message.reply_to or Reply(reply_to_msg_id=message.reply_to_msg_id)
    to, thread = header.reply_to_msg_id, header.reply_to_top_id
    chat = peer_of("reply_to_peer_id", header.reply_to_peer_id)
    if chat == own:
        chat = None
    if header.forum_topic and chat is None:
        thread = to if thread is None else thread
        to = None if to == thread else to
    if header.reply_to_scheduled or (chat is not None and chat.kind == "user"):
        to = None  # ids of scheduled messages and of private chats are of another id space
    return {
        "reply_to_message_id": to,
        "reply_to_chat_id": None if chat is None or to is None else chat.marked,
        "thread_id": thread,
    }


def _urls(message: Message) -> list[str]:
    """Return the URLs in the text, those behind words, and that of the preview, if it is another.

    Offsets and lengths of entities count units of UTF-16.
    """
    units = (message.message or "").encode("utf-16-le", "surrogatepass")
    found: list[str | None] = []
    for entity in message.entities if isinstance(message.entities, list) else ():
        match _kind(entity):
            case "MessageEntityTextUrl":
                found.append(_part(entity, "url"))
            case "MessageEntityUrl":
                start, size = _part(entity, "offset"), _part(entity, "length")
                if isinstance(start, int) and isinstance(size, int) and start >= 0 and size > 0:
                    text = units[2 * start : 2 * (start + size)]
                    found.append(text.decode("utf-16-le", "ignore"))
    if message.media is not None and _kind(message.media) == "MessageMediaWebPage":
        page = _part(_part(message.media, "webpage"), "url")
        if isinstance(page, str) and _bare(page) not in map(_bare, filter(None, found)):
            found.append(page)
    return list(dict.fromkeys(url for url in found if isinstance(url, str) and url))


def _bare(url: str) -> str:
    """Return what is the same in a URL of the text and in that of its preview."""
    return url.rpartition("://")[2].rstrip("/").lower()


def _part(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def _author(message: Message, own: Peer, known: Names) -> dict[str, Any]:
    peer = peer_of("from_id", message.from_id)
    # The author of a channel's post is the channel. In a private chat, a message without a sender
    # is by the other person. An anonymous admin of a supergroup appears as the group, or not at all
    # in older layers.
    if peer is None and (message.post or (own.kind == "user" and not message.out)):
        peer = own
    name = message.post_author
    if peer is not None and peer.kind == "user":
        name = known.sender or name
    unnamed = None if not name else "signature"
    return {
        "author_peer_id": wired(peer),
        "author_name": name,
        "author_type": unnamed if peer is None else peer.kind,
    }


def _time(name: str, value: Any) -> int | None:
    """Return microseconds since 1970 of a datetime, ISO text or seconds."""
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) >= 10**11:
        value = value / 1000  # milliseconds, as pandas writes them
    if isinstance(value, datetime):
        value = value.isoformat()
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadEvent("wrong_type", f"{name} is {shown(value)}, expected a time")
    return times.micros(name, value)
