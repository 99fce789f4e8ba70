"""What a process knows of its machine: its supervisor, systemd, other processes, its interpreter.

A process is identified by its id and its start time, since ids are used again.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

SWITCH_INTERVAL = 0.0005  # seconds that one thread may keep the other waiting
GONE = 0  # no process has this id


def tune() -> None:
    """Tune memory, the garbage collector and thread switching, at the end of a process's start."""
    # Imported here with the driver, which `status` and others do not need.
    from graphwriter.graph.client import release_packer_tables

    release_packer_tables()
    # Batches are freed by reference counts; what is alive now stays alive until the exit.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)
    # With Python's 5 ms each answer of Neo4j would wait while the next batch is decoded.
    sys.setswitchinterval(SWITCH_INTERVAL)


class StopSignals:
    """Handles SIGINT, SIGTERM and SIGHUP inside `with`: counts them in `received`, calls `stop`.

    SIGHUP, which a closed terminal sends, stays ignored if it is, as under `nohup`.

    `stop` runs inside the signal handler: it may set a flag, raise an exception or end the process.
    With `second_kills` a second signal of the same kind has its default action. The earlier
    handlers are restored at the end.
    """

    def __init__(
        self, stop: Callable[[], object] = lambda: None, *, second_kills: bool = False
    ) -> None:
        self.received = 0
        self._stop, self._second_kills = stop, second_kills
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in stop_signals():
            self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, _frame: object) -> None:
        self.received += 1
        if self._second_kills:
            signal.signal(number, signal.SIG_DFL)
        self._stop()


def stop_signals() -> tuple[signal.Signals, ...]:
    """Return the signals that end a process in order; SIGHUP unless it is ignored."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return signal.SIGINT, signal.SIGTERM
    return signal.SIGINT, signal.SIGTERM, signal.SIGHUP


def born(pid: int) -> str | None:
    """Return when process `pid` was started, in the system's own format; None: no such process.

    A process that has exited and was not waited for by its parent does not count.
    """
    if not Path("/proc/self/stat").exists():
        return from_ps(pid)
    try:
        words = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if words[0] in (b"Z", b"X") else words[19].decode()


def from_ps(pid: int) -> str | None:
    """Return what `born` returns, on a machine without /proc, such as a Mac."""
    try:
        done = subprocess.run(
            ["/bin/ps", "-o", "state=", "-o", "lstart=", "-p", str(pid)],
            env={"LC_ALL": "C", "TZ": "UTC"},
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    condition, _, start = done.stdout.strip().partition(" ")
    return None if condition[:1] in ("", "Z") else start.strip()


def supervisor(environ: Mapping[str, str]) -> int | None:
    """Return the process id of the supervisord that started this process; None: none did.

    GONE if it was killed while this process started: the parent is then the reaper of orphans.
    """
    if "SUPERVISOR_ENABLED" not in environ:
        return None
    parent = os.getppid()
    scheme, _, path = environ.get("SUPERVISOR_SERVER_URL", "").partition("://")
    if scheme == "unix":
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(1.0)
            try:
                connection.connect(path)
            except (ConnectionRefusedError, FileNotFoundError):
                # A cleaner may have deleted the socket: a living parent counts more.
                return parent if _is_supervisord(parent) else GONE
            except OSError:
                pass  # it runs, and is busy
    return parent


def _is_supervisord(pid: int) -> bool:
    try:
        return b"supervisor" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False  # without /proc it is not known


def notify_systemd(**assignments: object) -> None:
    """Send assignments such as READY=1 to systemd (see sd_notify(3)), if it started this process.

    Neither blocks nor raises: a lost notification is followed by another.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    text = "\n".join(f"{name}={value}" for name, value in assignments.items())
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notification:
        notification.setblocking(False)
        notification.sendto(text.encode(), address.replace("@", "\0", 1))
