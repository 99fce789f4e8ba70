"""Makes the clock of a process wrong by what a file says, seconds as eight bytes, at any moment."""

from __future__ import annotations

import mmap
import os
import struct
import time
from pathlib import Path


def _install(path: str) -> None:
    with Path(path).open("rb") as file:
        offset = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    right = time.time

    def wrong() -> float:
        (seconds,) = struct.unpack("d", offset)
        return right() + float(seconds)

    time.time = wrong


if "CLOCK_OFFSET" in os.environ:
    _install(os.environ["CLOCK_OFFSET"])
