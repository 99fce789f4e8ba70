"""No process outlives the test that started it.

A process left behind goes on writing to the servers of later tests, and its Popen object warns of
it in whichever test the garbage collector runs.
"""

from __future__ import annotations

import gc
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

# Of the run, not of a test. A test may start an embedded server of the run again; servers exit with
# the run in any case.
_KEPT = (
    "multiprocessing.resource_tracker",
    "multiprocessing.forkserver",
    "graphwriter/embedded/child.py",
)


def children() -> set[int]:
    """Return the ids of this process's children, also of those that have exited unread."""
    while True:
        try:
            return {
                int(pid)
                for task in Path("/proc/self/task").glob("*/children")
                for pid in task.read_text().split()
            }
        except (FileNotFoundError, ProcessLookupError):
            pass  # a thread ended meanwhile, and its children belong to another one: read all again


def end(pids: set[int]) -> list[str]:
    """Kill these children with all of theirs, and return their command lines."""
    ended: dict[int, str] = {}
    for pid in pids:
        try:
            child = psutil.Process(pid)
            command = " ".join(child.cmdline()) or child.name()
            if any(kept in command for kept in _KEPT):
                continue
            ended[pid] = command
            for one in [*child.children(recursive=True), child]:
                one.kill()
        except psutil.NoSuchProcess:
            continue
    for each in gc.get_objects():
        if isinstance(each, subprocess.Popen) and each.pid in ended:
            each.wait(10)
            for pipe in filter(None, (each.stdin, each.stdout, each.stderr)):
                pipe.close()
    return list(ended.values())


@pytest.fixture(autouse=True)
def processes_end_with_their_test() -> Iterator[None]:
    """Fail a test that leaves a process, and end that process.

    Servers of a whole run or module are older than this fixture; those of one test end before it.
    """
    before = children()
    yield
    if (left := children() - before) and (ended := end(left)):
        pytest.fail("the test left running: " + "; ".join(ended))
