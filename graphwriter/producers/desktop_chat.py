"""One chat of Telegram Desktop's export: its messages as events.

Some versions of Desktop write invalid JSON, with control characters escaped as `\\x01` and
`document_id` without quotes (telegramdesktop/tdesktop 27571, 24961). Both are repaired here. A
message with any other error is rejected alone, and the rest is read.

Forum topics need one pass only. A topic is a service message `topic_created`, whose id is the id of
the topic. Exports are sorted by id, so the root precedes every message of its topic. A plain post
in a topic looks like a reply to the root; it is recognized by the roots read so far. The export of
a range of dates may lack the root. If several messages of a supergroup reply to one message before
the first one of the file, it may be such a root: then the events do not contain the reply facet of
messages that reply to something before the file, so that no false reply is made.

Desktop wrote ids of chats with their kind above bit 32 until May 2021, and from October 2020 those
of senders too. No such id existed then, so the dates of the messages tell it.

The export of a supergroup may start with the history of the basic group that it was: Desktop adds
-10^9 to the ids of those messages. Where the file says which group it was, they get its address.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from graphwriter.errors import BadEvent, ConfigError
from graphwriter.events import times
from graphwriter.events.telegram import Peer
from graphwriter.events.wire import shown
from graphwriter.producers.identity import identity, wired
from graphwriter.producers.jsonfile import JsonFile, decoding

_ESCAPE = re.compile(rb"\\(?:x(?=[0-9A-Fa-f]{2})|(.))", re.DOTALL)
_DOCUMENT_ID = re.compile(rb'("document_id":\s*)[^"\s][^\n]*')

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
_TARGETS = 100_000  # ids of messages that are remembered of one chat while it is read ahead
_BROADCASTS = ("public_channel", "private_channel")

_PEER = re.compile(r"(user|chat|channel)([1-9][0-9]{0,17})", re.ASCII).fullmatch
# Exports of 2020 have a peer as one integer: its id, and its kind above bit 32. Chats and channels
# have the same kind there.
OLD_USER, OLD_CHAT = 1 << 32, 2 << 32
_MIGRATED = -(10**9)  # is added to the ids of messages from before a migration
_OLD_UNTIL = "2021-06"  # no user, chat or channel had an id above bit 32 before this month

_Int = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Bare = Annotated[int, Meta(gt=0, le=10**18)]
_Media = Raw | UnsetType


class _Part(msgspec.Struct):
    type: str | None = None
    text: str = ""
    href: str | None = None

    @property
    def url(self) -> str | None:
        """The URL, in the text or behind it."""
        return {"link": self.text, "text_link": self.href}.get(self.type or "")


class _Block(msgspec.Struct):
    text: str | list[str | _Part] = ""


class _Rich(msgspec.Struct):
    blocks: list[_Block] = []


class _Reaction(msgspec.Struct):
    count: _Int = 0


class Message(msgspec.Struct):
    """The fields that are read, under Desktop's names."""

    id: _Int
    type: str = "message"
    action: str | None = None
    date: str | None = None
    date_unixtime: str | _Int | None = None
    edited: str | None = None
    edited_unixtime: str | _Int | None = None
    from_: str | None = msgspec.field(default=None, name="from")
    from_id: str | Bare | None = None
    actor_id: object = None
    author: str | None = None
    forwarded_from: str | None = None
    forwarded_from_id: str | Bare | None = None
    forwarded_from_message_id: _Int | None = None
    reply_to_message_id: _Int | None = None
    reply_to_peer_id: str | Bare | None = None
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
    todo_list: _Media = UNSET
    rich_message: _Media = UNSET

    @property
    def old(self) -> bool:
        """Whether ids above bit 32 contain their kind, which the date tells."""
        return self.date_unixtime is None and self.date is not None and self.date < _OLD_UNTIL


