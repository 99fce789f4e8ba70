"""What there is to know about a running pipeline, asked of Redis and of the workers' files."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec

from graphwriter import state
from graphwriter.stream import DeadLetters, Stream


def read(stream: Stream, directory: Path) -> dict[str, Any]:
    """Return the state of the stream, its group, the workers of this machine, the dead letters.

    `unread` is None where Redis does not know it. Ages are in seconds. A worker that was killed is
    there, not `alive`, until another of its name has started. Raises what `Stream` does.
    """
    found = next((row for row in stream.groups() if row["name"] == stream.group), None)
    now = time.time()
    newest: dict[str, state.State] = {}  # by name: one killed on another server left a file
    for worker in sorted(state.read_all(directory), key=lambda each: each.progress):
        if (worker.stream, worker.group) == (stream.name, stream.group):
            newest[worker.consumer] = worker
    workers = []
    for _, worker in sorted(newest.items()):
        told: dict[str, Any] = msgspec.to_builtins(worker)
        told["progress_age"] = round(now - worker.progress, 1)
        told["alive"] = state.alive(worker.pid)
        workers.append(told)
    return {
        "stream": stream.name,
        "length": stream.length(),
        "group": stream.group,
        "group_exists": found is not None,
        "unread": found.get("lag") if found else None,
        "pending": found["pending"] if found else 0,
        "dead": len(DeadLetters(stream.client, stream.name, stream.group)),
        "workers": workers,
    }


def drained(stream: Stream) -> bool:
    """Return whether the group has read and acknowledged every entry of the stream.

    By ids and pending entries: `lag` is an estimate, and unknown after some deletions.
    """
    for row in stream.groups():
        if row["name"] == stream.group:
            return not row["pending"] and _id(row["last-delivered-id"]) >= _id(stream.last_id())
    return False


def _id(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split("-")))
