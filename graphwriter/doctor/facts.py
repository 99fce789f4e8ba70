"""Reads the facts that the checks need, from this machine and from three servers in parallel.

A fact is a value, or the error that came instead. Nothing is changed anywhere, no run directory is
created, and each server has a time limit: facts that are not there by then are missing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, Generic, TypeVar, overload
from urllib.parse import urlsplit

import msgspec

from graphwriter import graph, status
from graphwriter.config import Config
from graphwriter.database.connection import Connection
from graphwriter.errors import ConfigError, GraphwriterError, TooBig, Unavailable
from graphwriter.graph import Graph, duplicates, schema
from graphwriter.graph import info as graph_info
from graphwriter.stream import DeadLetter, DeadLetters, pause
from graphwriter.stream import info as stream_info
from graphwriter.stream.client import Client, GroupGone, place
from graphwriter.stream.pause import Pause
from graphwriter.stream.streams import Clients, clients
from graphwriter.worker import heartbeat

T = TypeVar("T")
QUERY_TIMEOUT = 10.0  # seconds for a query of Neo4j, which plans each one for the first time
TIME_LIMIT = 40.0  # seconds for all facts of one server


class Answer(msgspec.Struct):
    """Whether a server answers: how fast in seconds, or the error."""

    place: str
    seconds: float = 0.0
    error: GraphwriterError | None = None


class Constraints(msgspec.Struct):
    """The names of the missing constraints, and of those that duplicate nodes block."""

    missing: list[str]
    blocked: list[str]


class Skipped(GraphwriterError):
    """Stands for a fact that was not read, because its server is unavailable or denies access."""


class Missing(Exception):
    """Raised by a check that needs a fact which could not be read; `error` says why."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Fact(Generic[T]):
    """One fact of `Facts`; reading it raises `Missing` if there is an error instead."""

    def __set_name__(self, owner: type[Facts], name: str) -> None:
        self._name = name

    @overload
    def __get__(self, facts: None, owner: type[Facts]) -> Fact[T]: ...
    @overload
    def __get__(self, facts: Facts, owner: type[Facts]) -> T: ...
    def __get__(self, facts: Facts | None, owner: type[Facts]) -> Fact[T] | T:
        if facts is None:
            return self
        value: Any = facts.values.get(self._name, facts.late)
        if isinstance(value, Exception):
            raise Missing(value)
        result: T = value
        return result


class Facts:
    """Everything that checks read. `values` has the facts by name; a name may be absent.

    With several streams `parts` has the facts of each by its name, and `stream` and `groups` are
    those of all together. In a cluster `nodes` has the facts of each node by the name of a stream.
    """

    config = Fact[Config]()
    wrong_values = Fact[Sequence[ConfigError]]()  # settings that could not be read
    environ = Fact[Mapping[str, str]]()
    now = Fact[float]()
    workers = Fact[list[heartbeat.WorkerState]]()  # of this machine and group, also stopped ones
    redis_user = Fact[str]()
    cli = Fact[str]()  # how redis-cli connects, without a secret
    redis = Fact[Answer]()
    stream = Fact[stream_info.StreamFacts]()
    ends = Fact[stream_info.Ends | None]()
    groups = Fact[list[stream_info.Group]]()
    holdings = Fact[list[stream_info.Holding]]()
    oldest_pending = Fact[stream_info.Pending | None]()
    letters = Fact[tuple[DeadLetter, ...]]()
    pause = Fact[Pause | None]()
    redis_info = Fact[dict[str, Any]]()
    redis_persistence = Fact[dict[str, str]]()
    redis_clock = Fact[float]()
    neo4j = Fact[Answer]()
    neo4j_version = Fact[graph_info.Version]()
    neo4j_database = Fact[graph_info.DatabaseState | None]()
    neo4j_write = Fact[Answer]()
    neo4j_java = Fact[graph_info.Java | None]()
    neo4j_constraints = Fact[Constraints]()
    neo4j_posts = Fact[int]()
    neo4j_foreign = Fact[graph_info.Foreign]()
    neo4j_repeated_links = Fact[list[graph_info.RepeatedLinks]]()
    neo4j_bare_channels = Fact[int]()
    neo4j_clock = Fact[float]()
    postgres = Fact[Answer | None]()  # None: DATABASE_URL is not set

    def __init__(self, values: Mapping[str, Any], limit: float = TIME_LIMIT) -> None:
        self.values = dict(values)
        self.late = Unavailable(f"there was no answer within {limit:g} s")
        self._limit = limit

    @property
    def parts(self) -> Mapping[str, Mapping[str, Any]]:
        """The facts of each of several streams, by its name; empty if there is one."""
        found: Mapping[str, Mapping[str, Any]] = self.values.get("parts", {})
        return found

    def streams(self) -> dict[str, stream_info.StreamFacts]:
        """Return what is known of each of several streams, by its name."""
        found = {name: values["stream"] for name, values in self.parts.items()}
        return {
            name: one for name, one in found.items() if isinstance(one, stream_info.StreamFacts)
        }

    def each(self, kind: str) -> Iterator[tuple[str, Facts]]:
        """Yield the facts of each of the `parts` or `nodes`, with its name."""
        found: Mapping[str, Mapping[str, Any]] = self.values.get(kind, {})
        for name, values in found.items():
            own = {"config": replace(self.config, stream=name)} if kind == "parts" else {}
            yield name, Facts({**self.values, **values, **own}, self._limit)

    @property
    def own_group(self) -> stream_info.Group | None:
        """The group of the settings; None if it does not exist."""
        return next((group for group in self.groups if group.name == self.config.group), None)


