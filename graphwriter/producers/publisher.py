"""Adds events to the stream: many in one round trip, each at least once."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import orjson

from graphwriter.errors import BadEvent, ConfigError, Unavailable
from graphwriter.events.wire import PostParsedEventV1
from graphwriter.stream.client import Client, connect, translated
from graphwriter.stream.consumer import Stream

BUFFER = 4 * 1024 * 1024  # bytes held back at most, and one event above
TRIM_EVERY = 10  # parts of `maxlen`: how much is added between two looks at the length


class EventPublisher:
    """Publishes events to a stream. `publish` buffers, `flush` (or `with`) sends.

    Each event is added at least once: after a lost connection those whose answer did not come are
    sent again, so one may be in the stream twice, which the graph does not notice. What is buffered
    is lost with the process; what `flush` returned for is in the stream. For one thread at a time;
    from asyncio, `await asyncio.to_thread(publisher.publish_all, events)`.
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
            many: events in one round trip, at most.
            patience: seconds that an unreachable server is waited for before `Unavailable`.
            maxlen: entries above which those go that every consumer group has acknowledged. What
                some group has not acknowledged stays, however long the stream gets; without a
                group all stays. None never trims. The user needs an operator's rights for it.

        Raises:
            ConfigError: the URL is none, or a number is not positive.
        """
        for name, value in (("many", many), ("maxlen", maxlen)):
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}, expected at least 1")
        self._client: Client = connect(url, stream, retries=0)
        self._stream, self._many, self._patience = stream, many, patience
        self._waiting: list[Mapping[Any, Any]] = []
        self._bytes = 0
        self._maxlen, self._added = maxlen, 0  # since the last look at the length
        self._trimmer = None if maxlen is None else Stream(url, stream, "", "")
        self.published = 0

    def publish(
        self, event: Mapping[str, Any] | PostParsedEventV1 | bytes | Mapping[bytes, bytes]
    ) -> None:
        """Take an event: a mapping or its JSON text (form (a)), or an entry's fields as bytes.

        Blocks when the buffer is full, see `flush`.

        Raises:
            BadEvent: it cannot be put into an entry. Whether it is a good event is not looked at:
                a worker does that.
            Unavailable, ConfigError: as `flush`. The event was not taken: give it again.
        """
        fields = _fields(event)
        if len(self._waiting) >= self._many or self._bytes >= BUFFER:
            self.flush()
        self._waiting.append(fields)
        self._bytes += sum(len(key) + len(value) for key, value in fields.items())

    def publish_all(self, events: Iterable[Any]) -> int:
        """Publish and flush `events`; return how many."""
        before = self.published
        for event in events:
            self.publish(event)
        self.flush()
        return self.published - before

    def flush(self) -> None:
        """Send what is buffered; it is in the stream when this returns.

        Raises:
            Unavailable: the server stayed away, or is full; the buffer is kept for another try.
            ConfigError: the server refuses us.
        """
        deadline = time.monotonic() + self._patience
        while self._waiting:
            try:
                self._send()
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(random.uniform(0.1, 0.3))  # noqa: S311 - jitter
        if self._maxlen is not None and self._added * TRIM_EVERY >= self._maxlen:
            self._trim(self._maxlen)

    def _send(self) -> None:
        """Send the buffer in one round trip, and keep of it what the server did not take."""
        pipe = self._client.pipeline(transaction=False)
        for fields in self._waiting:
            pipe.xadd(self._stream, fields)  # type: ignore[arg-type]
        with translated(self._client):
            answers = pipe.execute(raise_on_error=False)
            refused = [answer for answer in answers if isinstance(answer, Exception)]
            self.published += len(answers) - len(refused)
            self._added += len(answers) - len(refused)
            self._waiting = [
                fields
                for fields, answer in zip(self._waiting, answers, strict=True)
                if isinstance(answer, Exception)
            ]
            if refused:
                raise refused[0]
        self._bytes = 0

    def _trim(self, maxlen: int) -> None:
        assert self._trimmer is not None
        try:
            if self._trimmer.length() > maxlen and (oldest := self._trimmer.oldest_needed()):
                self._trimmer.trim(oldest)
        except Unavailable:
            return  # the events are in the stream; the next flush looks again
        self._added = 0

    def close(self) -> None:
        """Close the connection without sending what is buffered. Safe to call twice."""
        self._client.close()
        if self._trimmer is not None:
            self._trimmer.close()

    def __enter__(self) -> EventPublisher:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if kind is None or (isinstance(kind, type) and not issubclass(kind, Unavailable)):
                self.flush()
        finally:
            self.close()


def _fields(event: Any) -> Mapping[Any, Any]:
    if isinstance(event, bytes):
        return {b"data": event}
    if isinstance(event, PostParsedEventV1):
        return {b"data": msgspec.json.encode(event)}
    if not isinstance(event, Mapping) or not event:
        raise BadEvent("wrong_type", f"an event is a mapping or JSON as bytes, not {event!r:.80}")
    if all(isinstance(key, bytes) for key in event):
        if not all(isinstance(value, bytes) for value in event.values()):
            raise BadEvent("wrong_type", "an entry's fields are bytes, keys and values")
        return dict(event)
    try:
        return {b"data": orjson.dumps(event)}
    except (TypeError, RecursionError) as error:
        raise BadEvent("wrong_type", f"the event is no JSON: {error}") from None
