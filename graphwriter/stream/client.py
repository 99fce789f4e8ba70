"""Connections to Redis or Valkey, and what its errors mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    RedisError,
    ResponseError,
)
from redis.retry import Retry

from graphwriter.errors import ConfigError, GraphwriterError, Unavailable

Client = redis.Redis

# What a server answers that will pass: starting, failing over, short of memory or disk.
_PASSING = (
    "LOADING",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "READONLY",
    "MISCONF",
    "OOM",
    "BUSY",
)


class GroupGone(GraphwriterError):
    """Raised when the consumer group, or the stream with it, is not there (any more)."""


def connect(url: str, *, timeout: float = 5.0, retries: int = 3) -> Client:
    """Return a client of bytes for `url` (redis, rediss or unix); it connects on first use.

    Args:
        timeout: seconds to wait for a connection or a reply. A client for blocking reads needs
            more than it blocks.
        retries: silent retries of a command after a lost connection. 0 for commands that must not
            run twice unseen: a read whose reply is lost has delivered its entries all the same.

    Raises:
        ConfigError: the URL is none.
    """
    retry = Retry(ExponentialWithJitterBackoff(cap=0.5, base=0.05), retries)
    try:
        return redis.Redis.from_url(
            url,
            decode_responses=False,
            socket_timeout=timeout,
            socket_connect_timeout=min(timeout, 5.0),
            socket_keepalive=True,
            retry=retry if retries else Retry(NoBackoff(), 0),
            client_name="graphwriter",
        )
    except ValueError as error:
        raise ConfigError(f"REDIS_URL {safe(url)!r}: {error}") from None


def safe(url: str) -> str:
    """Return `url` without its password, for messages."""
    try:
        parts = urlsplit(url)
        if parts.password is None:
            return url
        host = parts.netloc.rpartition("@")[2]
        return parts._replace(netloc=f"{parts.username or ''}:***@{host}").geturl()
    except ValueError:
        return "(not a URL)"


def place(client: Client) -> str:
    """Return where `client` connects to, without secrets."""
    known: dict[str, Any] = client.connection_pool.connection_kwargs
    if "path" in known:
        return f"unix://{known['path']}"
    return f"{known.get('host', 'localhost')}:{known.get('port', 6379)}/{known.get('db') or 0}"


@contextmanager
def translated(client: Client) -> Iterator[None]:
    """Turn the client's errors into ours: `Unavailable`, `ConfigError`, `GroupGone`."""
    try:
        yield
    except RedisError as error:
        raise ours(error, place(client)) from None


def ours(error: RedisError, where: str) -> GraphwriterError:
    """Return the error of ours that says what to do about the client's."""
    text = " ".join(str(error).split())[:300]
    if isinstance(error, AuthenticationError | AuthorizationError | NoPermissionError):
        return ConfigError(f"Redis at {where} refuses us: {text}")
    if isinstance(error, ResponseError):
        if text.startswith(("NOGROUP", "UNBLOCKED")):
            return GroupGone(text)
        if not text.startswith(_PASSING):
            return ConfigError(f"Redis at {where}: {text}")
    return Unavailable(f"Redis at {where} does not answer: {text}")
