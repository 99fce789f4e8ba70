"""A share of the fuzz; `make faults` tries a million cases."""

from __future__ import annotations

import time

from fuzz import run


def test_mutated_input_gives_an_event_or_a_named_error() -> None:
    """A new seed every time; what fails names it."""
    run(int(time.time()) % 10_000, 30_000)