# All but the last, `rich_message`, which may be text only.
_MEDIA = Message.__struct_fields__[Message.__struct_fields__.index("photo") : -1]
_RICH = re.compile(rb'"(?:photo|video|file|audio|document|media_type)"\s*:\s*(?!null)')


_message = msgspec.json.Decoder(Message)


def decode(raw: bytes) -> Message:
    """Return the message in `raw`, repaired if need be; raises BadEvent, which names the field."""
    with decoding(raw, _repaired):
        try:
            return _message.decode(raw)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            return _message.decode(_repaired(raw))


def _repaired(raw: bytes) -> bytes:
    """Return valid JSON, after repairing the two known errors of Desktop."""
    # An escaped backslash is matched as a pair, so its second half never starts an escape.
    raw = _ESCAPE.sub(lambda m: m[0] if m[1] else rb"\u00", raw)
    return _DOCUMENT_ID.sub(rb"\1null", raw)


class Chat:
    """A chat by Desktop's type and bare id, and the topics read so far.

    Raises:
        BadEvent: the type is unknown, so the id cannot be marked.
    """

    def __init__(self, type_: str | None, bare: int, account: int | None = None) -> None:
        if type_ not in KINDS:
            raise BadEvent(
                "unknown_chat", f"type is {shown(type_)}, which is not a known type of chat"
            )
        self.peer = Peer(KINDS[type_], bare)
        self.marked = self.peer.marked
        self._account = account
        self._broadcast = type_ in _BROADCASTS
        self._supergroup = "supergroup" in (type_ or "")
        self._basic_group: Peer | None = None  # the chat of messages with ids below zero
        self._before: int | None = None  # replies to messages below this id are not understood
        self._roots: set[int] = set()
        self._threads: dict[int, int] = {}  # filled in forums only: about 100 bytes a message

    def topic(self, root: int) -> None:
        """Remember the root message of a topic."""
        self._roots.add(root)

    def look_ahead(self, json: JsonFile) -> None:
        """Find out what only later messages say; the messages come next in `json`.

        A supergroup whose first message has an id below zero was a basic group, which is looked for
        in all of its messages. If its first message is missing, replies to messages before the file
        may be to roots of topics; messages are read up to the one that shows it.
        """
        if not self._supergroup or json.kind() != "[":
            return
        with suppress(ConfigError), json.rewinding():  # a truncated file is told later
            messages = _readable(json)
            first = next(messages, None)
            if first is None:
                return
            if first.id < 0:
                self._basic_group = _basic_group(itertools.chain((first,), messages))
            elif first.id > 1 and _replies_to_a_root(first.id, itertools.chain((first,), messages)):
                self._before = first.id

    def event(self, message: Message, tenant: str, occurred_at: str | None) -> dict[str, Any]:
        """Return the event of `message`; `occurred_at` as text, or None for the message's own.

        Raises:
            BadEvent: a date or a peer is invalid, or there is no date. The error names the field.
        """
        posted = _micros(message, "date")
        if posted is None:
            raise BadEvent("missing_field", "date_unixtime and date are both missing")
        edited = _micros(message, "edited")
        if edited is not None and edited < posted:
            edited = None  # exports of 2019 write 1970 for "never"
        blocks = _blocks(message)
        occurred = occurred_at or times.iso(posted if edited is None else edited)
        return {
            **identity(tenant, *self._address(message.id), occurred, self._account),
            "posted_at": times.iso(posted),
            "text": _text(message, blocks),
            "urls": _urls(message, blocks),
            "has_media": _has_media(message),
            "is_edited": edited is not None,
            "reactions_count": (
                None if message.reactions is None else sum(r.count for r in message.reactions)
            ),
            **self._forward(message),
            **self._reply(message),
            **self._author(message),
        }

    def _address(self, number: int) -> tuple[int, int]:
        if number < 0 and self._basic_group is not None:
            return self._basic_group.marked, number - _MIGRATED
        return self.marked, number

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
        """Return the reply facet: an answer to a topic's root has a thread and is not a reply."""
        to, thread = message.reply_to_message_id, None
        where = self._peer("reply_to_peer_id", message)
        if where == self.peer:
            where = None
        if to is not None and message.id < 0 and to < 0:
            if where is None:
                to = self._address(to)[1]
            else:
                to -= _MIGRATED  # Desktop adds it also to an id of another chat
        if where is None and to is not None and self._before is not None and to < self._before:
            return {}
        if where is not None and where.kind == "user":
            to = None  # a message in a private chat, whose ids are of another id space
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
            peer = self.peer  # a post without a sender is by the channel itself
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
            raise BadEvent(
                "wrong_type", f"{field} is {shown(value)}, expected for example channel1"
            )
        # In newer messages integers are plain user ids of another exporter.
        if not message.old or value <= OLD_USER:
            return Peer("user", value)
        if value <= OLD_CHAT:
            return Peer("user", value - OLD_USER)
        bare = value - OLD_CHAT
        return self.peer if bare == self.peer.id else Peer("channel", bare)