def read(
    config: Config,
    wrong: Sequence[ConfigError],
    environ: Mapping[str, str],
    limit: float = TIME_LIMIT,
) -> Facts:
    """Return all facts. Blocks for `limit` seconds at most, and raises nothing."""
    values: dict[str, Any] = {
        "config": config,
        "wrong_values": wrong,
        "environ": environ,
        "redis_user": _user(config.redis_url),
        "cli": _cli(config, environ),
        "workers": _workers(config),
        "now": time.time(),
    }
    threads = [
        threading.Thread(target=_tried, args=(read_server, config, values), daemon=True)
        for read_server in (_read_redis, _read_neo4j, _read_postgres)
    ]
    for thread in threads:
        thread.start()
    end = time.monotonic() + limit
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    facts = Facts(values, limit)
    for server in ("redis", "neo4j"):
        facts.values.setdefault(server, Answer("", error=facts.late))
    return facts


def _read_redis(config: Config, values: dict[str, Any]) -> None:
    facts = {**_STREAM, **_NODE}
    try:
        found = clients(config.redis_url, config.stream, timeout=status.PATIENCE, retries=1)
    except ConfigError as error:
        values["redis"] = Answer("", error=error)
        return _skip(values, facts, "Redis", error)
    first = found[0][0]
    try:
        values["redis"] = answer(
            place(first), lambda: [*map(stream_info.ping, (client for client, _ in found))]
        )
        if values["redis"].error is not None:
            return _skip(values, facts, "Redis", values["redis"].error)
        if len(config.streams) == 1:
            values |= _facts(_STREAM, first, replace(config, stream=config.streams[0]))
        else:
            _read_streams(found, config, values)
        values |= _facts(_NODE, first, config)
    finally:
        for client, _ in found:
            client.close()


def _facts(
    functions: Mapping[str, Callable[[Client, Config], Any]], client: Client, config: Config
) -> dict[str, Any]:
    return {name: _tried(function, client, config) for name, function in functions.items()}


def _read_streams(found: Clients, config: Config, values: dict[str, Any]) -> None:
    """Read the facts of each of several streams, of all together, and of a cluster's nodes."""
    streams = [(client, name) for client, names in found for name in names]
    parts = {
        name: _facts(_STREAM, client, replace(config, stream=name)) for client, name in streams
    }
    values["parts"] = parts
    values["stream"] = _tried(stream_info.together, [one["stream"] for one in parts.values()])
    values["groups"] = _tried(_groups, [one["groups"] for one in parts.values()])
    if len(found) > 1:
        nodes: dict[str, dict[str, Any]] = {}
        for client, (name, *_) in found:
            one = _facts(_NODE, client, config)
            known = one["redis_info"]
            # By their ids, since several streams may lie on one node.
            key = known["run_id"] if isinstance(known, dict) else name
            nodes.setdefault(key, {name: one})
        values["nodes"] = {name: one for some in nodes.values() for name, one in some.items()}


def _groups(parts: Sequence[Any]) -> list[stream_info.Group]:
    """Return the groups of several streams, each as if it were one of a single stream."""
    by_name: dict[str, stream_info.Group] = {}
    for group in (group for part in parts for group in _or_raised(part)):
        known = by_name.get(group.name, group._replace(pending=0))
        by_name[group.name] = stream_info.Group(
            group.name,
            max(known.delivered, group.delivered),
            known.pending + group.pending,
            None,
            None,
        )
    return [*by_name.values()]


def _or_raised(value: Any) -> Any:
    if isinstance(value, Exception):
        raise value
    return value


def _connect(config: Config, database: str | None = None) -> Graph:
    return graph.connect(
        config, database=database, timeout=QUERY_TIMEOUT, retry=0.0, patience=status.PATIENCE
    )


def _read_neo4j(config: Config, values: dict[str, Any]) -> None:
    with closing(_connect(config)) as connected:
        values["neo4j"] = answer(connected.uri, connected.check)
        if values["neo4j"].error is None:
            for name, function in _NEO4J.items():
                values[name] = _tried(function, connected, config)
            return
    _skip(values, _NEO4J, "Neo4j", values["neo4j"].error)
    if "DatabaseUnavailable" in str(values["neo4j"].error):
        with closing(_connect(config, "system")) as system:  # it knows the state of the others
            values["neo4j_version"] = _tried(graph_info.version, system)
            values["neo4j_database"] = _tried(
                graph_info.database_state, system, config.neo4j_database
            )


