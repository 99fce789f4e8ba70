"""Telegram Desktop's export, `result.json`, as events.

Both shapes are read: one chat, and a whole account with its chats and left chats. An export may
have several gigabytes, so it is never decoded whole: `JsonFile` cuts it into messages, and msgspec
decodes each alone, about 60 MB a second. A general streaming parser was tried and put aside for
what Desktop really writes: some versions escape control characters as `\\x01` and leave
`document_id` without quotes (telegramdesktop/tdesktop 27571, 24961). That is no JSON and would end
the file there. Both are mended here; whatever else is wrong with a message costs that message only.

One pass is enough for forum topics. A topic is a service message `topic_created`, its id is the
topic's id, and exports run by rising id, so the root has come before anything in the topic. A plain
post in a topic looks like a reply to the root; it is told apart by the roots seen so far. A root
that the export leaves out (a chosen span of time) cannot be known, and counts as replied to.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from graphwriter.errors import BadEvent, ConfigError
from graphwriter.events.wire import plain, shown
from graphwriter.producers.desktopchat import Chat, Message
from graphwriter.producers.jsonfile import JsonFile, Rejected, decoding, opened, raised

_ESCAPE = re.compile(rb"\\(?:x(?=[0-9A-Fa-f]{2})|(.))", re.DOTALL)
_DOCUMENT_ID = re.compile(rb'("document_id":\s*)[^"\s][^\n]*')

_OTHER = (
    "a Telethon dump goes through `graphwriter import telethon`, events, one a line, through "
    "`graphwriter publish`"
)

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

    Every event speaks for its forward, its reply and its author, so that importing a newer export
    also clears what is gone. Service messages are no posts, nor are those of a kind that Desktop
    could not export: both are counted and left out. The same export gives the same events again.

    Args:
        path: `result.json`, or the directory that holds it.
        occurred_at: when the export was made, if that is to decide what is newer: reactions change
            without a time of their own. None: when each message was last edited, else posted.
            Times without a zone are taken as UTC, also the local `date` of exports that have no
            `date_unixtime`.
        rejected: called with the place (file and byte) and the error of each message, or chat, that
            cannot be an event; the rest goes on. None raises the first one.
        counts: is kept up to date with `chats`, `events`, `service`, `unsupported`, `rejected`.

    Raises:
        ConfigError: this is no export, or it cannot be read on, or it is cut off: then everything
            before the cut has been yielded.
        BadEvent: only without `rejected`.
    """
    path = path / "result.json" if path.is_dir() else path
    export = _Export(tenant, occurred_at, rejected or raised, counts)
    with opened(path) as json:
        if json.kind() != "{":
            raise ConfigError(
                f"{path} is {f'no Telegram export; {_OTHER}' if json.kind() else 'empty'}"
            )
        yield from export.chat(json)
        if not export.found:
            raise ConfigError(
                f"{path} is no Telegram export with chats: it has no messages; {_OTHER}"
            )
        if json.kind():
            raise json.error("something follows the end of the export")


class _Export:
    """A walk through an export; `found` once there was a list of messages or of chats."""

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
                    error = BadEvent("wrong_type", f"a chat begins with {json.kind()!r}, not {{")
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
            raise BadEvent("wrong_type", f"type is {shown(message.type)}, no kind of message")
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
            raise BadEvent("missing_field", f"{field} of the chat is not there before its messages")
    try:
        kind = msgspec.json.decode(head["type"], type=str | None)
        bare = msgspec.json.decode(head["id"], type=int)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadEvent("wrong_type", f"type or id of the chat: {plain(error)}") from None
    if not 0 < bare <= 10**18:
        raise BadEvent("wrong_type", f"id of the chat is {bare}, expected a bare positive id")
    return Chat(kind, bare)


def _decode(raw: bytes) -> Message:
    with decoding(raw, _mended):
        try:
            return _message.decode(raw)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            return _message.decode(_mended(raw))


def _mended(raw: bytes) -> bytes:
    """Return JSON of what Desktop wrote, where it is wrong in one of its known ways."""
    # An escaped backslash is matched as a pair, so its second half never begins an escape.
    raw = _ESCAPE.sub(lambda m: m[0] if m[1] else rb"\u00", raw)
    return _DOCUMENT_ID.sub(rb"\1null", raw)
