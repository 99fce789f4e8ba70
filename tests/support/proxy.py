"""A proxy between a client and a real server that fails the way networks and servers do."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Self
from urllib.parse import urlsplit

import pytest

HOST = "127.0.0.1"
_LOOK = 0.05  # seconds between looks at the switches


class Proxy:
    """A TCP proxy in front of the server of `url`, reached by `url` of its own.

    Connections opened while `refuse` is set are closed at once, and those opened while `deaf` is
    set are accepted and never answered; `deaf` also holds back what open ones would carry, in both
    directions, until it is unset. `delay` is seconds added to every piece that the server sends.
    A stopped proxy refuses like a server that is down, and starts again on the same port.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self.server = (parts.hostname, parts.port)
        self.deaf = False
        self.refuse = False
        self.delay = 0.0
        self._parts = parts
        self._port = 0
        self._listener: socket.socket | None = None
        self._pairs: set[_Pair] = set()
        self._loss: tuple[str, Callable[[bytes], bool], bool] | None = None
        self._dropped = threading.Event()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """The server's URL with the proxy's address in it."""
        account, at, _ = self._parts.netloc.rpartition("@")
        return self._parts._replace(netloc=f"{account}{at}{HOST}:{self._port}").geturl()

    @property
    def connections(self) -> int:
        """How many connections are open through the proxy."""
        with self._lock:
            return len(self._pairs)

    def start(self) -> Self:
        """Listen, on the same port as before if there was one."""
        if self._listener is None:
            self._listener = socket.create_server((HOST, self._port), backlog=64)
            self._port = self._listener.getsockname()[1]
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Close the port and every connection. Idempotent."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            listener.close()
        self.cut()

    def cut(self) -> int:
        """Close every connection, in the midst of whatever it carries. Returns how many."""
        with self._lock:
            pairs = list(self._pairs)
            self._pairs.clear()
        for pair in pairs:
            pair.close()
        return len(pairs)

    def drop_next_reply(
        self, when: Callable[[bytes], bool] = lambda _: True, *, half: bool = False
    ) -> threading.Event:
        """Let the server work and the client never know: lose one reply and cut its connection.

        The reply is the next piece from the server, on any connection, that `when` is true of;
        with `half` the client gets the first half of it. The event that is returned is set once it
        happened.
        """
        return self._arm("reply", when, half)

    def drop_next_request(
        self, when: Callable[[bytes], bool] = lambda _: True, *, half: bool = False
    ) -> threading.Event:
        """Lose a request as `drop_next_reply` a reply: the server hears nothing, or half of it."""
        return self._arm("request", when, half)

    def _arm(self, kind: str, when: Callable[[bytes], bool], half: bool) -> threading.Event:
        self._dropped = threading.Event()
        with self._lock:
            self._loss = (kind, when, half)
        return self._dropped

    def drop_nothing(self) -> None:
        """Lose none after all, if none was lost yet."""
        with self._lock:
            self._loss = None

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return  # stopped
            if self.refuse:
                client.close()
                continue
            pair = _Pair(self, client)
            with self._lock:
                self._pairs.add(pair)
            threading.Thread(target=pair.run, daemon=True).start()

    def _kept(self, kind: str, piece: bytes) -> bytes | None:
        """Return what is left of a piece that is lost, None for one that is not."""
        with self._lock:
            if self._loss is None or self._loss[0] != kind or not self._loss[1](piece):
                return None
            half, self._loss = self._loss[2], None
        return piece[: len(piece) // 2] if half else b""

    def _forget(self, pair: _Pair) -> None:
        with self._lock:
            self._pairs.discard(pair)


class _Pair:
    """One connection of a client and the one to the server behind it."""

    def __init__(self, proxy: Proxy, client: socket.socket) -> None:
        self.proxy = proxy
        self.client = client
        self.server: socket.socket | None = None
        self._closed = threading.Event()

    def run(self) -> None:
        """Carry bytes both ways until a side closes."""
        with contextlib.suppress(OSError, ValueError):
            while self.proxy.deaf and not self._closed.is_set():
                time.sleep(_LOOK)
            if not self._closed.is_set():
                self.server = socket.create_connection(self.proxy.server, 10)
                self.server.settimeout(10)
                self.client.settimeout(10)
                while not self._closed.is_set():
                    if not self._carry(self.server):
                        break
        self.close()
        self.proxy._forget(self)  # noqa: SLF001 - two halves of one thing

    def _carry(self, server: socket.socket) -> bool:
        ready, _, _ = select.select([self.client, server], [], [], _LOOK)
        if self.proxy.deaf:
            time.sleep(_LOOK)
            return True
        for side in ready:
            piece = side.recv(65536)
            if not piece:
                return False
            kind, other = "reply", self.client
            if side is self.client:
                kind, other = "request", server
            elif self.proxy.delay:
                time.sleep(self.proxy.delay)
            kept = self.proxy._kept(kind, piece)  # noqa: SLF001 - two halves of one thing
            if kept is not None:
                other.sendall(kept)
                self.proxy._dropped.set()  # noqa: SLF001
                return False
            other.sendall(piece)
        return True

    def close(self) -> None:
        """Close both sides at once; what they had not sent yet is lost."""
        self._closed.set()
        for side in (self.client, self.server):
            if side is not None:
                with contextlib.suppress(OSError):
                    side.shutdown(socket.SHUT_RDWR)
                side.close()


def carry(source: socket.socket, sink: socket.socket) -> None:
    """Carry bytes one way until either side closes, and close both."""
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
    for side in (source, sink):
        side.close()


@pytest.fixture
def proxy() -> Iterator[Callable[[str], Proxy]]:
    """Make proxies: `proxy(url)` is one that has started. All are stopped after the test."""
    made: list[Proxy] = []

    def make(url: str) -> Proxy:
        made.append(Proxy(url).start())
        return made[-1]

    yield make
    for each in made:
        each.stop()