def _readable(json: JsonFile) -> Iterator[Message]:
    for _ in json.items():
        with suppress(BadEvent):
            yield decode(json.value())


def _basic_group(messages: Iterable[Message]) -> Peer | None:
    """Return the basic group that a supergroup was; None: the export does not say it.

    Two things say it: in the old history no sender is a group but the group itself, and a reply in
    the supergroup names the group with the message that it replies to.
    """
    found, held = set[Peer](), set[int]()
    for message in messages:
        named: tuple[object, ...] = ()
        if message.id < 0:
            named = message.from_id, message.actor_id
            if len(held) < _TARGETS:
                held.add(message.id - _MIGRATED)
        elif message.reply_to_message_id in held:
            named = (message.reply_to_peer_id,)
        for value in named:
            match = _PEER(value) if isinstance(value, str) else None
            if match and match[1] == "chat":
                found.add(Peer("chat", int(match[2])))
    return found.pop() if len(found) == 1 else None


def _replies_to_a_root(first: int, messages: Iterable[Message]) -> bool:
    """Return whether two messages reply to one before the `first`, and no topic says otherwise."""
    targets = set[int]()
    for message in messages:
        if message.action == "topic_created":
            return False
        to = message.reply_to_message_id
        if to is None or to >= first or message.reply_to_peer_id is not None:
            continue
        if to in targets:
            return True
        if len(targets) < _TARGETS:
            targets.add(to)
    return False


def _micros(message: Message, name: str) -> int | None:
    """Return microseconds since 1970, from the seconds, or from the local text as UTC."""
    for field in (f"{name}_unixtime", name):
        value = getattr(message, field)
        if value is not None:
            return times.micros(field, value)
    return None


def _has_media(message: Message) -> bool:
    rich = message.rich_message
    return any(getattr(message, name) is not UNSET for name in _MEDIA) or (
        rich is not UNSET and _RICH.search(bytes(rich)) is not None
    )


def _text(message: Message, blocks: list[_Block]) -> str:
    text = _joined(message.text)
    if not text:
        text = "\n".join(filter(None, (_joined(block.text) for block in blocks)))
    return text


def _urls(message: Message, blocks: list[_Block]) -> list[str]:
    texts = (message.text, *(block.text for block in blocks))
    parts = (part for text in texts if not isinstance(text, str) for part in text)
    return [part.url for part in parts if not isinstance(part, str) and part.url]


def _blocks(message: Message) -> list[_Block]:
    if message.rich_message is UNSET:
        return []
    with suppress(msgspec.MsgspecError, RecursionError):
        return msgspec.json.decode(message.rich_message, type=_Rich).blocks
    return []


def _joined(text: str | list[str | _Part]) -> str:
    if isinstance(text, str):
        return text
    return "".join(part if isinstance(part, str) else part.text for part in text)