def _read_postgres(config: Config, values: dict[str, Any]) -> None:
    if not config.database_url:
        values["postgres"] = None
        return
    try:
        connection = Connection(config.database_url)
    except ConfigError as error:
        values["postgres"] = Answer("", error=error)
        return

    def ping() -> None:
        with connection.reading() as cursor:
            cursor.execute("SELECT 1")

    try:
        values["postgres"] = answer(connection.place, ping)
    finally:
        connection.close()


def _in_group(
    function: Callable[[Client, str, str], T], nothing: T
) -> Callable[[Client, Config], T]:
    """Return a function that reads a fact of the group, or `nothing` without one."""

    def read_group(client: Client, config: Config) -> T:
        try:
            return function(client, config.stream, config.group)
        except GroupGone:
            return nothing

    return read_group


def _constraints(connected: Graph, config: Config) -> Constraints:
    missing = schema.missing(connected, config.keep)
    try:
        return Constraints(missing, [name for name in missing if duplicates.count(connected, name)])
    except TooBig:
        return Constraints(missing, [])  # that they are missing is reported all the same


_STREAM: dict[str, Callable[[Client, Config], Any]] = {
    "stream": lambda client, config: stream_info.stream(client, config.stream, config.group),
    "ends": lambda client, config: stream_info.ends(client, config.stream),
    "groups": lambda client, config: stream_info.groups(client, config.stream),
    "holdings": _in_group(stream_info.holdings, []),
    "oldest_pending": _in_group(stream_info.oldest_pending, None),
    "letters": lambda client, config: DeadLetters(client, config.stream, config.group).latest(
        status.SHOWN_LETTERS
    ),
}
_NODE: dict[str, Callable[[Client, Config], Any]] = {
    "pause": lambda client, config: pause.read(client, config.streams[0], config.group),
    "redis_info": lambda client, _: stream_info.server(client),
    "redis_persistence": lambda client, _: stream_info.persistence(client),
    "redis_clock": lambda client, _: stream_info.clock_ahead(client),
}
_NEO4J: dict[str, Callable[[Graph, Config], Any]] = {
    "neo4j_version": lambda connected, _: graph_info.version(connected),
    "neo4j_database": lambda connected, _: graph_info.database_state(connected, connected.database),
    "neo4j_write": lambda connected, _: answer(connected.uri, lambda: connected.check(writes=True)),
    "neo4j_java": lambda connected, _: graph_info.java(connected),
    "neo4j_constraints": _constraints,
    "neo4j_posts": lambda connected, _: graph_info.count(connected, "Post"),
    "neo4j_foreign": lambda connected, _: graph_info.foreign(connected),
    "neo4j_repeated_links": lambda connected, _: graph_info.repeated_links(connected),
    "neo4j_bare_channels": lambda connected, _: graph_info.bare_channels(connected),
    "neo4j_clock": lambda connected, _: graph_info.clock_ahead(connected),
}


def answer(where: str, call: Callable[[], object]) -> Answer:
    """Return how long a call takes, or its error."""
    start = time.monotonic()
    result = _tried(call)
    error = result if isinstance(result, GraphwriterError) else None
    return Answer(where, time.monotonic() - start, error)


def _tried(call: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except GraphwriterError as error:
        return error
    except Exception as error:  # noqa: BLE001 - a fact that fails is reported like any other
        return GraphwriterError(f"{type(error).__name__}: {error}")


def _skip(
    values: dict[str, Any], names: Mapping[str, object], server: str, error: GraphwriterError
) -> None:
    problem = "denies access" if isinstance(error, ConfigError) else "does not answer"
    values.update(dict.fromkeys(names, Skipped(f"{server} {problem}")))


def _workers(config: Config) -> list[heartbeat.WorkerState]:
    """Return the newest heartbeat of each worker of this stream and group, also stopped ones."""
    newest = heartbeat.newest(
        state
        for state in heartbeat.read_all(config.run_path(), stopped=True)
        if state.consumer and (state.stream, state.group) == (config.stream, config.group)
    )
    return [newest[name] for name in sorted(newest)]


def _cli(config: Config, environ: Mapping[str, str]) -> str:
    """Return how redis-cli connects to our Redis, without a secret."""
    scheme = config.redis_url.partition("://")[0]
    if scheme in ("redis", "rediss") and environ.get("REDIS_URL") == config.redis_url:
        return 'redis-cli -u "$REDIS_URL"'
    if scheme in ("redis", "rediss") and environ.get("REDIS_URL_FILE"):
        return 'redis-cli -u "$(cat "$REDIS_URL_FILE")"'
    return "redis-cli"


def _user(url: str) -> str:
    try:
        return urlsplit(url).username or "default"
    except ValueError:
        return "default"
