"""What the embedded servers have in common: a port, a child process, its log and its end.

The child reads a pipe that only this process holds. When the pipe closes, because of `stop()` or
because this process is gone, the child stops its server and leaves. A session of its own keeps
Ctrl-C in a terminal away from it.
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
_TAIL = 6  # lines of a log that are quoted when a start fails
_KILLED = 10.0  # seconds for the kernel to clear away a killed server


class Service(ABC):
    """One server on this machine, with its data in `data` and listening on `port` of 127.0.0.1.

    The constructor only stores. `start()` may be called again after `stop()` or `kill()`: same
    data, same port. Without a `port` the first `start()` picks the one that this data had the last
    time, so that clients find it again, or a free one.
    """

    name: ClassVar[str]
    patience: ClassVar[float]  # seconds a start may take
    grace: ClassVar[float]  # seconds a server gets to stop in good order

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
        """Start the child and block until the server answers, or until `deadline` (monotonic)."""

    @property
    def log(self) -> Path:
        """The file that takes whatever the server prints, over all starts."""
        return self.data / f"{self.name.lower()}.log"

    @property
    def running(self) -> bool:
        """Whether the server's process is there. Says nothing about whether it answers."""
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int:
        """The process id of the server itself. Raises Unavailable when it is not running."""
        if not self.running:
            raise Unavailable(f"{self.name} is not running: call start() first")
        return self._pid

    @property
    def address(self) -> str:
        """Return `127.0.0.1:port`. Raises Unavailable while there is no port."""
        if self.port is None:
            raise Unavailable(f"{self.name} has no port yet: call start() first")
        return f"{HOST}:{self.port}"

    def start(self) -> Self:
        """Start the server and block until it answers, for at most `patience` seconds.

        Does nothing when it is running.

        Raises:
            Unavailable: it did not come up, with the end of its log. Nothing is left running.
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
                f"{self.name} cannot listen on port {self.port}: another process does;"
                " stop that one or choose another port"
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
        """Stop the server in good order, killing it after `grace` seconds. Idempotent."""
        child, self._child = self._child, None
        if child is None:
            return
        _close(child)
        try:
            child.wait(self.grace + 1)
        except subprocess.TimeoutExpired:
            self._kill(child)

    def kill(self) -> None:
        """Kill the server at once, as a crash or the out-of-memory killer would. Idempotent."""
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
            # The server first, so that the child reaps it: where nothing else does, PostgreSQL
            # finds its old self among the dead and will not start again.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(1)
        if child.poll() is None:  # not reaped yet, so the group is still ours
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        deadline = time.monotonic() + _KILLED
        while self.port is not None and not can_bind(self.port) and time.monotonic() < deadline:
            time.sleep(0.02)

    def _spawn(self, order: dict[str, Any]) -> None:
        """Start child.py and hand it `order`.

        It runs with -P, because modules beside it are named like the packages it imports.
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
        with contextlib.suppress(BrokenPipeError):  # the child is gone: _report says so
            child.stdin.write(line)
            child.stdin.flush()

    def _report(self, deadline: float) -> None:
        """Block until the child says that it is under way; the line it writes is the pid."""
        child = self._child
        assert child is not None
        assert child.stdout is not None
        left = max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select([child.stdout], [], [], left)
        line = child.stdout.readline() if ready else b""
        if not line.strip().isdigit():
            if ready and child.wait(_KILLED) == IN_USE:
                raise NameTaken(
                    f"{self.name}'s data in {self.data} is in use by another server: stop that "
                    "one, or choose another directory (--data)"
                )
            raise self._failure("ended at once" if ready else "did not come up in time")
        self._pid = int(line)

    def _await(self, deadline: float, answers: Any) -> None:
        """Block until `answers()` is true. Raises Unavailable when the server ends or is late."""
        while not answers():
            if not self.running:
                raise self._failure("ended while it was starting")
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
    """Return whether nobody listens on this port of 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a port that nobody listens on, below the range that outgoing connections take.

    Inside that range a client that keeps trying a stopped server can end up connected to itself,
    and the server cannot have its port back.
    """
    chosen = random.SystemRandom()
    for _ in range(1000):
        port = chosen.randrange(20_000, 32_000)
        if can_bind(port):
            return port
    raise Unavailable("no free port from 20000 to 31999 on 127.0.0.1: close something")


def needs(module: str) -> ModuleType:
    """Import a package of the optional extra. Raises Unavailable naming how to install it."""
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
