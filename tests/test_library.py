"""The library: the same loop and statement inside another service."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import neo4j
import pytest
import redis
import redis.asyncio
from support.neo4j import Server
from support.waits import until

import graphwriter
from graphwriter import BadEvent, ConfigError, EventPublisher, GraphWriter, Neo4jClient, Unavailable

CHANNEL, STREAM = -1001179270258, "stream:posts:parsed"
EVENT = {
    "schema_version": "v1",
    "occurred_at": "2024-05-01T10:00:00Z",
    "idempotency_key": "k",
    "tenant_id": "t",
    "channel_id": "c",
    "post_id": "p7",
    "tg_channel_id": CHANNEL,
    "telegram_message_id": 7,
    "reply_to_message_id": 5,
}


@pytest.fixture
def client(neo4j_server: Server, graph_empty: neo4j.Driver) -> Iterator[Neo4jClient]:
    """A connected client of an empty graph."""
    with Neo4jClient(neo4j_server.uri, *(neo4j_server.auth or ())) as connected:
        yield connected


def links(driver: neo4j.Driver) -> list[tuple[object, ...]]:
    """Every link, as (label of the start, type, properties, what it leads to)."""
    query = """MATCH (a)-[r]->(b) RETURN labels(a), type(r), properties(r),
        coalesce(b.source_id, b.telegram_message_id)"""
    return [tuple(record.values()) for record in driver.execute_query(query).records]


def test_everything_it_offers_can_be_imported() -> None:
    """Each name in __all__ is there, with a docstring where it is a class."""
    for name in graphwriter.__all__:
        offered = getattr(graphwriter, name)
        assert offered.__doc__, name
    with pytest.raises(AttributeError, match="nonsense"):
        getattr(graphwriter, "nonsense")  # noqa: B009 - the module's own __getattr__


def test_run_once_writes_what_a_read_returns(
    client: Neo4jClient, redis_client: redis.Redis, graph_empty: neo4j.Driver
) -> None:
    """The first step makes group and constraints, the second writes and acknowledges."""
    with EventPublisher(_url(redis_client)) as publisher:
        assert publisher.publish_all([EVENT]) == 1
    writer = GraphWriter(client, redis_client)
    assert [writer.run_once(), writer.run_once()] == [0, 1]
    assert links(graph_empty) == [(["Message", "Post"], "REPLIES_TO", {}, 5)]
    assert redis_client.xpending(STREAM, "graph_writer")["pending"] == 0
    assert writer.counts.written == 1
    writer.close()


def test_a_client_that_decodes_and_a_name_of_its_own_are_no_hindrance(
    client: Neo4jClient, redis_client: redis.Redis
) -> None:
    """Only the connection settings of the given client are used."""
    theirs = redis.Redis.from_url(_url(redis_client), decode_responses=True, socket_timeout=0.01)
    theirs.xadd(STREAM, {"data": "\N{SNOWMAN}"})
    writer = GraphWriter(client, theirs, consumer_name="mine", consumer_group="other")
    writer.run_once()
    writer.run_once()
    assert writer.counts.dead == 1
    assert redis_client.xinfo_consumers(STREAM, "other")[0]["name"] == b"mine"
    writer.close()
    theirs.close()


def test_start_consuming_runs_in_a_thread_of_an_asyncio_service(
    client: Neo4jClient, redis_client: redis.Redis
) -> None:
    """`asyncio.to_thread` is all that an asyncio host needs, and `stop` ends it."""
    writer = GraphWriter(client, redis_client)

    async def service() -> None:
        consuming = asyncio.create_task(asyncio.to_thread(writer.start_consuming))
        with EventPublisher(_url(redis_client)) as publisher:
            await asyncio.to_thread(publisher.publish_all, [EVENT])
        async with asyncio.timeout(20):
            while not writer.counts.written:
                await asyncio.sleep(0.02)
            writer.stop()
            await consuming

    asyncio.run(service())
    writer.close()


def test_an_asyncio_client_is_refused_with_a_line(client: Neo4jClient) -> None:
    """The loop is synchronous: an asyncio client of Redis cannot serve it."""
    with pytest.raises(ConfigError, match=r"redis\.asyncio.*synchronous"):
        GraphWriter(client, redis.asyncio.Redis())
    with pytest.raises(ConfigError, match=r"expected graphwriter\.Neo4jClient"):
        GraphWriter(object(), redis.Redis())  # type: ignore[arg-type]


def test_links_can_be_created_one_by_one(client: Neo4jClient, graph_empty: neo4j.Driver) -> None:
    """Each create method writes its facet, and says whether the graph changed."""
    when = datetime(2024, 5, 1, tzinfo=UTC)
    forward = {"forward_from_peer_id": {"channel_id": 9}, "forward_from_message_id": 3}
    for _ in range(2):
        changed = [
            client.create_forward_relationship(CHANNEL, 7, **forward, occurred_at=when),  # type: ignore[arg-type]
            client.create_reply_relationship(CHANNEL, 7, reply_to_message_id=5, occurred_at=when),
            client.create_author_relationship(CHANNEL, 7, author_name="Ann", occurred_at=when),
        ]
    assert changed == [False, False, False]
    found = {row[1]: row for row in links(graph_empty)}
    assert found.keys() == {"FORWARDED_FROM", "FORWARDED_FROM_POST", "REPLIES_TO", "AUTHOR_OF"}
    assert found["FORWARDED_FROM"][3] == "9"
    assert found["FORWARDED_FROM_POST"][3] == 3
    assert found["REPLIES_TO"][0] == ["Message", "Post"]
    assert found["AUTHOR_OF"][2] == {"signature": "Ann"}


def test_a_newer_call_moves_a_link_and_an_older_one_does_not(
    client: Neo4jClient, graph_empty: neo4j.Driver
) -> None:
    """The same rule as for events: the newest wins, what is left behind goes."""
    assert client.create_reply_relationship(CHANNEL, 7, reply_to_message_id=5)
    assert not client.create_reply_relationship(
        CHANNEL, 7, reply_to_message_id=6, occurred_at="2020-01-01T00:00:00Z"
    )
    assert client.create_reply_relationship(CHANNEL, 7)
    assert links(graph_empty) == []
    (count,) = graph_empty.execute_query("MATCH (n) RETURN count(n)").records[0]
    assert count == 1


def test_an_event_fills_in_a_post_that_only_had_links(
    client: Neo4jClient, redis_client: redis.Redis, graph_empty: neo4j.Driver
) -> None:
    """A created link makes no claim about the post's own fields, however new it is."""
    client.create_author_relationship(CHANNEL, 7, author_name="Ann")
    with EventPublisher(_url(redis_client)) as publisher:
        publisher.publish_all([EVENT])
    writer = GraphWriter(client, redis_client)
    writer.run_once()
    writer.run_once()
    (post_id,) = graph_empty.execute_query("MATCH (p:Post) RETURN p.post_id").records[0]
    assert post_id == "p7"
    writer.close()


