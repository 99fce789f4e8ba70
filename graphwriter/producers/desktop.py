"""Telegram Desktop's export, `result.json`, as events. The file is long: it describes one format.

Both layouts are supported: one chat, and a whole account with its chats and left chats. An export
may have several gigabytes, so it is never decoded as a whole: `JsonFile` splits it into messages,
and msgspec decodes each of them, about 60 MB/s. A general streaming parser does not work: some
versions of Desktop write invalid JSON, with control characters escaped as `\\x01` and
`document_id` without quotes (telegramdesktop/tdesktop 27571, 24961). Both are repaired here. A
message with any other error is rejected alone, and the rest is read.

Forum topics need one pass only. A topic is a service message `topic_created`, whose id is the id of
the topic. Exports are sorted by id, so the root precedes every message of its topic. A plain post
in a topic looks like a reply to the root; it is recognized by the roots read so far. If the export
does not contain the root (a date range was exported), the post counts as a reply to it.

An export does not contain usernames (so no `telegram_post_url`), views, the date of a forward, and
the id of the forwarded post, which some other exporters add as `forwarded_from_message_id`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from graphwriter.errors import BadEvent, ConfigError
from graphwriter.events import times
from graphwriter.events.telegram import Peer
from graphwriter.events.wire import shown, unquoted
from graphwriter.producers.identity import identity, wired
from graphwriter.producers.jsonfile import JsonFile, Rejected, decoding, opened, raised

_ESCAPE = re.compile(rb"\\(?:x(?=[0-9A-Fa-f]{2})|(.))", re.DOTALL)
_DOCUMENT_ID = re.compile(rb'("document_id":\s*)[^"\s][^\n]*')

_OTHER = (
    "a Telethon dump goes through `graphwriter import telethon`, events, one a line, through "
    "`graphwriter publish`"
)

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
# Exports of 2020 have a peer as one integer: its id, and its kind above bit 32. Chats and channels
# have the same kind there.
_OLD_USER, _OLD_CHAT = 1 << 32, 2 << 32

_Int = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_Bare = Annotated[int, Meta(gt=0, le=10**18)]
_Media = Raw | UnsetType


class _Part(msgspec.Struct):
    text: str = ""


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


_message = msgspec.json.Decoder(Message)


def events(
    path: Path,
    *,
    tenant: str = "desktop",
    occurred_at: datetime | None = None,
    rejected: Rejected | None = None,
    counts: Counter[str] | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield an event of form (a) for each post of the export at `path`, ready to be JSON.

    Every event contains its forward, its reply and its author, so importing a newer export also
    clears links that were removed. Service messages, and messages that Desktop could not export,
    are not posts: they are counted and left out. The same export always gives the same events.

    Args:
        path: `result.json`, or the directory that holds it.
        occurred_at: the time of the export, to use as the version of all events: reactions change
            without a time of their own. None: the time of each message's last edit, or of its
            posting. Times without a zone are UTC, also the local `date` of exports that have no
            `date_unixtime`.
        rejected: called with the place (file and byte) and the error of each message or chat that
            cannot be converted; the rest is read. None raises the first error.
        counts: updated with `chats`, `events`, `service`, `unsupported`, `rejected`.

    Raises:
        ConfigError: this is not an export, or it cannot be read, or it is truncated: then
            everything before that has been yielded.
        BadEvent: only without `rejected`.
    """
    path = path / "result.json" if path.is_dir() else path
    export = _Export(tenant, occurred_at, rejected or raised, counts)
    with opened(path) as json:
        if json.kind() != "{":
            raise ConfigError(
                f"{path} is {f'not a Telegram export; {_OTHER}' if json.kind() else 'empty'}"
            )
        yield from export.chat(json)
        if not export.found:
            raise ConfigError(
                f"{path} is not a Telegram export with chats: it has no messages; {_OTHER}"
            )
        if json.kind():
            raise json.error("there is more data after the end of the export")


