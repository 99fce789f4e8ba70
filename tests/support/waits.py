"""Waiting for what other threads and processes do."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(condition: Callable[[], object], seconds: float = 60) -> float:
    """Wait until `condition` holds, and return for how long; fail after `seconds`."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() < start + seconds, "it did not come to pass"
        time.sleep(0.02)
    return time.monotonic() - start
