"""Telegram Desktop's export, `result.json`, as events.

Both layouts are supported: one chat, and a whole account with its chats and left chats. An export
may have several gigabytes, so it is never decoded as a whole: `JsonFile` splits it into messages,
and msgspec decodes each of them, about 60 MB/s. A general streaming parser does not work: some
versions of Desktop write invalid JSON (see `desktop_chat`, which reads one chat).

An export does not contain usernames (so no `telegram_post_url`), views, the date of a forward, and
the id of the forwarded post, which some other exporters add as `forwarded_from_message_id`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from graphwriter.errors import BadEvent, ConfigError
from graphwriter.events.telegram import unmarked
from graphwriter.events.wire import shown, unquoted
from graphwriter.producers import foreign
from graphwriter.producers.desktop_chat import KINDS, OLD_CHAT, OLD_USER, Bare, Chat, decode
from graphwriter.producers.identity import lacks_account
from graphwriter.producers.jsonfile import JsonFile, Rejected, opened, raised
from graphwriter.text import counted

_OTHER = (
    "a Telethon dump goes through `graphwriter import telethon`, events, one a line, through "
    "`graphwriter publish`"
)

_PERSON = "personal_information"
TDL = (
    ", so its id has no kind: a file of tdl has none; export with `tdl chat export --raw` and use "
    "`graphwriter import telethon`"
)


class _Person(msgspec.Struct):
    user_id: Bare | None = None


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
        message = decode(raw)
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
    elif bare > OLD_USER and _is_old(json):
        shift = OLD_USER if KINDS.get(kind or "") == "user" else OLD_CHAT
        bare = bare - shift if bare > shift else bare
    return Chat(kind, bare, account)


def _is_old(json: JsonFile) -> bool:
    """Return whether the first message with a date says that ids contain their kind."""
    with json.rewinding():
        for _ in json.items():
            with suppress(BadEvent):
                message = decode(json.value())
                if message.date is not None or message.date_unixtime is not None:
                    return message.old
    return False
