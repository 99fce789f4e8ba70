"""A file of messages with Telegram's own fields, as Telethon and other tools save them, as events.

The file is a JSON array of messages in any order, or several arrays, or messages one after another,
as scripts write that append to a file. It is read message by message, in constant memory. Instead
of messages there may be pages: results of Telegram's GetHistory, with the names of users and chats,
or the file of `tdl chat export --raw`.

Tools write the same fields in different ways. Messages in another way than Telethon's are converted
once by `_converted`: pandas (whole floats, NaN, milliseconds), mongoexport (`{"$date": …}`), and
names of Go (`PeerID`; tdl and tg_history_dumper), where 0 and "" are absent values.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from graphwriter.errors import BadEvent, ConfigError
from graphwriter.producers import foreign
from graphwriter.producers.identity import lacks_account
from graphwriter.producers.jsonfile import JsonFile, Rejected, decoding, opened, raised
from graphwriter.producers.telethon.message import (
    UNKNOWN,
    Message,
    Names,
    event_of,
    name_of,
    peer_of,
)

_OTHER = (
    "a Telegram Desktop export goes through `graphwriter import desktop`, events, one a line, "
    "through `graphwriter publish`"
)
_NO_DUMP = "not a dump of Telethon messages (a JSON array of them)"

_message = msgspec.json.Decoder(Message)
_NUMBERS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|-?\b(?:NaN|Infinity)\b', re.DOTALL)
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_COUNTS = ("views", "forwards", "count", "message")  # of Go; 0 and "" mean what they say


def events(
    path: Path,
    *,
    tenant: str = "telethon",
    account: int | None = None,
    rejected: Rejected | None = None,
    counts: Counter[str] | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield an event of form (a) for each post of the dump at `path`, ready to be JSON.

    Service and empty messages are not posts: they are counted and left out. The same dump always
    gives the same events.

    Args:
        account: the bare id of the user whose account saw the messages.
        rejected: called with the place (file, byte, array, position in it) and the error of each
            message that cannot be converted; the rest is read. None raises the first error.
        counts: counts `chats`, `arrays`, `events`, `service`, `empty`, `rejected`, and
            `unaccounted` (events of private chats and basic groups without an account).

    Raises:
        ConfigError: the file is not a dump, or it cannot be read, or it is truncated: then
            everything before that has been yielded.
        BadEvent: only without `rejected`.
    """
    foreign.refuse(path)
    counts = Counter() if counts is None else counts
    dump = _Dump(tenant, account, rejected or raised, counts)
    with opened(path) as json:
        first = json.kind()
        if first not in ("[", "{"):
            raise ConfigError(f"{path} is {f'{_NO_DUMP}; {_OTHER}' if first else 'empty'}")
        try:
            yield from dump.events(json)
        except ConfigError as error:
            if first == "{" and not dump.read:
                raise ConfigError(f"{error}; {_OTHER}") from None
            raise


class _Dump:
    """Reads one dump; `read` is set after the first message."""

    def __init__(
        self, tenant: str, account: int | None, rejected: Rejected, counts: Counter[str]
    ) -> None:
        self.read = False
        self._tenant, self._account = tenant, account
        self._rejected, self._counts = rejected, counts
        self._chats: set[int] = set()
        self._paged: bool | None = None
        self._names: dict[tuple[str, int], _Entity] = {}  # of the current page

    def events(self, json: JsonFile) -> Iterator[dict[str, Any]]:
        """Yield the events of all messages in `json`."""
        loose = 0
        while kind := json.kind():
            if kind == "[":
                self._counts["arrays"] += 1
                for number, _ in enumerate(json.items(), 1):
                    place = f"array {self._counts['arrays']}, item {number}"
                    yield from self._page_or_event(json, place)
            else:
                loose += 1
                yield from self._page_or_event(json, f"message {loose}")

    def _page_or_event(self, json: JsonFile, number: str) -> Iterator[dict[str, Any]]:
        if self._paged is None and json.kind() == "{":
            self._paged = _is_page(json)
        if self._paged and json.kind() == "{":
            yield from self._page(json, number)
        else:
            yield from self._event(json, number)

    def _page(self, json: JsonFile, number: str) -> Iterator[dict[str, Any]]:
        """Yield the events of an object with `messages`, and use its `users` and `chats`."""
        self._names = {}
        for key in json.members():
            if key == "messages" and json.kind() == "[":
                self._counts["arrays"] += 1
                for name, raw in json.following(("users", "chats")).items():
                    self._learn(name, raw)
                for position, _ in enumerate(json.items(), 1):
                    yield from self._event(json, f"{number}, message {position}")
            elif key in ("users", "chats"):
                self._learn(key, json.value())
            else:
                json.skip()

    def _learn(self, kind: str, raw: bytes) -> None:
        """Take the names of users or chats; entities of another form have none."""
        with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            for each in msgspec.json.decode(raw, type=list[_Entity]):
                channel = each.kind is not None and each.kind.startswith("Channel")
                peer = "user" if kind == "users" else "channel" if channel else "chat"
                self._names[peer, each.id] = each

    def _known(self, message: Message) -> Names:
        if not self._names:
            return UNKNOWN
        forward = message.fwd_from and peer_of("fwd_from.from_id", message.fwd_from.from_id)
        chat = self._names.get(peer_of("peer_id", message.peer_id) or _NOBODY)
        sender = self._names.get(peer_of("from_id", message.from_id) or _NOBODY)
        source = self._names.get(forward or _NOBODY)
        return Names(name_of(source), name_of(sender), None if chat is None else chat.username)

    def _event(self, json: JsonFile, number: str) -> Iterator[dict[str, Any]]:
        place = f"{json.place} ({number})"
        raw = json.value()
        try:
            message = _decode(raw)
            event = event_of(message, self._tenant, self._known(message), account=self._account)
        except BadEvent as error:
            if number == "message 1" and not self.read and error.reason == "missing_field":
                # Objects of another kind: one error instead of one for each of them.
                raise ConfigError(f"{place} is not a Telethon message: {error.message}") from None
            self._counts["rejected"] += 1
            self._rejected(place, error)
            return
        self.read = True
        if event is None:
            self._counts["empty" if message.kind == "MessageEmpty" else "service"] += 1
            return
        self._chats.add(event["tg_channel_id"])
        self._counts["chats"] = len(self._chats)
        self._counts["events"] += 1
        if lacks_account(event):
            self._counts["unaccounted"] += 1
        yield event


