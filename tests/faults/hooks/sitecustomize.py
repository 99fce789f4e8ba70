"""What a worker process of the tests does wrong, by its environment.

CLOCK_OFFSET names a file with the seconds, as eight bytes, by which its clock is wrong at the
moment. CRASH_ON is a text: the process is killed when it decodes an entry that holds it.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
import time
from collections.abc import Mapping
from pathlib import Path


def _set_clock(path: str) -> None:
    with Path(path).open("rb") as file:
        offset = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    right = time.time

    def wrong() -> float:
        (seconds,) = struct.unpack("d", offset)
        return right() + float(seconds)

    time.time = wrong


def _crash_on(text: bytes) -> None:
    from graphwriter import events
    from graphwriter.keep import NOTHING, Keep

    right = events.decode

    def wrong(
        fields: Mapping[bytes, bytes], now: int, tenant: str | None = None, keep: Keep = NOTHING
    ) -> events.Event:
        if any(text in value for value in fields.values()):
            os.kill(os.getpid(), signal.SIGKILL)
        return right(fields, now, tenant, keep)

    events.decode = wrong


if "CLOCK_OFFSET" in os.environ:
    _set_clock(os.environ["CLOCK_OFFSET"])
if "CRASH_ON" in os.environ:
    _crash_on(os.environ["CRASH_ON"].encode())
