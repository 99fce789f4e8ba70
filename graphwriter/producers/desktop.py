"""Telegram Desktop's export, `result.json`, as events. The file is long: it describes one format.

Both layouts are supported: one chat, and a whole account with its chats and left chats. An export
may have several gigabytes, so it is never decoded as a whole: `JsonFile` splits it into messages,
and msgspec decodes each of them, about 60 MB/s. A general streaming parser does not work: some
versions of Desktop write invalid JSON, with control characters escaped as `\\x01` and
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

An export does not contain usernames (so no `telegram_post_url`), views, the date of a forward, and
the id of the forwarded post, which some other exporters add as `forwarded_from_message_id`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from graphwriter.errors import BadEvent, ConfigError
from graphwriter.events import times
from graphwriter.events.telegram import Peer, unmarked
from graphwriter.events.wire import shown, unquoted
from graphwriter.producers import foreign
from graphwriter.producers.identity import identity, lacks_account, wired
from graphwriter.producers.jsonfile import JsonFile, Rejected, decoding, opened, raised
from graphwriter.text import counted

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
_PERSON = "personal_information"
_TARGETS = 100_000  # messages before the file that are remembered, of one chat
TDL = (
    ", so its id has no kind: a file of tdl has none; export with `tdl chat export --raw` and use "
    "`graphwriter import telethon`"
)
_BROADCASTS = ("public_channel", "private_channel")

_PEER = re.compile(r"(user|chat|channel)([1-9][0-9]{0,17})", re.ASCII).fullmatch
# Exports of 2020 have a peer as one integer: its id, and its kind above bit 32. Chats and channels
# have the same kind there.
_OLD_USER, _OLD_CHAT = 1 << 32, 2 << 32
_OLD_UNTIL = "2021-06"  # no user, chat or channel had an id above bit 32 before this month

_Int = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_Bare = Annotated[int, Meta(gt=0, le=10**18)]
_Media = Raw | UnsetType


class _Part(msgspec.Struct):
    text: str = ""


class _Block(msgspec.Struct):
    text: str | list[str | _Part] = ""


class _Rich(msgspec.Struct):
    blocks: list[_Block] = []


class _Person(msgspec.Struct):
    user_id: _Bare | None = None


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


def events(
    path: Path,
    *,
    tenant: str = "desktop",
    account: int | None = None,
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
        account: the bare id of the user who made the export; None: as the export says.
        occurred_at: the time of the export, to use as the version of all events: reactions change
            without a time of their own. None: the time of each message's last edit, or of its
            posting. Times without a zone are UTC, also the local `date` of exports that have no
            `date_unixtime`.
        rejected: called with the place (file and byte) and the error of each message or chat that
            cannot be converted; the rest is read. None raises the first error.
        counts: updated with `chats`, `events`, `service`, `unsupported`, `rejected` (messages);
            `unaccounted`: events of private chats and basic groups without an account;
            `unthreaded`: events without their reply, which may be to the root of a topic.

    Raises:
        ConfigError: this is not an export, or it cannot be read, or it is truncated: then
            everything before that has been yielded.
        BadEvent: only without `rejected`.
    """
    foreign.refuse(path)
    path = path / "result.json" if path.is_dir() else path
    export = _Export(tenant, account, occurred_at, rejected or raised, counts)
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
        account: int | None,
        occurred_at: datetime | None,
        rejected: Rejected,
        counts: Counter[str] | None,
    ) -> None:
        self.found = False
        self._tenant, self._account = tenant, account
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
            elif key == _PERSON:
                self._person(json.value())
            elif key == "messages" and json.kind() == "[":
                self.found = True
                if len(head) < 2:  # another tool sorted the keys
                    head |= json.following(("type", "id"))
                yield from self._messages(json, head)
            elif key in ("chats", "left_chats") and json.kind() == "{":
                if self._account is None:
                    self._person(json.following((_PERSON,)).get(_PERSON))
                yield from self._chats(json)
            else:
                json.skip()

    def _person(self, raw: bytes | None) -> None:
        """Take the account from `personal_information`, unless it was given."""
        if self._account is not None or raw is None:
            return
        try:
            person = msgspec.json.decode(raw, type=_Person)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return  # the export is read without it, which is told
        self._account = person.user_id

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
            chat = _chat(head, json, self._account)
        except BadEvent as error:
            left_out = 0
            for _ in json.items():
                json.skip()
                left_out += 1
            text = f"{counted(left_out, 'message')} of 1 chat left out: {error.message}"
            self._reject(place, BadEvent(error.reason, text), left_out)
            return
        chat.look_ahead(json)
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
                if lacks_account(event):
                    self._counts["unaccounted"] += 1
                if "reply_to_message_id" not in event:
                    self._counts["unthreaded"] += 1
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

    def _reject(self, place: str, error: BadEvent, messages: int = 1) -> None:
        self._counts["rejected"] += messages
        self._rejected(place, error)


