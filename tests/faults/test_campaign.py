"""A short seeded share of the fault campaign; `make faults` runs the long one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from campaign import LEAST, run
from support.names import STREAM
from support.servers import folder


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder for the campaign's servers and logs."""
    with folder() as path:
        yield path


@pytest.mark.slow
@pytest.mark.timeout(420)
@pytest.mark.parametrize("setting", [STREAM, f"{STREAM}:{{0..3}}"], ids=["one", "four"])
def test_nothing_is_lost_or_doubled_whatever_fails(place: Path, setting: str) -> None:
    """Faults of a new seed for about two minutes; what fails names the seed, which replays."""
    seed = int(time.time()) % 10_000
    print(f"seed {seed}")
    ledger = run(seed, 60, 8_000, place, print, seconds=60, setting=setting)
    print(*ledger.lines(), sep="\n")
    assert ledger.faults.total() >= LEAST
