"""The pauses between attempts."""

from __future__ import annotations

import time

from graphwriter.backoff import Backoff, sleep


def test_pauses_double_up_to_the_limit_and_start_over_after_a_success() -> None:
    """Each lies between half of the pause and all of it."""
    backoff = Backoff(0.2, 1.0)
    for pause in (0.2, 0.4, 0.8, 1.0, 1.0):
        assert pause / 2 <= backoff.next() <= pause
    backoff.reset()
    assert backoff.next() <= 0.2


def test_a_sleep_ends_early_when_a_stop_is_requested() -> None:
    """A worker that waits for a server can still be stopped."""
    start = time.monotonic()
    sleep(30, lambda: time.monotonic() > start + 0.05)
    assert time.monotonic() - start < 5