class _Export:
    """Reads one export; `found` is set after a list of messages or chats was seen."""

    def __init__(
        self,
        tenant: str,
        occurred_at: datetime | None,
        rejected: Rejected,
        counts: Counter[str] | None,
    ) -> None:
        self.found = False
        self._tenant = tenant
        if occurred_at is not None and occurred_at.tzinfo is None:
            occurred_at = occurred_at.replace(tzinfo=UTC)
        self._occurred_at = None if occurred_at is None else occurred_at.isoformat()
        self._rejected = rejected
        self._counts = Counter() if counts is None else counts

    def chat(self, json: JsonFile) -> Iterator[dict[str, Any]]:
        """Yield the events of the chat, or the account, whose object comes next in `json`."""
        head: dict[str, bytes] = {}
        for key in json.members():
            if key in ("type", "id"):
                head[key] = json.value()
            elif key == "messages" and json.kind() == "[":
                self.found = True
                yield from self._messages(json, head)
            elif key in ("chats", "left_chats") and json.kind() == "{":
                yield from self._chats(json)
            else:
                json.skip()

    def _chats(self, json: JsonFile) -> Iterator[dict[str, Any]]:
        for key in json.members():
            if key != "list" or json.kind() != "[":
                json.skip()
                continue
            self.found = True
            for _ in json.items():
                if json.kind() == "{":
                    yield from self.chat(json)
                else:
                    error = BadEvent(
                        "wrong_type", f"a chat starts with {json.kind()!r}, expected {{"
                    )
                    self._reject(json.place, error)
                    json.skip()

    def _messages(self, json: JsonFile, head: dict[str, bytes]) -> Iterator[dict[str, Any]]:
        place = json.place
        try:
            chat = _chat(head)
        except BadEvent as error:
            self._reject(place, error)
            json.skip()
            return
        self._counts["chats"] += 1
        for _ in json.items():
            place = json.place
            try:
                event = self._event(chat, json.value())
            except BadEvent as error:
                self._reject(place, error)
                continue
            if event is not None:
                self._counts["events"] += 1
                yield event

    def _event(self, chat: Chat, raw: bytes) -> dict[str, Any] | None:
        message = _decode(raw)
        if message.type == "message":
            return chat.event(message, self._tenant, self._occurred_at)
        if message.type not in ("service", "unsupported"):
            raise BadEvent(
                "wrong_type",
                f"type is {shown(message.type)}, expected message, service or unsupported",
            )
        if message.action == "topic_created":
            chat.topic(message.id)
        self._counts[message.type] += 1
        return None

    def _reject(self, place: str, error: BadEvent) -> None:
        self._counts["rejected"] += 1
        self._rejected(place, error)


def _chat(head: dict[str, bytes]) -> Chat:
    """Return the chat of the members `type` and `id`, which Desktop writes before the messages."""
    for field in ("type", "id"):
        if field not in head:
            raise BadEvent("missing_field", f"{field} of the chat is missing before its messages")
    try:
        kind = msgspec.json.decode(head["type"], type=str | None)
        bare = msgspec.json.decode(head["id"], type=int)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadEvent("wrong_type", f"type or id of the chat: {unquoted(error)}") from None
    if not 0 < bare <= 10**18:
        raise BadEvent("wrong_type", f"id of the chat is {bare}, expected a bare positive id")
    return Chat(kind, bare)


def _decode(raw: bytes) -> Message:
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

    def __init__(self, type_: str | None, bare: int) -> None:
        if type_ not in KINDS:
            raise BadEvent(
                "unknown_chat", f"type is {shown(type_)}, which is not a known type of chat"
            )
        self.peer = Peer(KINDS[type_], bare)
        self.marked = self.peer.marked
        self._broadcast = type_ in _BROADCASTS
        self._roots: set[int] = set()
        self._threads: dict[int, int] = {}  # filled in forums only: about 100 bytes a message

    def topic(self, root: int) -> None:
        """Remember the root message of a topic."""
        self._roots.add(root)

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
        """Return the reply facet: an answer to a topic's root has a thread and is not a reply."""
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
        # With `date_unixtime`, which is newer, integers are plain user ids of another exporter.
        if message.date_unixtime is not None or value <= _OLD_USER:
            return Peer("user", value)
        if value <= _OLD_CHAT:
            return Peer("user", value - _OLD_USER)
        bare = value - _OLD_CHAT
        return self.peer if bare == self.peer.id else Peer("channel", bare)


def _micros(message: Message, name: str) -> int | None:
    """Return microseconds since 1970, from the seconds, or from the local text as UTC."""
    for field in (f"{name}_unixtime", name):
        value = getattr(message, field)
        if value is not None:
            return times.micros(field, value)
    return None


def _text(message: Message) -> str:
    if isinstance(message.text, str):
        return message.text
    return "".join(part if isinstance(part, str) else part.text for part in message.text)
