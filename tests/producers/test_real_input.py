"""Real input, all the way: command, stream, pool of workers, Neo4j, against the whole model."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import neo4j
import pytest
from support.model import Model, assert_same, read_graph
from support.paths import DATA
from support.product import digest

from graphwriter.config import load
from graphwriter.producers import desktop
from graphwriter.producers.telethon import dump
from graphwriter.stream import DeadLetters, Stream, info
from graphwriter.worker.pool import Pool

EVENTS = DATA / "real-events-10k.jsonl.gz"
EXPORT = DATA / "desktop-export" / "result.json"
DUMP = DATA / "telethon-dump" / "channel_messages.json"

pytestmark = pytest.mark.skipif(not DATA.exists(), reason=f"no real data at {DATA}")


@pytest.fixture
def environ(pool_environ: dict[str, str]) -> dict[str, str]:
    """The variables of three workers with small batches."""
    return pool_environ | {"GRAPH_WRITER_WORKERS": "3", "GRAPH_WRITER_BATCH_SIZE": "200"}


@pytest.fixture
def pool(environ: dict[str, str], tmp_path: Path) -> Iterator[Pool]:
    """Three workers under supervisord."""
    config = load(environ)
    with (tmp_path / "pool.log").open("wb") as log:
        made = Pool(config, config.directory(), environ, log)
        made.start()
        yield made
        made.stop()


def command(environ: dict[str, str], *arguments: str) -> str:
    """Run a command as a person would; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "graphwriter", *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def drain(pool: Pool, limit: float = 60.0) -> Stream:
    """Wait until everything is written."""
    stream = Stream(pool.config.redis_url, pool.config.stream, pool.config.group, "test")
    deadline = time.monotonic() + limit
    while not info.drained(stream.client, stream.name, stream.group):
        assert time.monotonic() < deadline, info.stream(stream.client, stream.name, stream.group)
        time.sleep(0.05)
    return stream


@pytest.mark.slow
def test_ten_thousand_real_events_become_the_models_graph(
    pool: Pool, environ: dict[str, str], graph_empty: neo4j.Driver
) -> None:
    """Published twice, the second time beside the first: nothing is there twice."""
    expected = Model(time.time, digest)
    with gzip.open(EVENTS) as lines:
        for line in lines:
            assert expected.apply({b"data": line.strip()}) is None
    assert "published 10,000 events" in command(environ, "publish", str(EVENTS))
    command(environ, "publish", str(EVENTS))
    stream = drain(pool)
    assert len(DeadLetters(stream.client, stream.name, stream.group)) == 0
    assert_same(expected.graph(), read_graph(graph_empty))
    stream.close()


def test_a_real_desktop_export_and_a_real_telethon_dump_become_the_models_graph(
    pool: Pool, environ: dict[str, str], graph_empty: neo4j.Driver
) -> None:
    """924 messages, replies into another chat, signatures; 100 posts newest first, six replies."""
    expected = Model(time.time, digest)
    for event in (*desktop.events(EXPORT), *dump.events(DUMP)):
        assert expected.apply({b"data": json.dumps(event).encode()}) is None
    command(environ, "import", "desktop", str(EXPORT))
    said = command(environ, "import", "telethon", str(DUMP))
    assert said == "published 100 events to stream:posts:parsed\n1 chat read\n"
    drain(pool).close()
    graph = read_graph(graph_empty)
    assert_same(expected.graph(), graph)
    assert len(graph["replies"]) == 84 + 6
    assert sum(1 for author, _ in graph["authored"].values() if author[0] == "channel") > 100
