"""A server is unavailable for some time, and workers are killed and started meanwhile."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import neo4j
import pytest
import redis
from support.names import GROUP, STREAM
from support.neo4j import Server
from support.proxy import Proxy
from support.waits import until

from graphwriter.config import load
from graphwriter.errors import Unavailable
from graphwriter.graph import Graph
from graphwriter.graph.batch import fold
from graphwriter.producers.demo.entries import form_a
from graphwriter.stream import DeadLetters, Stream, info
from graphwriter.worker.pool import Pool

OUTAGES = 3
KILLS = 2  # of every worker, in each
SOON = 5.0  # seconds until all is written, once the server is back


def _events() -> Iterator[dict[bytes, bytes]]:
    number = 0
    while True:
        number += 1
        yield form_a(
            {
                "schema_version": "v1",
                "occurred_at": "2024-05-01T10:00:00Z",
                "idempotency_key": f"k{number}",
                "tenant_id": "t",
                "channel_id": "c",
                "post_id": f"p{number}",
                "tg_channel_id": -1001179270258,
                "telegram_message_id": number,
                "reply_to_message_id": number + 1,
            }
        )


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("away", ["neo4j", "redis"])
def test_an_outage_costs_nothing_and_ends_when_the_server_is_back(
    away: str,
    pool_environ: dict[str, str],
    redis_client: redis.Redis,
    graph_empty: neo4j.Driver,
    proxy: Callable[[str], Proxy],
    tmp_path: Path,
) -> None:
    """No dead letter, no delivery counted, however often workers come and go meanwhile."""
    to_neo4j = proxy(pool_environ["NEO4J_URI"].replace("neo4j://", "bolt://"))
    to_redis = proxy(pool_environ["REDIS_URL"])
    environ = pool_environ | {
        "NEO4J_URI": to_neo4j.url,
        "REDIS_URL": to_redis.url,
        "GRAPH_WRITER_WORKERS": "2",
    }
    config, events = load(environ), _events()
    link = to_neo4j if away == "neo4j" else to_redis
    stream = Stream(pool_environ["REDIS_URL"], STREAM, GROUP, "test")
    took = []
    with (tmp_path / "pool.log").open("ab") as log:
        pool = Pool(config, config.directory(), environ, log)
        pool.start(60)
        try:
            for _ in range(OUTAGES):
                _add(redis_client, events)
                until(lambda: info.drained(stream.client, stream.name, stream.group))
                link.stop()
                _add(redis_client, events)
                for _ in range(KILLS):
                    _kill(pool)
                assert max(_deliveries(redis_client), default=1) == 1
                link.start()
                took.append(until(lambda: info.drained(stream.client, stream.name, stream.group)))
        finally:
            pool.stop()
            stream.close()
    assert len(DeadLetters(redis_client, STREAM, GROUP)) == 0
    (posts,) = graph_empty.execute_query("MATCH (p:Post) RETURN count(p)").records[0]
    assert posts == redis_client.xlen(STREAM)
    assert median(took) < SOON, took


def _add(client: redis.Redis, events: Iterator[Any]) -> None:
    pipe = client.pipeline(transaction=False)
    for fields in islice(events, 200):
        pipe.xadd(STREAM, fields)
    pipe.execute()


def _kill(pool: Pool) -> None:
    """Kill every worker, and wait for those that supervisord starts in their place."""
    before = {state.pid for state in pool.workers()}
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len({s.pid for s in pool.workers()} - before) == 2)


def _deliveries(client: redis.Redis) -> list[int]:
    rows: Any = client.xpending_range(STREAM, GROUP, "-", "+", 1000)
    return [row["times_delivered"] for row in rows]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["write", "read", "probe"])
def test_a_half_open_connection_is_noticed_in_the_promised_time(
    neo4j_server: Server, graph_empty: neo4j.Driver, kind: str
) -> None:
    """A firewall forgets the session: nothing comes back, and nobody says so."""
    proxy = Proxy(neo4j_server.uri).start()
    login = neo4j_server.auth or (None, None)
    timeout, retry, connect = 6.0, 10.0, 1.0
    graph = Graph(proxy.url, *login, timeout=timeout, retry=retry, connect=connect)

    def call() -> None:
        if kind == "write":
            graph.write(fold(()))
        elif kind == "read":
            graph.rows("RETURN 1")
        else:
            graph.check()

    with graph:
        call()
        proxy.deaf = True
        begun = time.monotonic()
        with pytest.raises(Unavailable):
            call()
        assert time.monotonic() - begun < timeout + retry + connect
        proxy.deaf = False
        call()
    proxy.stop()
