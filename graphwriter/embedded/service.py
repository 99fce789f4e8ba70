"""The common part of the embedded servers: port, child process, log, start and stop.

The child reads a pipe that only this process has open. When the pipe is closed, by `stop()` or
because this process has exited, the child stops its server and exits. It runs in its own session,
so that Ctrl-C in a terminal does not reach it.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar, Self

from graphwriter.embedded.child import IN_USE
from graphwriter.errors import NameTaken, Unavailable

if TYPE_CHECKING:
    from types import ModuleType, TracebackType

HOST = "127.0.0.1"
_TAIL = 6  # lines of the log that are shown if a start fails
_KILLED = 10.0  # seconds until a killed server's port is free


class Service(ABC):
    """One server on this machine, with its data in `data` and listening on `port` of 127.0.0.1.

    The constructor only stores its arguments. `start()` may be called again after `stop()` or
    `kill()`, with the same data and port. Without a `port`, the first `start()` takes the port that
    this data was last served on, if it is free, so that clients find it again.
    """

    name: ClassVar[str]
    patience: ClassVar[float]  # longest time of a start, in seconds
    grace: ClassVar[float]  # seconds for a clean stop, before it is killed

    def __init__(self, *, data: Path, port: int | None = None) -> None:
        self.data = data
        self.port = port
        self._child: subprocess.Popen[bytes] | None = None
        self._pid = 0

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients connect. Raises Unavailable before the first start without a port."""

    @abstractmethod
    def _launch(self, deadline: float) -> None:
        """Start the child, and block until the server answers, or until `deadline` (monotonic)."""

    @property
    def log(self) -> Path:
        """The file with the server's output of all starts."""
        return self.data / f"{self.name.lower()}.log"

    @property
    def running(self) -> bool:
        """Whether the server's process is running, not whether it answers."""
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int:
        """The process id of the server itself. Raises Unavailable if it is not running."""
        if not self.running:
            raise Unavailable(f"{self.name} is not running: call start() first")
        return self._pid

    @property
    def address(self) -> str:
        """Return `127.0.0.1:port`. Raises Unavailable before there is a port."""
        if self.port is None:
            raise Unavailable(f"{self.name} has no port yet: call start() first")
        return f"{HOST}:{self.port}"

    def start(self) -> Self:
        """Start the server and block until it answers, for at most `patience` seconds.

        Does nothing if it is running.

        Raises:
            Unavailable: it did not start, with the end of its log. No process is left.
            NameTaken: another server uses this data.
        """
        if self.running:
            return self
        self.stop()
        self.data = self.data.absolute()
        self.data.mkdir(parents=True, exist_ok=True)
        if self.port is None:
            self.port = self._last_port() or free_port()
        elif not can_bind(self.port):
            raise Unavailable(
                f"{self.name} cannot listen on port {self.port}: another process uses it;"
                " stop that process, or choose another port"
            )
        try:
            self._launch(time.monotonic() + self.patience)
            self._port_file.write_text(f"{self.port}\n", encoding="utf-8")
        except BaseException:
            self.kill()
            raise
        return self

    @property
    def _port_file(self) -> Path:
        return self.data / "port"

    def _last_port(self) -> int | None:
        """Return the port that this data was last served on, if it is free."""
        try:
            port = int(self._port_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return port if 0 < port < 65536 and can_bind(port) else None

    def stop(self) -> None:
        """Stop the server cleanly; kill it after `grace` seconds. Idempotent."""
        child, self._child = self._child, None
        if child is None:
            return
        _close(child)
        try:
            child.wait(self.grace + 1)
        except subprocess.TimeoutExpired:
            self._kill(child)

    def kill(self) -> None:
        """Kill the server immediately, as the out-of-memory killer would. Idempotent."""
        child, self._child = self._child, None
        if child is not None:
            self._kill(child)
            _close(child)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _kill(self, child: subprocess.Popen[bytes]) -> None:
        if self._pid and child.poll() is None:
            # The server first, so that the child reaps it: while its zombie exists, PostgreSQL
            # does not start again.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(1)
        if child.poll() is None:  # not reaped yet, so the group id is not reused
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        deadline = time.monotonic() + _KILLED
        while self.port is not None and not can_bind(self.port) and time.monotonic() < deadline:
            time.sleep(0.02)

    def _spawn(self, order: dict[str, Any]) -> None:
        """Start child.py and send it `order`.

        With -P, because files beside it have the names of packages that it imports.
        """
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-P", str(Path(__file__).with_name("child.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._child, self._pid = child, 0
        assert child.stdin is not None
        common = {"parent": os.getpid(), "lock": str(self.data / "lock"), "grace": self.grace}
        line = json.dumps({**common, **order}).encode() + b"\n"
        with contextlib.suppress(BrokenPipeError):  # the child has exited: _report raises
            child.stdin.write(line)
            child.stdin.flush()

    def _report(self, deadline: float) -> None:
        """Block until the child writes a line with the server's pid."""
        child = self._child
        assert child is not None
        assert child.stdout is not None
        left = max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select([child.stdout], [], [], left)
        line = child.stdout.readline() if ready else b""
        if not line.strip().isdigit():
            if ready and child.wait(_KILLED) == IN_USE:
                raise NameTaken(
                    f"{self.name}'s data in {self.data} is in use by another server: stop it, "
                    "or choose another directory (--data)"
                )
            raise self._failure("exited immediately" if ready else "did not start in time")
        self._pid = int(line)

    def _await(self, deadline: float, answers: Any) -> None:
        """Block until `answers()` is true. Raises Unavailable if the server exits or is late."""
        while not answers():
            if not self.running:
                raise self._failure("exited during its start")
            if time.monotonic() > deadline:
                raise self._failure("did not answer in time")
            time.sleep(0.02)

    def _failure(self, what: str) -> Unavailable:
        return Unavailable(f"{self.name} {what}; {self.log} ends with: {tail(self.log)}")


def _close(child: subprocess.Popen[bytes]) -> None:
    pipes: tuple[IO[bytes] | None, ...] = (child.stdin, child.stdout)
    for pipe in pipes:
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def tail(log: Path) -> str:
    """Return the last lines of `log` as one line."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return "(nothing)"
    return " | ".join([line.strip() for line in lines if line.strip()][-_TAIL:]) or "(nothing)"


def can_bind(port: int) -> bool:
    """Return whether this port of 127.0.0.1 is free."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a free port below the range of outgoing connections.

    Inside that range, a client that retries a stopped server can connect to itself, and then the
    server cannot use its port again.
    """
    chosen = random.SystemRandom()
    for _ in range(1000):
        port = chosen.randrange(20_000, 32_000)
        if can_bind(port):
            return port
    raise Unavailable("no free port from 20000 to 31999 on 127.0.0.1: stop other programs")


def needs(module: str) -> ModuleType:
    """Import a package of the optional extra. Raises Unavailable, with how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Unavailable(f"{error}: pip install 'graphwriter[embedded]'") from None


def package(name: str) -> Path:
    """Return the folder of a package of the optional extra without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable(f"No module named {name!r}: pip install 'graphwriter[embedded]'")
    return Path(spec.submodule_search_locations[0])
