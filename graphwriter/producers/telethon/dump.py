"""A file of Telethon messages, as `to_dict` and `to_json` write them, as events.

The file is a JSON array of messages in any order, or several arrays, or messages one after another,
as scripts write that append to a file. It is read message by message, in constant memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from graphwriter.errors import BadEvent, ConfigError
from graphwriter.producers.jsonfile import JsonFile, Rejected, decoding, opened, raised
from graphwriter.producers.telethon.message import Message, event_of

_OTHER = (
    "a Telegram Desktop export goes through `graphwriter import desktop`, events, one a line, "
    "through `graphwriter publish`"
)
_NO_DUMP = "not a dump of Telethon messages (a JSON array of them)"

_message = msgspec.json.Decoder(Message)


def events(
    path: Path,
    *,
    tenant: str = "telethon",
    rejected: Rejected | None = None,
    counts: Counter[str] | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield an event of form (a) for each post of the dump at `path`, ready to be JSON.

    Service and empty messages are not posts: they are counted and left out. The same dump always
    gives the same events.

    Args:
        rejected: called with the place (file, byte, array, position in it) and the error of each
            message that cannot be converted; the rest is read. None raises the first error.
        counts: counts `chats`, `arrays`, `events`, `service`, `empty` and `rejected`.

    Raises:
        ConfigError: the file is not a dump, or it cannot be read, or it is truncated: then
            everything before that has been yielded.
        BadEvent: only without `rejected`.
    """
    dump = _Dump(tenant, rejected or raised, Counter() if counts is None else counts)
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

    def __init__(self, tenant: str, rejected: Rejected, counts: Counter[str]) -> None:
        self.read = False
        self._tenant, self._rejected, self._counts = tenant, rejected, counts
        self._chats: set[int] = set()

    def events(self, json: JsonFile) -> Iterator[dict[str, Any]]:
        """Yield the events of all messages in `json`."""
        loose = 0
        while kind := json.kind():
            if kind == "[":
                self._counts["arrays"] += 1
                for number, _ in enumerate(json.items(), 1):
                    yield from self._event(json, f"array {self._counts['arrays']}, item {number}")
            else:
                loose += 1
                yield from self._event(json, f"message {loose}")

    def _event(self, json: JsonFile, number: str) -> Iterator[dict[str, Any]]:
        place = f"{json.place} ({number})"
        raw = json.value()
        try:
            with decoding(raw):
                message = _message.decode(raw)
            event = event_of(message, self._tenant)
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
        yield event
