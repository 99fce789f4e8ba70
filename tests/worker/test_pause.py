"""A paused group: workers write what they have read, read no more, and go on when they may."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import neo4j
import pytest
import redis
from support.graphs import rows, values
from support.names import GROUP, STREAM
from support.neo4j import Server
from support.waits import until

from graphwriter.graph import Graph
from graphwriter.stream import Stream, acl, pause
from graphwriter.stream.pause import Pause
from graphwriter.worker import writer as writing
from graphwriter.worker.writer import Writer

Make = Callable[..., Writer]


@pytest.fixture
def make(
    valkey_url: str,
    redis_client: redis.Redis,
    neo4j_server: Server,
    graph_empty: neo4j.Driver,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Make]:
    """Makes a writer for the test's servers, which looks for a pause ten times a second."""
    monkeypatch.setattr(writing, "PAUSE_STEP", 0.1)
    with ExitStack() as stack:

        def made(url: str = valkey_url, **settings: Any) -> Writer:
            stream = Stream(url, STREAM, GROUP, "w", block=0.1)
            stack.callback(stream.close)
            login = neo4j_server.auth or (None, None)
            graph = stack.enter_context(Graph(neo4j_server.uri, *login))
            return Writer(stream, graph, **settings)

        yield made


def add(client: redis.Redis, first: int, last: int) -> None:
    for number in range(first, last + 1):
        client.xadd(STREAM, {"data": json.dumps(values(number))})


def delivered(client: redis.Redis) -> tuple[int, int]:
    """How many entries are unread, and how many are pending."""
    (group,) = client.xinfo_groups(STREAM)
    return group["lag"], group["pending"]


def test_a_paused_worker_reads_nothing_and_goes_on_when_the_pause_ends(
    make: Make, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """It says so in its heartbeat and in the log, and needs no restart."""
    caplog.set_level(logging.INFO, "graphwriter")
    doing: list[str] = []
    writer = make(progress=doing.append)
    writer.run_once()
    pause.start(redis_client, STREAM, GROUP, Pause(time.time(), "me on here", "Neo4j is updated"))
    until(lambda: not writer.run_once() and writer.pause is not None)
    add(redis_client, 1, 3)
    doing.clear()
    assert [writer.run_once() for _ in range(3)] == [0, 0, 0]
    assert set(doing) == {"paused"}
    assert delivered(redis_client) == (3, 0)
    assert "paused by me on here: Neo4j is updated" in caplog.messages

    assert pause.end(redis_client, STREAM, GROUP)
    until(lambda: writer.run_once() == 3)
    assert delivered(redis_client) == (0, 0)
    assert "the pause is over" in caplog.messages
    assert rows(writer.graph, "MATCH (p:Post) RETURN count(p)") == [[3]]


def test_what_was_read_ahead_is_written_before_the_worker_rests(
    make: Make, redis_client: redis.Redis
) -> None:
    writer = make(batch_size=10)
    add(redis_client, 1, 100)
    running = threading.Thread(target=writer.run)
    running.start()
    try:
        until(lambda: writer.counts.written > 0)
        pause.start(redis_client, STREAM, GROUP, Pause(time.time()))
        until(lambda: writer.pause is not None and not delivered(redis_client)[1])
        unread, pending = delivered(redis_client)
        time.sleep(0.5)
        assert delivered(redis_client) == (unread, pending)
        assert pending == 0
        assert rows(writer.graph, "MATCH (p:Post) RETURN count(p)") == [[100 - unread]]
        add(redis_client, 101, 101)
        pause.end(redis_client, STREAM, GROUP)
        until(lambda: delivered(redis_client) == (0, 0))
    finally:
        writer.stop()
        running.join(20)
    assert not running.is_alive()


def test_a_worker_that_starts_in_a_pause_asks_neither_for_entries_nor_neo4j(
    make: Make, redis_client: redis.Redis
) -> None:
    """Neo4j may be away, which the pause is for."""
    redis_client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    pause.start(redis_client, STREAM, GROUP, Pause(time.time()))
    add(redis_client, 1, 1)
    writer = make()
    writer.graph = Graph("bolt://127.0.0.1:1")
    assert [writer.run_once() for _ in range(2)] == [0, 0]
    assert (writer.error, delivered(redis_client)) == (None, (1, 0))


def test_a_key_that_another_program_has_set_is_a_pause(
    make: Make, redis_client: redis.Redis
) -> None:
    writer = make()
    writer.run_once()
    redis_client.set(pause.key(STREAM, GROUP), "yes")
    until(lambda: not writer.run_once() and writer.pause is not None)


def test_another_group_goes_on(make: Make, redis_client: redis.Redis) -> None:
    pause.start(redis_client, STREAM, "another", Pause(time.time()))
    add(redis_client, 1, 1)
    writer = make()
    until(lambda: writer.run_once() == 1)


def test_a_worker_whose_user_may_not_read_the_pause_works_and_says_so_once(
    make: Make, redis_client: redis.Redis, valkey_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As one whose user was made by an older `graphwriter acl`."""
    line = next(one for one in acl.users(STREAM, GROUP) if "-worker " in one)
    name, *rights = line.removeprefix("user ").replace(" +get", "").split(" ")
    admin: Any = redis_client
    admin.execute_command("ACL", "SETUSER", name, *rights, ">secret")
    try:
        writer = make(valkey_url.replace("://", f"://{name}:secret@"))
        add(redis_client, 1, 1)
        until(lambda: writer.run_once() == 1)
        time.sleep(0.2)
        writer.run_once()
    finally:
        admin.execute_command("ACL", "DELUSER", name)
    assert sum("a pause of the group is not seen" in text for text in caplog.messages) == 1
