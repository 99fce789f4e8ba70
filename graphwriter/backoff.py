"""Pauses between two attempts: they double up to a limit, with jitter, until something succeeds."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

STEP = 0.1  # seconds between two checks of `stopping` while asleep


class Backoff:
    """The pauses of one retry loop, in seconds.

    `next` returns how long to wait before the next attempt: between half of the current pause and
    all of it, so that processes which failed together do not retry together. The pause starts at
    `first` and doubles at every call, up to `most`. `reset` starts over, after a success.
    """

    def __init__(self, first: float, most: float) -> None:
        self._first, self._most = first, most
        self._pause = first

    def next(self) -> float:
        """Return the seconds to wait now, and double the pause after this one."""
        pause, self._pause = self._pause, min(self._pause * 2, self._most)
        return pause * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret

    def reset(self) -> None:
        """Start again at the first pause."""
        self._pause = self._first


def sleep(seconds: float, stopping: Callable[[], bool] = lambda: False) -> None:
    """Sleep for `seconds`, or until `stopping` returns true, which is checked every 0.1 s."""
    end = time.monotonic() + seconds
    while not stopping() and (left := end - time.monotonic()) > 0:
        time.sleep(min(left, STEP))
