"""Finding the stream's server where it can change: with Sentinel, or in a Cluster.

All keys of one stream are in one slot, so even in a Cluster a worker needs one node at a time: the
node that holds the slot now. Each new connection asks again.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import redis
from redis import ConnectionPool
from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection
from redis.crc import key_slot
from redis.exceptions import ClusterDownError, RedisError
from redis.retry import Retry
from redis.sentinel import Sentinel

from graphwriter.errors import ConfigError

Host = tuple[str, int]
SENTINEL, CLUSTER = "sentinel", "cluster"
PORTS = {SENTINEL: 26379, CLUSTER: 6379}
FORM = "redis+sentinel://host,host/name or redis+cluster://host,host"


def kind(url: str) -> str | None:
    """Return `sentinel` or `cluster` if the URL has such a scheme, else None."""
    scheme, _, word = url.partition("://")[0].partition("+")
    return word if scheme in ("redis", "rediss") and word in PORTS else None


def spread(source: object) -> bool:
    """Return whether streams behind a URL, or another client's pool, lie on several nodes."""
    return isinstance(source, str) and kind(source) == CLUSTER


def client(url: str, key: str, **settings: Any) -> redis.Redis:
    """Return a client of the server that holds `key`; it connects on first use.

    `settings` are those of its connections. Raises ConfigError for an invalid URL.
    """
    try:
        parts = urlsplit(url)
        hosts = _hosts(parts)
    except ValueError:
        raise ConfigError(f"REDIS_URL does not have the form {FORM}") from None
    user, colon, password = parts.netloc.rpartition("@")[0].partition(":")
    if user:
        settings["username"] = unquote(user)
    if colon:
        settings["password"] = unquote(password)
    tls = parts.scheme.startswith("rediss+")
    if kind(url) == SENTINEL:
        return _by_sentinel(parts, hosts, tls, settings)
    pool = ConnectionPool(
        connection_class=_ClusterTLS if tls else _Cluster, seeds=hosts, key=key, **settings
    )
    return redis.Redis(connection_pool=pool)


def _hosts(parts: SplitResult) -> list[Host]:
    port = PORTS[parts.scheme.partition("+")[2]]
    hosts = []
    for host in parts.netloc.rpartition("@")[2].split(","):
        split = urlsplit(f"//{host}")
        if not split.hostname:
            raise ValueError(host)
        hosts.append((split.hostname, split.port or port))
    return hosts


def _by_sentinel(
    parts: SplitResult, hosts: list[Host], tls: bool, settings: dict[str, Any]
) -> redis.Redis:
    name, _, db = parts.path.strip("/").partition("/")
    if not name or not (db or "0").isdigit():
        raise ConfigError(f"REDIS_URL names no service, expected {FORM}")
    sentinel: dict[str, Any] = {
        key.removeprefix("sentinel_"): values[0]
        for key, values in parse_qs(parts.query).items()
        if key in ("sentinel_username", "sentinel_password")
    }
    sentinel |= {key: value for key, value in settings.items() if key.startswith("socket_")}
    untyped: Any = Sentinel  # which has no types
    primary: redis.Redis = untyped(
        hosts, sentinel_kwargs=sentinel | {"ssl": tls, "retry": Retry(NoBackoff(), 0)}
    ).master_for(name, db=int(db or 0), ssl=tls, **settings)
    return primary


class _Cluster(Connection):
    """A connection to the node of a cluster that holds the key's slot at that moment."""

    def __init__(self, *, seeds: list[Host], key: str, **settings: Any) -> None:
        super().__init__(**settings)  # type: ignore[no-untyped-call]
        self._seeds, self._slot = list(seeds), key_slot(key.encode())
        self._asking: dict[str, Any] = {"retry": Retry(NoBackoff(), 0)} | {
            name: settings[name]
            for name in ("username", "password", "socket_timeout", "socket_connect_timeout")
            if name in settings
        }

    def connect_check_health(self, *args: Any, **more: Any) -> None:
        """Find the node, and connect to it."""
        if not self._sock:
            self.host, self.port = self._owner()
        super().connect_check_health(*args, **more)

    def _owner(self) -> Host:
        last: RedisError | None = None
        for host, port in self._seeds:
            tls = isinstance(self, SSLConnection)
            try:
                with redis.Redis(host=host, port=port, ssl=tls, **self._asking) as node:
                    slots: Any = node.execute_command("CLUSTER SLOTS")
            except RedisError as error:
                last = error
                continue
            for first, end, primary, *_ in slots:
                if first <= self._slot <= end:
                    owner = (_text(primary[0]) or host, int(primary[1]))
                    others = [seed for seed in self._seeds if seed != owner]
                    self._seeds = [owner, *others][:16]
                    return owner
            last = ClusterDownError(f"no node holds slot {self._slot}")
        raise last or ClusterDownError("the URL names no node")


class _ClusterTLS(_Cluster, SSLConnection):
    """The same with TLS."""


def _text(value: str | bytes | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""
