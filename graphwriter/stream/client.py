"""Connections to Redis or Valkey, its errors turned into ours, and adding entries."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import resources
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
from graphwriter.urls import host_port, misread, safe

Client = redis.Redis


@cache
def script(name: str) -> str:
    """Return the text of the script NAME.lua."""
    return (resources.files("graphwriter.stream") / f"{name}.lua").read_text("utf-8")


# Replies that mean an outage: the server starts, fails over, lacks memory, disk or replicas. The
# client removes the first word of replies for which it has a class.
_PASSING = (
    AskError,
    ClusterDownError,
    MovedError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
_PASSING_WORDS = ("BUSY", "MISCONF", "NOREPLICAS", "OOM", "READONLY")

# The error number and the address at the start of a text; our message has the address.
_CONNECTING = re.compile(r"^Error -?\d+ connecting to \S+?\. ")

_SCRIPT = "rror running script"

_ENCODED = "in a password write /, #, ? and @ as %2F, %23, %3F and %40"


class GroupGone(GraphwriterError):
    """Raised when the consumer group, or the stream with it, does not exist (any more)."""


def connect(
    source: str | ConnectionPool, key: str, *, timeout: float = 5.0, retries: int = 3
) -> Client:
    """Return a client of bytes; it connects on first use.

    Args:
        source: a URL (redis, rediss, unix, redis+sentinel or redis+cluster), or the pool of another
            client, whose address, user and TLS settings are used.
        key: the stream: in a cluster the client connects to the node with this key's slot.
        timeout: seconds to wait for a connection or a reply. A client for blocking reads needs
            more than it blocks.
        retries: silent retries of a command after a lost connection. 0 for commands that must not
            run twice unnoticed: a read whose reply is lost has delivered its entries.

    Raises:
        ConfigError: the URL is invalid.
    """
    retry = Retry(ExponentialWithJitterBackoff(cap=0.5, base=0.05), retries)
    settings: dict[str, Any] = {
        "decode_responses": False,
        "socket_timeout": timeout,
        "socket_connect_timeout": min(timeout, 5.0),
        "retry": retry if retries else Retry(NoBackoff(), 0),
        "client_name": "graphwriter",
    }
    if isinstance(source, str) and misread(source):
        raise ConfigError(
            "REDIS_URL has an @ after a /, ? or #, so a part of the password would be the host: "
            + _ENCODED
        )
    if isinstance(source, str) and topology.kind(source):
        return topology.client(source, key, **settings)
    if isinstance(source, str):
        try:
            client = redis.Redis.from_url(source)
        except ValueError:
            shown = f" {safe(source)!r}" if "://" in source else ""
            raise ConfigError(
                f"REDIS_URL{shown} is not a URL such as redis://127.0.0.1:6379/0, nor one of "
                "rediss://, unix://, redis+sentinel:// or redis+cluster://; " + _ENCODED
            ) from None
        client.connection_pool.connection_kwargs.update(settings)  # they override the URL's
        return client
    identity = {
        key: value
        for key, value in source.connection_kwargs.items()
        if key in _IDENTITY or key.startswith("ssl")
    }
    if isinstance(source, SentinelConnectionPool):
        untyped: Any = SentinelConnectionPool  # which has no types
        manager, of_class = source.sentinel_manager, source.connection_class
        more = {**identity, **settings, "connection_class": of_class}
        return redis.Redis(connection_pool=untyped(source.service_name, manager, **more))
    if "host" not in identity and "path" not in identity:
        raise ConfigError(
            f"redis_client uses {type(source).__name__}, expected a client of a single server or "
            "of Sentinel"
        )
    pool = ConnectionPool(connection_class=source.connection_class, **identity, **settings)
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
    """Return the address that `client` connects to, without secrets."""
    known: dict[str, Any] = client.connection_pool.connection_kwargs
    if isinstance(client.connection_pool, SentinelConnectionPool):
        return f"{client.connection_pool.service_name}, by Sentinel"
    if "seeds" in known:
        return f"the cluster of {host_port(*known['seeds'][0])}"
    if "path" in known:
        return f"unix://{known['path']}"
    server = host_port(known.get("host", "localhost"), known.get("port", 6379))
    return f"{server}/{known.get('db') or 0}"


class Forbidden(ConfigError):
    """Raised when our Redis user lacks the right to a command."""


@contextmanager
def translated(client: Client) -> Iterator[None]:
    """Turn errors of redis-py into `Unavailable`, `ConfigError` or `GroupGone`."""
    try:
        yield
    except RedisError as error:
        if isinstance(error, MovedError | AskError):
            client.connection_pool.disconnect()  # the next connection finds the other node
        raise _translate(error, place(client)) from None


def _translate(error: RedisError, where: str) -> GraphwriterError:
    """Return our error, which says what to do, for one of the client's."""
    text = _CONNECTING.sub("", " ".join(str(error).split()))[:300].rstrip(".")
    if isinstance(error, NoPermissionError):
        return Forbidden(f"Redis at {where} denies access: {text}")
    if isinstance(error, AuthenticationError | AuthorizationError):
        return ConfigError(f"Redis at {where} denies access: {text}")
    if isinstance(error, ResponseError):
        answer = text.rpartition("of pipeline caused error: ")[2]
        if _SCRIPT in answer:  # before Redis 7 a script's error is inside another one
            answer = answer.rpartition(": -")[2]
        if answer.startswith(("NOGROUP", "UNBLOCKED")):
            return GroupGone(text)
        if not isinstance(error, _PASSING) and not answer.startswith(_PASSING_WORDS):
            return ConfigError(f"Redis at {where}: {text}")
    return Unavailable(f"Redis at {where} does not answer: {text}")


New = tuple[str, Mapping[Any, Any]]  # an entry to add: its stream, its fields


def add(client: Client, entries: Sequence[New]) -> tuple[list[New], GraphwriterError | None]:
    """Add entries to their streams in one round trip.

    Returns the entries that the server refused, as a full one does, and the error of the first.
    Raises Unavailable if the connection is lost: then the entries may or may not have been added.
    """
    pipe = client.pipeline(transaction=False)
    for stream, fields in entries:
        pipe.xadd(stream, fields)  # type: ignore[arg-type]
    with translated(client):
        replies = list(zip(entries, pipe.execute(raise_on_error=False), strict=True))
    errors = [reply for _, reply in replies if isinstance(reply, RedisError)]
    refused = [entry for entry, reply in replies if isinstance(reply, RedisError)]
    return refused, _translate(errors[0], place(client)) if errors else None


def delete(client: Client, *keys: str) -> None:
    """Delete keys, such as a stream and its dead letters."""
    with translated(client):
        client.delete(*keys)
