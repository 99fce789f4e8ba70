"""The child process that runs a server and stops it. It is a script, and imports no other module.

It reads one line of JSON, the order, from the pipe on its standard input, starts the server, and
writes the server's process id to its standard output. Then it waits until the server exits, the
pipe is closed, the parent exits, or SIGTERM arrives. A native server is a child of this process,
and the kernel kills it if this process is killed. Neo4j runs in a Java virtual machine inside this
process.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from typing import Any

PR_SET_PDEATHSIG = 1
IN_USE = 75  # exit code: the data is locked by another server
LOOK = 0.25  # seconds between two checks of the parent and the server
LOCKED = 20.0  # seconds to wait for the server of a killed parent to stop

stopping = False


def main() -> int:
    """Run the server of the order until told to stop. Returns the exit code."""
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    report = os.dup(1)
    os.dup2(2, 1)  # the server's output goes to the log
    order = read_order()
    lock = os.open(order["lock"], os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not locked(lock):
        print(f"{order['lock']} is held: another server uses this data", file=sys.stderr)
        return IN_USE
    return (run_java if "classpath" in order else run_native)(order, report)


def stop(_signal: int, _frame: object) -> None:
    """Handle a signal: only set the flag."""
    global stopping
    stopping = True


def told_to_stop(parent: int) -> bool:
    """Block on the pipe for up to `LOOK` seconds, and return whether to stop.

    The parent's id is checked too: a fork of the parent may keep the pipe open after it exited.
    """
    ready, _, _ = select.select([0], [], [], LOOK)
    return stopping or bool(ready and not os.read(0, 4096)) or os.getppid() != parent


def read_order() -> dict[str, Any]:
    """Read the order up to its line feed, and no byte more: select must see what follows."""
    line = bytearray()
    while not line.endswith(b"\n"):
        piece = os.read(0, 65536)
        if not piece:
            raise SystemExit(1)  # the parent has exited
        line += piece
    order: dict[str, Any] = json.loads(line)
    return order


def locked(lock: int) -> bool:
    """Lock the data directory; wait for another server that is still stopping."""
    deadline = time.monotonic() + LOCKED
    while time.monotonic() < deadline:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.1)
        else:
            return True
    return False


def run_native(order: dict[str, Any], report: int) -> int:
    """Run `command` as `user`; stop it with `signal`, and with SIGKILL after `grace` seconds."""
    libc = ctypes.CDLL(None)
    myself = os.getpid()

    def die_with_me() -> None:  # after the change of user, which would clear this setting
        if sys.platform == "linux":
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != myself:
                os._exit(1)

    account: dict[str, Any] = {}
    if order["user"] is not None:
        account = {"user": order["user"], "group": order["group"], "extra_groups": []}
    # preexec_fn is safe here: this process has one thread.
    server = subprocess.Popen(
        order["command"], stdin=subprocess.DEVNULL, preexec_fn=die_with_me, **account
    )
    os.write(report, b"%d\n" % server.pid)
    while server.poll() is None and not told_to_stop(order["parent"]):
        pass
    if server.poll() is None:
        server.send_signal(order["signal"])
        try:
            server.wait(order["grace"])
        except subprocess.TimeoutExpired:
            server.kill()
    return abs(server.wait())


def run_java(order: dict[str, Any], report: int) -> int:
    """Run Neo4j with `home` and `conf`; if it does not stop in `grace` seconds, exit."""
    up = threading.Event()
    threading.Thread(target=leave_early, args=(order["parent"], up), daemon=True).start()

    import jpype

    jpype.startJVM(
        order["libjvm"], *order["flags"], classpath=order["classpath"], convertStrings=True
    )
    path = jpype.JClass("java.nio.file.Path").of
    builder = jpype.JClass("org.neo4j.dbms.api.DatabaseManagementServiceBuilder")
    neo4j = builder(path(order["home"])).loadPropertiesFromFile(path(order["conf"])).build()
    up.set()
    os.write(report, b"%d\n" % os.getpid())
    while not told_to_stop(order["parent"]):
        pass
    force = threading.Timer(order["grace"], os._exit, (1,))
    force.daemon = True
    force.start()
    neo4j.shutdown()
    os._exit(0)  # the remaining threads have nothing to save


def leave_early(parent: int, up: threading.Event) -> None:
    """Exit if told to stop before Neo4j has started: there is nothing to save yet."""
    while not up.is_set():
        if told_to_stop(parent):
            os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
