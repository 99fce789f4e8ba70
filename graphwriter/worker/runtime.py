"""Processes of this machine, each told from a later one that got its number."""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from graphwriter.graph import memory

SWITCH = 0.0005  # seconds that one thread may keep the other waiting
GONE = 0  # no process has this number


def born(pid: int) -> str | None:
    """Return when process `pid` was started, in the machine's own words; None: it is not there.

    One that has ended, and whose parent has not asked for its exit code, is not there either.
    """
    if not Path("/proc/self/stat").exists():
        return from_ps(pid)
    try:
        words = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if words[0] in (b"Z", b"X") else words[19].decode()


def from_ps(pid: int) -> str | None:
    """Return what `born` does, on a machine without /proc, such as a Mac."""
    try:
        said = subprocess.run(
            ["/bin/ps", "-o", "state=", "-o", "lstart=", "-p", str(pid)],
            env={"LC_ALL": "C", "TZ": "UTC"},
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    condition, _, start = said.stdout.strip().partition(" ")
    return None if condition[:1] in ("", "Z") else start.strip()


def supervisor(environ: Mapping[str, str]) -> int | None:
    """Return the process id of the supervisord that started us; None: none did.

    GONE where it was killed while we started: our parent is then whoever takes orphans.
    """
    if "SUPERVISOR_ENABLED" not in environ:
        return None
    parent = os.getppid()
    scheme, _, path = environ.get("SUPERVISOR_SERVER_URL", "").partition("://")
    if scheme == "unix":
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
            asked.settimeout(1.0)
            try:
                asked.connect(path)
            except (ConnectionRefusedError, FileNotFoundError):
                return GONE
            except OSError:
                pass  # it is there, and busy
    return parent


def tune() -> None:
    """Spare memory, the garbage collector and waits, in a process whose start is over."""
    memory.release()
    # Batches die by reference counts alone; what lives now lives as long as we do.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)
    # Each answer of Neo4j would wait 5 ms for the interpreter while the next batch is decoded.
    sys.setswitchinterval(SWITCH)
