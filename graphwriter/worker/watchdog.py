"""The event listener that ends stuck workers; supervisord starts them again.

supervisord knows whether a process runs, not whether it makes progress. Every five seconds the
watchdog reads the heartbeats: a worker without progress for too long gets SIGABRT, which prints a
stack, and then SIGKILL if it still runs.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from graphwriter import files
from graphwriter.worker.heartbeat import add_kills, read_all

log = logging.getLogger("graphwriter")

GRACE = 10.0  # seconds between SIGABRT and SIGKILL


def run(directory: Path, patience: float) -> None:
    """Serve supervisord's events on standard input and output until they end.

    Args:
        patience: seconds without progress after which a worker is killed.
    """
    from xmlrpc.client import Fault

    from supervisor import childutils

    rpc = childutils.getRPCInterface(os.environ)
    counted: set[int] = set()  # a worker may need several rounds to exit: count it once
    while True:
        try:
            headers, _ = childutils.listener.wait()
        except (EOFError, ValueError):
            return  # supervisord has exited
        if headers["eventname"].startswith("TICK"):
            try:
                programs = rpc.supervisor.getAllProcessInfo()
            except Fault:
                return  # supervisord is shutting down and answers no more
            running = {info["pid"] for info in programs if info["pid"]}
            ended = set(sweep(directory, patience, running, time.monotonic()))
            if fresh := ended - counted:
                add_kills(directory, len(fresh))
            counted = ended
        childutils.listener.ok()


def sweep(directory: Path, patience: float, running: set[int], now: float) -> list[int]:
    """Kill the workers in `running` without progress for `patience` seconds; return their pids.

    `now` is the monotonic clock, so that setting the clock or suspending the machine kills none.
    """
    ended: list[int] = []
    if any(now - state.clock >= patience for state in read_all(directory)) and (
        why := files.problem(directory)
    ):
        log.error("%s: %s: no heartbeat can be written, so no worker is ended", directory, why)
        return ended
    for state in read_all(directory):
        stuck = now - state.clock
        if stuck < patience or state.pid not in running or not state.there:
            continue
        number = signal.SIGABRT if stuck < patience + GRACE else signal.SIGKILL
        log.error(
            "%s (process %d) has made no progress for %.0f s while %s: %s",
            state.consumer, state.pid, stuck, state.doing, number.name,
        )  # fmt: skip
        with suppress(ProcessLookupError):
            os.kill(state.pid, number)
        ended.append(state.pid)
    return ended


def expected(directory: Path) -> int | None:
    """Return how many workers the last pool in `directory` was started with; None without one."""
    last = max(read_all(directory), key=lambda state: state.started, default=None)
    return None if last is None else last.pool


def wrong(directory: Path, patience: float, workers: int, now: float) -> list[str]:
    """Return a line for each worker stuck for `patience` seconds, and one if some are missing.

    A worker that waits for a server is not stuck: a restart would not help it.
    """
    there = [state for state in read_all(directory) if state.there]
    lines = [
        f"{state.consumer} has made no progress for {now - state.clock:.0f} s while {state.doing}"
        for state in there
        if now - state.clock >= patience
    ]
    if len(there) < workers:
        lines.append(f"{len(there)} of {workers} workers are alive in {directory}")
    return lines
