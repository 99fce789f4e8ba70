"""Collects what the checks look at, from here and from three servers at once.

A fact is a value, or the error that came instead. Nothing is changed anywhere, no run directory is
made, and every server has its time: what takes longer is left where it is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from graphwriter import status
from graphwriter.config import Config
from graphwriter.database.connection import Connection
from graphwriter.errors import ConfigError, GraphwriterError, TooBig, Unavailable
from graphwriter.graph import Graph, duplicates, schema
from graphwriter.graph import connect as neo4j_connect
from graphwriter.graph import info as neo4j
from graphwriter.stream import DeadLetters, connect, looking
from graphwriter.stream import info as redis
from graphwriter.stream.client import Client, GroupGone, place
from graphwriter.worker import heartbeat

T = TypeVar("T")
Facts = dict[str, Any]

BUSY = 10.0  # and for one of Neo4j, which plans each of the questions for the first time
LIMIT = 40.0  # seconds for all that one server is asked


class Answer(msgspec.Struct):
    """Whether a server answers, or does as it was asked: how fast in seconds, or what it says."""

    place: str
    seconds: float = 0.0
    error: GraphwriterError | None = None


class Skipped(GraphwriterError):
    """Stands for a fact that was not asked for, since its server is away or refuses us."""


def gather(
    config: Config, wrong: list[ConfigError], environ: Mapping[str, str], limit: float = LIMIT
) -> Facts:
    """Return every fact by its name. Blocks for `limit` seconds at most, and raises nothing."""
    facts: Facts = {
        "config": config,
        "wrong_values": wrong,
        "environ": environ,
        "redis_user": _user(config.redis_url),
        "cli": _cli(config, environ),
        "workers": _workers(config),
        "now": time.time(),
    }
    threads = [
        threading.Thread(target=_tried, args=(ask, config, facts), daemon=True)
        for ask in (_ask_redis, _ask_neo4j, _ask_postgres)
    ]
    for thread in threads:
        thread.start()
    end = time.monotonic() + limit
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    late = Unavailable(f"there was no answer within {limit:g} s")
    return {"redis": Answer("", error=late), "neo4j": Answer("", error=late)} | dict(facts)


def _ask_redis(config: Config, facts: Facts) -> None:
    try:
        client = connect(config.redis_url, config.stream, timeout=status.PATIENCE, retries=1)
    except ConfigError as error:
        facts["redis"] = Answer("", error=error)
        return _skip(facts, _REDIS, "Redis", error)
    try:
        facts["redis"] = answer(place(client), lambda: redis.ping(client))
        if facts["redis"].error is not None:
            return _skip(facts, _REDIS, "Redis", facts["redis"].error)
        for name, ask in _REDIS.items():
            facts[name] = _tried(ask, client, config)
    finally:
        client.close()


def _ask_neo4j(config: Config, facts: Facts) -> None:
    with closing(neo4j_connect(config, timeout=BUSY, retry=0.0, patience=status.PATIENCE)) as graph:
        facts["neo4j"] = answer(graph.uri, graph.check)
        if facts["neo4j"].error is None:
            for name, ask in _NEO4J.items():
                facts[name] = _tried(ask, graph)
            return
    _skip(facts, _NEO4J, "Neo4j", facts["neo4j"].error)
    if "DatabaseUnavailable" in str(facts["neo4j"].error):
        with closing(
            neo4j_connect(
                config, database="system", timeout=BUSY, retry=0.0, patience=status.PATIENCE
            )
        ) as graph:  # which knows how the others are
            facts["neo4j_version"] = _tried(neo4j.version, graph)
            facts["neo4j_state"] = _tried(neo4j.state, graph, config.neo4j_database)


def _ask_postgres(config: Config, facts: Facts) -> None:
    if not config.database_url:
        facts["postgres"] = None
        return
    try:
        connection = Connection(config.database_url)
    except ConfigError as error:
        facts["postgres"] = Answer("", error=error)
        return

    def ask() -> None:
        with connection.reading() as one:
            one.execute("SELECT 1")

    try:
        facts["postgres"] = answer(connection.place, ask)
    finally:
        connection.close()


def _in_group(ask: Callable[[Client, str, str], T], nothing: T) -> Callable[[Client, Config], T]:
    def asked(client: Client, config: Config) -> T:
        try:
            return ask(client, config.stream, config.group)
        except GroupGone:
            return nothing

    return asked


def _repeated(graph: Graph) -> list[str]:
    """Return the missing constraints that nodes which are there twice stand in the way of."""
    try:
        return [name for name in schema.missing(graph) if duplicates.count(graph, name)]
    except TooBig:
        return []  # that they are missing is told all the same


_REDIS: dict[str, Callable[[Client, Config], Any]] = {
    "look": lambda client, config: looking.look(client, config.stream, config.group),
    "ends": lambda client, config: redis.ends(client, config.stream),
    "groups": lambda client, config: redis.groups(client, config.stream),
    "held": _in_group(redis.held, []),
    "often": _in_group(redis.often, None),
    "gone": _in_group(redis.gone, 0),
    "letters": lambda client, config: DeadLetters(client, config.stream, config.group).latest(
        status.LETTERS
    ),
    "redis_info": lambda client, _: redis.info(client),
    "redis_saving": lambda client, _: redis.saving(client),
    "redis_ahead": lambda client, _: redis.ahead(client),
}
_NEO4J: dict[str, Callable[[Graph], Any]] = {
    "neo4j_version": neo4j.version,
    "neo4j_state": lambda graph: neo4j.state(graph, graph.database),
    "neo4j_writes": lambda graph: answer(graph.uri, lambda: neo4j.probe(graph)),
    "neo4j_missing": schema.missing,
    "neo4j_repeated": _repeated,
    "neo4j_posts": lambda graph: graph.read(neo4j.COUNTS["Post"])[0]["number"],
    "neo4j_foreign": neo4j.foreign,
    "neo4j_doubled": neo4j.doubled,
    "neo4j_bare": neo4j.bare,
    "neo4j_ahead": neo4j.ahead,
}


def answer(where: str, ask: Callable[[], object]) -> Answer:
    """Return how long it takes to ask, or the error that comes of it."""
    start = time.monotonic()
    found = _tried(ask)
    error = found if isinstance(found, GraphwriterError) else None
    return Answer(where, time.monotonic() - start, error)


def _tried(ask: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return ask(*arguments)
    except GraphwriterError as error:
        return error
    except Exception as error:  # noqa: BLE001 - a question that breaks is told of like any other
        return GraphwriterError(f"{type(error).__name__}: {error}")


def _skip(facts: Facts, names: Mapping[str, object], server: str, error: GraphwriterError) -> None:
    how = "refuses us" if isinstance(error, ConfigError) else "does not answer us"
    facts.update(dict.fromkeys(names, Skipped(f"{server} {how}")))


def _workers(config: Config) -> list[heartbeat.WorkerState]:
    """Return the newest file of each worker of this stream and group here, the stopped ones too."""
    found = heartbeat.newest(
        one
        for one in heartbeat.read_all(config.run_path(), stopped=True)
        if one.consumer and (one.stream, one.group) == (config.stream, config.group)
    )
    return [found[name] for name in sorted(found)]


def _cli(config: Config, environ: Mapping[str, str]) -> str:
    """Return how redis-cli finds our Redis, without a secret."""
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
