"""Adds events to the stream: many in one round trip, each at least once."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from graphwriter.errors import Unavailable
from graphwriter.stream.client import Client, connect, translated

BUFFER = 4 * 1024 * 1024  # bytes held back at most, whatever the events' sizes


class EventPublisher:
    """Publishes events to a stream. `publish` buffers, `flush` (or `with`) sends.

    After a lost connection the buffer is sent again, so an event may be in the stream twice, which
    the graph does not notice. It never trims: what nobody has read yet would be lost.
    """

    def __init__(
        self,
        url: str,
        stream: str = "stream:posts:parsed",
        *,
        many: int = 500,
        patience: float = 30,
    ) -> None:
        """Store the settings.

        Args:
            many: events in one round trip, at most.
            patience: seconds that an unreachable server is waited for before `Unavailable`.
        """
        self._client: Client = connect(url, stream, retries=0)
        self._stream, self._many, self._patience = stream, many, patience
        self._waiting: list[Mapping[Any, Any]] = []
        self._bytes = 0
        self.published = 0

    def publish(self, event: Mapping[str, Any] | bytes | Mapping[bytes, bytes]) -> None:
        """Take an event: a mapping or its JSON text (form (a)), or an entry's fields as bytes.

        Blocks when the buffer is full, see `flush`.
        """
        fields: Mapping[Any, Any]
        if isinstance(event, bytes):
            fields = {b"data": event}
        elif event and all(isinstance(key, bytes) for key in event):
            fields = event
        else:
            fields = {b"data": orjson.dumps(event)}
        self._waiting.append(fields)
        self._bytes += sum(len(value) for value in fields.values())
        if len(self._waiting) >= self._many or self._bytes >= BUFFER:
            self.flush()

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
            pipe = self._client.pipeline(transaction=False)
            for fields in self._waiting:
                pipe.xadd(self._stream, fields)  # type: ignore[arg-type]
            try:
                with translated(self._client):
                    pipe.execute()
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
            else:
                self.published += len(self._waiting)
                self._waiting, self._bytes = [], 0

    def close(self) -> None:
        """Close the connection without sending what is buffered. Safe to call twice."""
        self._client.close()

    def __enter__(self) -> EventPublisher:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if kind is None or (isinstance(kind, type) and not issubclass(kind, Unavailable)):
                self.flush()
        finally:
            self.close()