class _Entity(msgspec.Struct):
    """A user, chat or channel of a page."""

    id: int
    kind: str | None = msgspec.field(default=None, name="_")
    title: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    username: str | None = None


_NOBODY = ("", 0)


def _is_page(json: JsonFile) -> bool:
    """Return whether the object that comes next has a list of messages with Telegram's fields."""
    seen: set[str] = set()
    with suppress(ConfigError, msgspec.DecodeError, UnicodeDecodeError), json.rewinding():
        for key in json.members():
            if key == "messages" and json.kind() == "[":
                for _ in json.items():
                    fields = msgspec.json.decode(_without_nan(json.value()), type=dict[str, Any])
                    return bool(fields.keys() & {"peer_id", "to_id", "PeerID", "raw"})
                return "_" in seen
            seen.add(key)
            json.skip()
    return False


def _decode(raw: bytes) -> Message:
    """Return the message, converted if it is not in Telethon's way; raises BadEvent."""
    with decoding(raw, _without_nan):
        with suppress(msgspec.DecodeError):
            message = _message.decode(raw)
            if _is_plain(message):
                return message
        values = msgspec.json.decode(_without_nan(raw))
        if not isinstance(values, dict):
            return _message.decode(raw)
        if isinstance(values.get("raw"), dict):  # tdl
            values = values["raw"]
        return msgspec.convert(_converted(values, go="PeerID" in values), Message)


def _is_plain(message: Message) -> bool:
    """Return whether the message is in Telethon's way: with its chat, and no objects as dates."""
    dates = (message.date, message.edit_date, message.fwd_from and message.fwd_from.date)
    known = message.peer_id is not None or message.to_id is not None
    return known and not any(isinstance(each, dict) for each in dates)


def _without_nan(raw: bytes) -> bytes:
    """Return JSON with null for NaN and Infinity, which pandas writes."""
    return _NUMBERS.sub(lambda found: found[0] if found[0][:1] == b'"' else b"null", raw)


def _converted(value: Any, go: bool, name: str = "") -> Any:
    """Return a value with the names and types that Telethon writes."""
    match value:
        case {"$date": moment}:
            return _converted(moment, go)
        case {"$numberLong": text} | {"$numberInt": text} if str(text).lstrip("-").isdecimal():
            return int(text)
        case Mapping():
            named = {(_snake(key) if go else key): held for key, held in value.items()}
            result = {key: _converted(held, go, key) for key, held in named.items()}
            if go:
                kind = str(result.get("_") or "").removeprefix("TL_")
                result["_"] = f"{kind[:1].upper()}{kind[1:]}" or None
                if name == "media" and "webpage" in result:
                    result["_"] = "MessageMediaWebPage"
                result = {key: held for key, held in result.items() if key in _COUNTS or held}
                return result or None
            return result
        case list():
            return [_converted(each, go) for each in value]
        case float() if value.is_integer():
            return int(value)
    return value


def _snake(name: str) -> str:
    return _WORD.sub("_", name).lower()