def test_wrong_arguments_and_servers_are_named(client: Neo4jClient) -> None:
    """A bad argument is a BadEvent, an unavailable server Unavailable, a bad URI ConfigError."""
    with pytest.raises(BadEvent, match="reply_to_message_id is 'x'"):
        client.create_reply_relationship(CHANNEL, 7, reply_to_message_id="x")  # type: ignore[arg-type]
    with pytest.raises(BadEvent, match="replies to itself"):
        client.create_reply_relationship(CHANNEL, 7, reply_to_message_id=7)
    away = Neo4jClient("bolt://127.0.0.1:1")
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1 does not answer"):
        away.connect()
    away.close()
    with pytest.raises(ConfigError, match="NEO4J_URI"):
        Neo4jClient("http://127.0.0.1").connect()


@pytest.mark.parametrize(
    "uri",
    [
        "bolt://127.0.0.1:1?password=S3cret",
        "neo4j://127.0.0.1:1?password=S3cret",
        "bolt://127.0.0.1:1/#S3cret",
        "bolt://neo4j:S3cret@127.0.0.1:1",
        "S3cret",
    ],
)
def test_a_secret_in_the_uri_of_neo4j_is_not_said_again(uri: str) -> None:
    client = Neo4jClient(uri)
    with pytest.raises(ConfigError, match="NEO4J_URI") as raised:
        client.connect()
    assert "S3cret" not in f"{raised.value} {client.graph.uri} {client.graph.translate(OSError())}"


def test_a_fork_is_told_to_make_its_own(client: Neo4jClient, redis_client: redis.Redis) -> None:
    """Connections and a consumer's name that two processes share would mix their answers up."""
    writer = GraphWriter(client, redis_client)
    writer.run_once()
    ours, theirs = multiprocessing.Pipe()

    def child() -> None:
        for call in (writer.run_once, writer.start_consuming, client.graph.check):
            try:
                call()
            except ConfigError as error:
                theirs.send(str(error))
        theirs.close()

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(30)
    said = [ours.recv() for _ in range(3)]
    assert all(f"in process {os.getpid()}" in one and "after the fork" in one for one in said)
    assert writer.run_once() == 0
    writer.close()


def test_a_writer_that_was_stopped_can_start_again(
    client: Neo4jClient, redis_client: redis.Redis
) -> None:
    writer = GraphWriter(client, redis_client)
    for number in (1, 2):
        thread = threading.Thread(target=writer.start_consuming)
        thread.start()
        with EventPublisher(_url(redis_client)) as publisher:
            publisher.publish_all([EVENT | {"occurred_at": 1_760_000_000 + number}])
        until(lambda number=number: writer.counts.written == number)  # type: ignore[misc]
        writer.stop()
        thread.join(10)
        assert not thread.is_alive()
    writer.close()


def test_a_stopped_writer_stays_stopped(client: Neo4jClient, redis_client: redis.Redis) -> None:
    """`stop` before `start_consuming` is not forgotten."""
    writer = GraphWriter(client, redis_client)
    writer.stop()
    thread = threading.Thread(target=writer.start_consuming)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
    writer.close()


def _url(client: redis.Redis) -> str:
    known = client.connection_pool.connection_kwargs
    return f"redis://{known['host']}:{known['port']}/{known['db']}"
