"""Connections to Redis or Valkey, and what its errors mean."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis import ConnectionPool
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.retry import Retry
from redis.sentinel import SentinelConnectionPool

from graphwriter.errors import ConfigError, GraphwriterError, Unavailable
from graphwriter.stream import topology
from graphwriter.urls import safe

Client = redis.Redis


def order(key: bytes | str) -> tuple[int, ...]:
    """Return an entry's id, or one given as the start of ids, as what ids are compared by."""
    text = key.decode() if isinstance(key, bytes) else key
    return tuple(map(int, text.split("-")))


# What a server answers that will pass: starting, failing over, short of memory, disk or replicas.
# The client takes the first word off the answers that it has a class for.
_PASSING = (
    AskError,
    ClusterDownError,
    MovedError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
_PASSING_WORDS = ("BUSY", "MISCONF", "NOREPLICAS", "OOM", "READONLY")

# The number of an error, and the address, which we say ourselves.
_CONNECTING = re.compile(r"^Error -?\d+ connecting to \S+?\. ")

_SCRIPT = "rror running script"


class GroupGone(GraphwriterError):
    """Raised when the consumer group, or the stream with it, is not there (any more)."""


def connect(
    source: str | ConnectionPool, key: str, *, timeout: float = 5.0, retries: int = 3
) -> Client:
    """Return a client of bytes; it connects on first use.

    Args:
        source: a URL (redis, rediss, unix, redis+sentinel or redis+cluster), or the pool of another
            client, of which the address, the user and the TLS settings are taken.
        key: what it is needed for: of a cluster it talks to the node with this key's slot.
        timeout: seconds to wait for a connection or a reply. A client for blocking reads needs
            more than it blocks.
        retries: silent retries of a command after a lost connection. 0 for commands that must not
            run twice unseen: a read whose reply is lost has delivered its entries all the same.

    Raises:
        ConfigError: the URL is none.
    """
    retry = Retry(ExponentialWithJitterBackoff(cap=0.5, base=0.05), retries)
    ours: dict[str, Any] = {
        "decode_responses": False,
        "socket_timeout": timeout,
        "socket_connect_timeout": min(timeout, 5.0),
        "retry": retry if retries else Retry(NoBackoff(), 0),
        "client_name": "graphwriter",
    }
    if isinstance(source, str) and topology.kind(source):
        return topology.client(source, key, **ours)
    if isinstance(source, str):
        try:
            client = redis.Redis.from_url(source)
        except ValueError:
            shown = f" {safe(source)!r}" if "://" in source else ""
            raise ConfigError(
                f"REDIS_URL{shown} is no URL such as redis://127.0.0.1:6379/0, nor one of "
                "rediss://, unix://, redis+sentinel:// or redis+cluster://; in a password "
                "/, #, ? and @ stand as %2F, %23, %3F and %40"
            ) from None
        client.connection_pool.connection_kwargs.update(ours)  # also over what the URL says
        return client
    theirs = {
        key: value
        for key, value in source.connection_kwargs.items()
        if key in _IDENTITY or key.startswith("ssl")
    }
    if isinstance(source, SentinelConnectionPool):
        named: Any = SentinelConnectionPool  # which has no types
        manager, of_class = source.sentinel_manager, source.connection_class
        settings = {**theirs, **ours, "connection_class": of_class}
        return redis.Redis(connection_pool=named(source.service_name, manager, **settings))
    if "host" not in theirs and "path" not in theirs:
        raise ConfigError(
            f"redis_client connects by {type(source).__name__}, expected one of a single server or "
            "of Sentinel"
        )
    pool = ConnectionPool(connection_class=source.connection_class, **theirs, **ours)
    return redis.Redis(connection_pool=pool)


_IDENTITY = (
    "host",
    "port",
    "path",
    "db",
    "username",
    "password",
    "credential_provider",
    "protocol",
)


def place(client: Client) -> str:
    """Return where `client` connects to, without secrets."""
    known: dict[str, Any] = client.connection_pool.connection_kwargs
    if isinstance(client.connection_pool, SentinelConnectionPool):
        return f"{client.connection_pool.service_name}, by Sentinel"
    if "seeds" in known:
        return f"the cluster of {known['seeds'][0][0]}:{known['seeds'][0][1]}"
    if "path" in known:
        return f"unix://{known['path']}"
    return f"{known.get('host', 'localhost')}:{known.get('port', 6379)}/{known.get('db') or 0}"


class Forbidden(ConfigError):
    """Raised when Redis knows us, and our user has no right to this command."""


@contextmanager
def translated(client: Client) -> Iterator[None]:
    """Turn the client's errors into ours: `Unavailable`, `ConfigError`, `GroupGone`."""
    try:
        yield
    except RedisError as error:
        if isinstance(error, MovedError | AskError):
            client.connection_pool.disconnect()  # the next connection finds the other node
        raise ours(error, place(client)) from None


def ours(error: RedisError, where: str) -> GraphwriterError:
    """Return the error of ours that says what to do about the client's."""
    text = _CONNECTING.sub("", " ".join(str(error).split()))[:300].rstrip(".")
    if isinstance(error, NoPermissionError):
        return Forbidden(f"Redis at {where} refuses us: {text}")
    if isinstance(error, AuthenticationError | AuthorizationError):
        return ConfigError(f"Redis at {where} refuses us: {text}")
    if isinstance(error, ResponseError):
        answer = text.rpartition("of pipeline caused error: ")[2]
        if _SCRIPT in answer:  # before Redis 7 a script's error stands within another
            answer = answer.rpartition(": -")[2]
        if answer.startswith(("NOGROUP", "UNBLOCKED")):
            return GroupGone(text)
        if not isinstance(error, _PASSING) and not answer.startswith(_PASSING_WORDS):
            return ConfigError(f"Redis at {where}: {text}")
    return Unavailable(f"Redis at {where} does not answer: {text}")