def _chat(head: dict[str, bytes], json: JsonFile, account: int | None) -> Chat:
    """Return the chat of the members `type` and `id`; its messages come next in `json`."""
    for field in ("type", "id"):
        if field not in head:
            hint = "" if "type" in head else TDL
            raise BadEvent("missing_field", f"{field} of the chat is missing{hint}")
    try:
        kind = msgspec.json.decode(head["type"], type=str | None)
        bare = msgspec.json.decode(head["id"], type=int)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadEvent("wrong_type", f"type or id of the chat: {unquoted(error)}") from None
    if not 0 < abs(bare) <= 10**18:
        raise BadEvent("wrong_type", f"id of the chat is {bare}, expected a bare or marked id")
    if bare < 0:  # marked by another tool
        peer = unmarked(bare)
        if peer.kind != KINDS.get(kind or "", peer.kind):
            raise BadEvent("wrong_type", f"id of the chat is {bare}, which is no id of a {kind}")
        bare = peer.id
    elif bare > _OLD_USER and _is_old(json):
        shift = _OLD_USER if KINDS.get(kind or "") == "user" else _OLD_CHAT
        bare = bare - shift if bare > shift else bare
    return Chat(kind, bare, account)


def _is_old(json: JsonFile) -> bool:
    """Return whether the first message with a date says that ids contain their kind."""
    with json.rewinding():
        for _ in json.items():
            with suppress(BadEvent):
                message = _decode(json.value())
                if message.date is not None or message.date_unixtime is not None:
                    return message.old
    return False


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

    def __init__(self, type_: str | None, bare: int, account: int | None = None) -> None:
        if type_ not in KINDS:
            raise BadEvent(
                "unknown_chat", f"type is {shown(type_)}, which is not a known type of chat"
            )
        self.peer = Peer(KINDS[type_], bare)
        self.marked = self.peer.marked
        self._account = account
        self._broadcast = type_ in _BROADCASTS
        self._forum = "supergroup" in (type_ or "")  # it may be one
        self._before: int | None = None  # replies to messages below this id are not understood
        self._roots: set[int] = set()
        self._threads: dict[int, int] = {}  # filled in forums only: about 100 bytes a message

    def topic(self, root: int) -> None:
        """Remember the root message of a topic."""
        self._roots.add(root)

    def look_ahead(self, json: JsonFile) -> None:
        """Find out whether replies to messages before the file may be to roots of topics.

        The messages come next in `json`. It reads them only if the first one is not the chat's
        first, up to the message that shows it.
        """
        if not self._forum or json.kind() != "[":
            return
        first, targets = None, set[int]()
        with suppress(ConfigError), json.rewinding():  # a truncated file is told later
            for _ in json.items():
                try:
                    message = _decode(json.value())
                except BadEvent:
                    continue
                first = message.id if first is None else first
                if first <= 1 or message.action == "topic_created":
                    return
                to = message.reply_to_message_id
                if to is None or to >= first or message.reply_to_peer_id is not None:
                    continue
                if to in targets:
                    self._before = first
                    return
                if len(targets) < _TARGETS:
                    targets.add(to)

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
            **identity(tenant, self.marked, message.id, occurred, self._account),
            "posted_at": times.iso(posted),
            "text": _text(message),
            "has_media": _has_media(message),
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
        if where == self.peer:
            where = None
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
        if not message.old or value <= _OLD_USER:
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


def _has_media(message: Message) -> bool:
    rich = message.rich_message
    return any(getattr(message, name) is not UNSET for name in _MEDIA) or (
        rich is not UNSET and _RICH.search(bytes(rich)) is not None
    )


def _text(message: Message) -> str:
    text = _joined(message.text)
    if not text and message.rich_message is not UNSET:
        with suppress(msgspec.MsgspecError, RecursionError):
            blocks = msgspec.json.decode(message.rich_message, type=_Rich).blocks
            text = "\n".join(filter(None, (_joined(block.text) for block in blocks)))
    return text


def _joined(text: str | list[str | _Part]) -> str:
    if isinstance(text, str):
        return text
    return "".join(part if isinstance(part, str) else part.text for part in text)
