"""graphwriter status: one screen for people, and the same for programs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from support.exporter import Exporter
from support.names import GROUP, STREAM
from support.paths import ROOT
from support.waits import until

from graphwriter import status
from graphwriter.config import load
from graphwriter.errors import EXIT_CONFIG
from graphwriter.graph import connect
from graphwriter.status import SHOWN_CONSUMERS, StatusReader, Summary, Trend
from graphwriter.worker import heartbeat
from graphwriter.worker.counts import LATENCY, Counts, Spread


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
    told = heartbeat.WorkerState(
        "a-worker-with-quite-a-long-name-00", STREAM, GROUP, os.getpid(), now, now,
        time.monotonic(), "writing", counts, track=[(now - 5, 1000), (now, 1500)],
    )  # fmt: skip
    run = Path(pool_environ["GRAPH_WRITER_RUN_DIR"])
    run.mkdir(mode=0o700)
    (run / "w.json").write_bytes(msgspec.json.encode(told))
    return pool_environ


def test_many_consumers_are_bounded_and_counted(
    redis_client: redis.Redis, pool_environ: dict[str, str]
) -> None:
    """The consumers of pods that are gone stay in the group."""
    redis_client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    for number in range(300):
        redis_client.xgroup_createconsumer(STREAM, GROUP, f"pod-{number}")
    config = load(pool_environ)
    with connect(config) as graph:
        pipeline = StatusReader(config, graph).pipeline()
    assert (len(pipeline.consumers), pipeline.consumer_count) == (SHOWN_CONSUMERS, 300)
    done = subprocess.run(
        [sys.executable, "-m", "graphwriter", "status"],
        env={**os.environ, **pool_environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "and 290 more" in done.stdout


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
        "3 entries", "1 unread (oldest", "2 pending (oldest", "end to end",
        "0 dead letters", "Redis", "Neo4j", "1,500", "elsewhere: 2 pending",
    ):  # fmt: skip
        assert words in done.stdout, words
    assert 50 <= float(done.stdout.partition("out ")[2].partition("/s")[0]) <= 100


def test_a_worker_without_progress_has_no_rate() -> None:
    """Not the one that it had before, however slowly it falls."""
    now = time.time()
    track = [(now - 10 + 2 * n, 100 * n) for n in range(6)]
    state = heartbeat.WorkerState(
        "w", STREAM, GROUP, os.getpid(), now, now, 0.0, "writing", Counts(written=500), track=track
    )
    assert state.rate(now) == pytest.approx(50)
    assert 15 < state.rate(now + 8) < 30
    assert state.rate(now + 13) == 0


def test_each_screen_of_watch_has_its_time_and_fits_80_columns(at_work: dict[str, str]) -> None:
    """Otherwise nobody sees that it stands still."""
    watching = subprocess.Popen(
        [sys.executable, "-m", "graphwriter", "status", "--watch"],
        env=os.environ | at_work | {"COLUMNS": "80"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout is not None
    lines: list[str] = []
    while sum("until Ctrl-C" in line for line in lines) < 2:
        lines.append(watching.stdout.readline())
    watching.send_signal(signal.SIGINT)
    assert watching.wait(20) == 0
    watching.stdout.close()
    times = [line for line in lines if "until Ctrl-C" in line]
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, every 2 s", one) for one in times)
    assert times[0] != times[1]
    assert max(len(line.rstrip("\n")) for line in lines) <= 80


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


def test_several_looks_tell_what_comes_in_and_whether_a_backlog_shrinks() -> None:
    """A backlog that is a minute old and no smaller than a minute ago is one that does not."""
    trend, server = Trend(), status.Server("here")

    def look(second: int, unread: int, oldest: float) -> Summary:
        told = status.Pipeline(
            second, STREAM, GROUP, server, added=10 * second, unread=unread, oldest_unread=oldest
        )
        return trend.add(told)

    assert (look(0, 500, 90.0).incoming, look(50, 500, 90.0).incoming) == (None, None)
    assert look(60, 500, 90.0) == Summary(10.0, True, [0.0] * 3)
    assert not look(61, 499, 90.0).behind
    assert not look(62, 5000, 20.0).behind


def test_a_worker_tells_of_the_last_five_minutes_alone(tmp_path: Path) -> None:
    """However long it runs, and whatever those of its name had to do before."""
    now = time.time()
    told = heartbeat.WorkerState(
        "w", STREAM, GROUP, os.getpid(), now, now, 1.0, "writing", Counts()
    )
    heart = heartbeat.Heartbeat(tmp_path / "w.json", told)
    told.counts.latency.add(LATENCY, 100.0)
    heart.beat("writing", now=True)
    assert told.recent.latency.count == 0
    told.counts.latency.add(LATENCY, 0.2)
    assert told.recent.latency.count == 1
    heart.beat("reading", now=True)
    assert len(told.marks) == 1
    for _ in range(heartbeat.MARKS_LENGTH):
        told.marks = [(when - heartbeat.MARKS_INTERVAL, spreads) for when, spreads in told.marks]
        heart.beat("reading", now=True)
    assert len(told.marks) == heartbeat.MARKS_LENGTH
    assert told.recent.latency.count == 0
    (left,) = heartbeat.read_all(tmp_path)
    assert left.recent == told.recent


def looked(one: Exporter) -> None:
    """Wait for the first look at Neo4j."""
    until(lambda: one.metrics()['graph_writer_up{server="neo4j"}'] == 1, 60)


def test_a_refusal_is_no_outage(
    at_work: dict[str, str], redis_client: redis.Redis, exporter: Callable[..., Exporter]
) -> None:
    """A Redis user that lacks a right, or a wrong password: 78, and it is called what it is."""
    client: Any = redis_client
    client.execute_command(
        "ACL", "SETUSER", "few", "on", ">secret-of-few", "~*", "+@all", "-xinfo|stream"
    )
    address = at_work["REDIS_URL"].partition("://")[2]
    try:
        for password, words in (("secret-of-few", "xinfo|stream"), ("wrong", "invalid username")):
            there = {"REDIS_URL": f"redis://few:{password}@{address}"}
            done = subprocess.run(
                [sys.executable, "-m", "graphwriter", "status"],
                env=os.environ | at_work | there | {"COLUMNS": "80"},
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == EXIT_CONFIG
            assert max(map(len, done.stdout.splitlines())) <= 80
            assert "DENIES ACCESS" in done.stdout
            assert words in done.stderr
            assert "DOES NOT ANSWER" not in done.stdout
            one = exporter(**there)
            looked(one)
            assert one.get("readyz").text == "Redis denies access\n"
            assert one.metrics()['graph_writer_refused{server="redis"}'] == 1
            assert one.metrics()['graph_writer_up{server="redis"}'] == 1
            page = one.get().text
            assert ">access denied</p>" in page
            assert "outage" not in page
            assert "does not answer" not in page
    finally:
        client.acl_deluser("few")


def test_an_outage_is_told_in_few_words_and_once(at_work: dict[str, str]) -> None:
    """By the server's line, and not by each worker that waits for it."""
    path = Path(at_work["GRAPH_WRITER_RUN_DIR"]) / "w.json"
    told = msgspec.json.decode(path.read_bytes(), type=heartbeat.WorkerState)
    told.error = "Neo4j at bolt://127.0.0.1:1 does not answer: Connection refused"
    path.write_bytes(msgspec.json.encode(told))
    done = subprocess.run(
        [sys.executable, "-m", "graphwriter", "status"],
        env=os.environ | at_work | {"COLUMNS": "80", "NEO4J_URI": "bolt://127.0.0.1:1"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "Neo4j    DOES NOT ANSWER: bolt://127.0.0.1:1: Connection refused\n" in done.stdout
    assert done.stdout.count("refused") == 1


def test_every_key_of_the_json_is_documented(at_work: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "graphwriter", "status", "--json"],
        env=os.environ | at_work, capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = json.loads(done.stdout)
    page = (ROOT / "docs" / "operations.md").read_text()
    table = page.partition("## The keys of `status --json`")[2].partition("\n## ")[0]
    known = set(re.findall(r"`(\w+)`", table))
    inner = {*told["workers"][0], *told["consumers"][0], *told["totals"], *told["redis"]}
    inner |= {*told["latency"], *msgspec.structs.asdict(status.Letter("", "", 0, "", ""))}
    assert {*told} | inner <= known, ({*told} | inner) - known


def test_workers_that_read_from_another_redis_are_left_out_and_counted(
    pool_environ: dict[str, str], redis_client: redis.Redis
) -> None:
    """Two pools on a machine with the same names of stream and group, in one run directory."""
    config = load(pool_environ)
    for name, place in (("own", None), ("other", "redis.example:6379/0")):
        with connect(config) as graph:
            reader = StatusReader(config, graph)
        server = place or reader.pipeline().redis.place
        state = heartbeat.WorkerState.starting(name, STREAM, GROUP, pool=None, redis=server)
        state.counts.written = 100
        (config.directory() / f"{name}.json").write_bytes(msgspec.json.encode(state))
    pipeline = reader.pipeline()
    assert [worker.consumer for worker in pipeline.workers] == ["own"]
    assert (pipeline.elsewhere, pipeline.totals.written) == (1, 100)
    assert any(
        "1 worker of this run directory left out" in line for line in status.warnings(pipeline)
    )
