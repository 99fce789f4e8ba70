"""graphwriter status: one screen for people, and the same for programs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import redis
from fix_exporter import Exporter

from graphwriter import state, status
from graphwriter.counts import LATENCY, Counts, Spread
from graphwriter.trend import Trend

STREAM, GROUP = "stream:posts:parsed", "graph_writer"


@pytest.fixture
def at_work(pool_environ: dict[str, str], redis_client: redis.Redis) -> dict[str, str]:
    """A stream with a group, and the file of a worker that wrote 500 events in five seconds."""
    for number in range(3):
        redis_client.xadd(STREAM, {"data": str(number)})
    redis_client.xgroup_create(STREAM, GROUP, id="0")
    redis_client.xreadgroup(GROUP, "elsewhere", {STREAM: ">"}, count=2)
    now = time.time()
    latency = Spread()
    latency.add(LATENCY, 0.2)
    counts = Counts(entries=1500, written=1500, latency=latency)
    told = state.State(
        "a-worker-with-quite-a-long-name-00", STREAM, GROUP, os.getpid(), now, now, 1.0,
        "writing", counts, track=[(now - 5, 1000), (now, 1500)],
    )  # fmt: skip
    run = Path(pool_environ["GRAPH_WRITER_RUN_DIR"])
    run.mkdir(mode=0o700)
    (run / "w.json").write_bytes(msgspec.json.encode(told))
    return pool_environ


def test_one_screen_of_80_columns_tells_it_all(at_work: dict[str, str]) -> None:
    """Stream, lag, pending, rates, servers, each worker, and consumers that are elsewhere."""
    done = subprocess.run(
        [sys.executable, "-m", "graphwriter", "status"],
        env=os.environ | at_work | {"COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) < 24
    for words in (
        "3 entries", "1 unread (oldest", "2 pending (oldest", "from XADD to written",
        "0 dead letters", "Redis", "Neo4j", "1,500", "elsewhere: 2 pending",
    ):  # fmt: skip
        assert words in done.stdout, words
    assert 50 <= float(done.stdout.partition("out ")[2].partition("/s")[0]) <= 100


def test_watch_goes_on_until_it_is_interrupted(at_work: dict[str, str]) -> None:
    """A line of JSON every two seconds; Ctrl-C is no error."""
    watching = subprocess.Popen(
        [sys.executable, "-m", "graphwriter", "status", "--watch", "--json"],
        env=os.environ | at_work,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout is not None
    first, second = (json.loads(watching.stdout.readline()) for _ in range(2))
    watching.send_signal(signal.SIGINT)
    assert watching.wait(20) == 0
    watching.stdout.close()
    assert second["time"] - first["time"] > 1.5
    assert (first["incoming"], second["incoming"]) == (None, 0)


def test_the_page_the_metrics_and_the_command_tell_the_same(
    at_work: dict[str, str], exporter: Callable[..., Exporter]
) -> None:
    """They show what one function collects."""
    told = json.loads(exporter().get("status.json").text)
    done = subprocess.run(
        [sys.executable, "-m", "graphwriter", "status", "--json"],
        env=os.environ | at_work,
        capture_output=True,
        text=True,
        check=True,
    )
    printed = json.loads(done.stdout)
    assert printed.keys() == told.keys()
    for name in ("stream", "length", "unread", "pending", "dead", "totals"):
        assert printed[name] == told[name], name


def test_a_trend_tells_of_the_last_minute_alone() -> None:
    """What came in is told by the stream, latency by what was counted since."""
    trend = Trend()
    server = status.Server("here")
    old, new = Spread(), Spread()
    old.add(LATENCY, 100.0)
    new.add(LATENCY, 0.2)
    for second, added, spread in ((0, 0, old), (50, 500, old), (60, 600, old.plus(new))):
        counts = Counts(entries=second, latency=spread)
        told = status.Pipeline(second, STREAM, GROUP, server, added=added, totals=counts)
        summary = trend.add(told)
    assert summary.incoming == 10
    assert summary.latency is not None
    assert 0.1 <= summary.latency[0] <= 0.25
