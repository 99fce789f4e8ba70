"""Adds events to the stream, or to several: many in one round trip, each at-least-once."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import orjson

from graphwriter import partitions
from graphwriter.backoff import Backoff
from graphwriter.errors import BadEvent, ConfigError, GraphwriterError, Unavailable
from graphwriter.events import PostParsedEventV1
from graphwriter.stream import info
from graphwriter.stream.client import Client, New, add
from graphwriter.stream.streams import clients
from graphwriter.stream.trim import oldest_needed, trim

log = logging.getLogger("graphwriter")
BUFFER_SIZE = 4 * 1024 * 1024  # bytes that are buffered, and at most one event more
TRIM_SHARE = 10  # the length is read after each tenth of `maxlen`
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 1.0  # seconds between attempts


class EventPublisher:
    """Publishes events to a stream. `publish` buffers, `flush` (or `with`) sends.

    With several streams all events of one chat go to one of them.

    Delivery is at-least-once: after a lost connection the events without a reply are sent again, so
    an event may be in the stream twice, and writing it twice changes nothing. Buffered events are
    lost if the process dies; they are in the stream when `flush` returns. Not thread-safe; from
    asyncio, `await asyncio.to_thread(publisher.publish_all, events)`.
    """

    def __init__(
        self,
        url: str,
        stream: str = "stream:posts:parsed",
        *,
        many: int = 500,
        patience: float = 30,
        maxlen: int | None = None,
    ) -> None:
        """Store the settings.

        Args:
            stream: as the setting GRAPH_WRITER_STREAM; use the same as the workers.
            many: most events of one round trip.
            patience: seconds to wait for a server that does not answer, before `Unavailable`.
            maxlen: number of entries above which those are removed that every consumer group has
                acknowledged; of several streams, in all of them together. All other entries stay,
                however long the stream gets; without a group nothing is removed. None never trims.
                It needs the permissions of an operator.

        Raises:
            ConfigError: the URL is invalid, or the names of streams, or a number is not positive.
        """
        for name, value in (("many", many), ("maxlen", maxlen)):
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}, expected at least 1")
        self._streams = partitions.names(stream)
        self._clients = clients(url, stream, retries=0)
        self._many, self._patience = many, patience
        self._waiting: list[New] = []
        self._bytes = 0
        self._maxlen, self._added = maxlen, 0  # since the length was read
        self.published = 0

    def publish(
        self, event: Mapping[str, Any] | PostParsedEventV1 | bytes | Mapping[bytes, bytes]
    ) -> None:
        """Buffer an event: a mapping or its JSON (form (a)), or the fields of an entry as bytes.

        Blocks when the buffer is full, see `flush`.

        Raises:
            BadEvent: it cannot be stored in an entry. The worker validates the event itself.
            Unavailable, ConfigError: as `flush`. The event was not buffered: publish it again.
        """
        fields = _fields(event)
        if len(self._waiting) >= self._many or self._bytes >= BUFFER_SIZE:
            self.flush()
        self._waiting.append((partitions.of(self._streams, fields), fields))
        self._bytes += sum(len(key) + len(value) for key, value in fields.items())

    def publish_all(self, events: Iterable[Any]) -> int:
        """Publish and flush `events`; return how many."""
        before = self.published
        for event in events:
            self.publish(event)
        self.flush()
        return self.published - before

    def flush(self) -> None:
        """Send the buffered events; they are in the stream when this returns.

        Raises:
            Unavailable: the server does not answer, or is full; the buffer is kept for the next
                call.
            ConfigError: the server denies access.
        """
        deadline = time.monotonic() + self._patience
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        told = False
        while self._waiting:
            try:
                self._send()
            except Unavailable as error:
                if time.monotonic() > deadline:
                    raise
                if not told:
                    log.warning("%s; trying again for %g s", error, self._patience)
                    told = True
                time.sleep(min(backoff.next(), max(0.0, deadline - time.monotonic())))
        if self._maxlen is not None and self._added * TRIM_SHARE >= self._maxlen:
            self._trim(self._maxlen)

    def _send(self) -> None:
        """Send the buffer in one round trip, and keep the events that the server refused.

        In a cluster it is one for each stream, and one that fails keeps no other from being sent.
        """
        failed: GraphwriterError | None = None
        kept: list[New] = []
        added = 0
        for client, streams in self._clients:
            own = self._waiting
            if len(self._clients) > 1:
                own = [one for one in own if one[0] in streams]
            refused, error = _tried(client, own) if own else ([], None)
            kept += refused
            added += len(own) - len(refused)
            failed = failed or error
        self.published += added
        self._added += added
        self._waiting = kept
        if failed is not None:
            raise failed
        self._bytes = 0

    def _trim(self, maxlen: int) -> None:
        streams = [(client, name) for client, names in self._clients for name in names]
        try:
            if sum(info.length(client, name) for client, name in streams) > maxlen:
                for client, name in streams:
                    if oldest := oldest_needed(client, name):
                        trim(client, name, oldest)
        except Unavailable:
            return  # the events are in the stream; the next flush tries again
        self._added = 0

    def close(self) -> None:
        """Close the connections without sending buffered events. Safe to call twice."""
        for client, _ in self._clients:
            client.close()

    def __enter__(self) -> EventPublisher:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if kind is None or (isinstance(kind, type) and not issubclass(kind, Unavailable)):
                self.flush()
        finally:
            self.close()


def _tried(client: Client, entries: list[New]) -> tuple[list[New], GraphwriterError | None]:
    try:
        return add(client, entries)
    except GraphwriterError as error:
        return entries, error


def _fields(event: Any) -> Mapping[Any, Any]:
    if isinstance(event, bytes):
        return {b"data": event}
    if isinstance(event, PostParsedEventV1):
        return {b"data": msgspec.json.encode(event)}
    if not isinstance(event, Mapping) or not event:
        raise BadEvent("wrong_type", f"an event is a mapping or JSON as bytes, not {event!r:.80}")
    if all(isinstance(key, bytes) for key in event):
        if not all(isinstance(value, bytes) for value in event.values()):
            raise BadEvent("wrong_type", "the fields of an entry are bytes, keys and values")
        return dict(event)
    try:
        return {b"data": orjson.dumps(event)}
    except (TypeError, RecursionError) as error:
        raise BadEvent("wrong_type", f"the event is not JSON: {error}") from None
