"""One pool of workers for several streams, whose workers are killed."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import neo4j
import pytest
import redis
from support.model import Model, assert_same, read_graph
from support.names import GROUP
from support.product import digest
from support.waits import until

from graphwriter import partitions
from graphwriter.config import load
from graphwriter.producers.demo import demo
from graphwriter.producers.publisher import EventPublisher
from graphwriter.stream import DeadLetters, info
from graphwriter.worker.pool import Pool

SETTING = "posts:{0..1}"
NAMES = partitions.names(SETTING)


@pytest.mark.timeout(200)
def test_workers_that_are_killed_lose_and_double_nothing_of_two_streams(
    pool_environ: dict[str, str],
    redis_client: redis.Redis,
    graph_empty: neo4j.Driver,
    tmp_path: Path,
) -> None:
    """Graph and dead letters are those of the reference model, of what both streams hold."""
    environ = pool_environ | {
        "GRAPH_WRITER_STREAM": SETTING,
        "GRAPH_WRITER_WORKERS": "2",
        "GRAPH_WRITER_BATCH_SIZE": "100",
    }
    config = load(environ)
    choice = random.Random(3)

    def at_work() -> list[int]:
        """The processes of the workers that read or write."""
        states = [one for one in pool.workers() if one.there]
        return [one.pid for one in states if one.doing in ("reading", "writing")]

    with (tmp_path / "pool.log").open("wb") as log:
        pool = Pool(config, config.directory(), environ, log)
        pool.start(60)
        try:
            with EventPublisher(environ["REDIS_URL"], SETTING) as publisher:
                for number, event in enumerate(demo.events(3000, 5)):
                    publisher.publish(event)
                    if number % 600 == 500:
                        publisher.flush()
                        until(at_work)
                        os.kill(choice.choice(at_work()), signal.SIGKILL)
            until(lambda: all(info.drained(redis_client, name, GROUP) for name in NAMES), 90)
            consumers = {
                one.name: one.pending
                for name in NAMES
                for one in info.stream(redis_client, name, GROUP).consumers
            }
        finally:
            pool.stop()
    assert set(consumers.values()) == {0}
    model = Model(time.time, digest)
    refused: dict[str, set[str]] = {name: set() for name in NAMES}
    for name in NAMES:
        entries: Any = redis_client.xrange(name)
        assert len(entries) > 500
        for key, fields in entries:
            assert partitions.of(NAMES, fields) == name
            if model.apply(fields, key.decode()):
                refused[name].add(key.decode())
        letters = DeadLetters(redis_client, name, GROUP).list()
        assert {letter.source_id for letter in letters} == refused[name]
        assert not redis_client.exists(f"{name}:tries:{GROUP}")
    assert refused[NAMES[0]]
    assert_same(model.graph(), read_graph(graph_empty))
