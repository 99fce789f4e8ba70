"""Waits for new entries in streams on several nodes.

XREAD delivers nothing to anybody, so an alarm that is lost or rings for nothing does no harm: the
entries are read by XREADGROUP. Without alarms a reader would have to ask every node again and
again, or wait at one node while entries come to another.
"""

from __future__ import annotations

import logging
import selectors
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from redis.exceptions import NoPermissionError, RedisError

from graphwriter.stream.client import Client

log = logging.getLogger("graphwriter")
PAUSE = 0.05  # seconds until a stream is read again whose alarm cannot be set
MARGIN = 5.0  # seconds beyond its time after which an alarm is given up


class _Set(NamedTuple):
    connection: Any  # waits for the reply to XREAD
    end: float  # monotonic seconds at which the reply is overdue


class Alarm:
    """Rings for streams that may have new entries. Not thread-safe.

    Each stream rings at first, and after every `seconds` at least. `arm` stops it until there is an
    entry after an id. Raises nothing: who reads then meets the server's error.
    """

    def __init__(self, seconds: float, clients: Mapping[str, Client]) -> None:
        self._seconds, self._clients = seconds, clients
        self._set: dict[str, _Set] = {}
        self._quiet: dict[str, float] = {}  # until when a stream without an alarm does not ring
        self._warned = False

    def arm(self, name: str, after: bytes) -> None:
        """Let the stream be silent until it has an entry after this id, or the time is over."""
        pool: Any = self._clients[name].connection_pool
        now = time.monotonic()
        connection = None
        try:
            connection = pool.get_connection()
            milliseconds = max(1, int(self._seconds * 1000))
            connection.send_command(
                "XREAD", "COUNT", 1, "BLOCK", milliseconds, "STREAMS", name, after
            )
            self._set[name] = _Set(connection, now + self._seconds + MARGIN)
        except (RedisError, OSError) as error:
            self._failed(name, error)
            if connection is not None:
                self._release(name, connection, broken=True)

    def rung(self, seconds: float) -> set[str]:
        """Return the streams that ring; waits up to `seconds` for the first one."""
        self._receive(0.0)
        if not (names := self._ringing()) and seconds > 0:
            now = time.monotonic()
            self._receive(min([seconds, *(end - now for end in self._quiet.values() if end > now)]))
            names = self._ringing()
        return names

    def close(self) -> None:
        """Give the connections back, closed. Safe to call twice."""
        while self._set:
            name, one = self._set.popitem()
            self._release(name, one.connection, broken=True)

    def _ringing(self) -> set[str]:
        now = time.monotonic()
        return {
            name
            for name in self._clients
            if name not in self._set and self._quiet.get(name, 0.0) <= now
        }

    def _receive(self, seconds: float) -> None:
        """Take the replies that are there, waiting up to `seconds` for the first one."""
        with selectors.DefaultSelector() as selector:
            for name, one in [*self._set.items()]:
                socket = one.connection._sock  # noqa: SLF001 - nothing else can wait for several
                if socket is None or time.monotonic() > one.end:
                    self._release(name, self._set.pop(name).connection, broken=True)
                    seconds = 0.0
                else:
                    selector.register(socket, selectors.EVENT_READ, name)
            if not self._set:
                time.sleep(max(0.0, seconds))
                return
            for key, _ in selector.select(max(0.0, seconds)):
                self._answered(key.data)

    def _answered(self, name: str) -> None:
        connection = self._set.pop(name).connection
        try:
            connection.read_response()
        except (RedisError, OSError) as error:
            self._failed(name, error)
            self._release(name, connection, broken=True)
        else:
            self._release(name, connection, broken=False)

    def _failed(self, name: str, error: Exception) -> None:
        self._quiet[name] = time.monotonic() + PAUSE
        if isinstance(error, NoPermissionError) and not self._warned:
            log.warning(
                "%s is read every %g s, since our user may not XREAD: %s", name, PAUSE, error
            )
            self._warned = True

    def _release(self, name: str, connection: Any, *, broken: bool) -> None:
        with suppress(RedisError, OSError):
            if broken:
                connection.disconnect()
            self._clients[name].connection_pool.release(connection)
