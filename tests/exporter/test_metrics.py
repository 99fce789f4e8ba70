"""What is counted arrives in the metrics, and stays there whatever becomes of the workers."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import neo4j
import pytest
import redis
from support.cases import BASE
from support.exporter import Exporter, counted, samples
from support.names import GROUP, STREAM
from support.neo4j import Server
from support.waits import until

from graphwriter.graph import Graph
from graphwriter.producers.demo.demo import Demo
from graphwriter.producers.publisher import EventPublisher
from graphwriter.stream import Stream, info
from graphwriter.worker import heartbeat
from graphwriter.worker.counts import SECONDS, Counts, Spread
from graphwriter.worker.pool import conf
from graphwriter.worker.writer import Writer


def event(message: int, **more: Any) -> dict[str, Any]:
    return BASE | {"telegram_message_id": message, "post_id": f"p{message}"} | more


def test_a_loop_counts_what_becomes_of_every_entry(
    redis_client: redis.Redis, valkey_url: str, neo4j_server: Server, graph_empty: neo4j.Driver
) -> None:
    """Written, unchanged, dead by reason; the batch's size and time, and the time since XADD."""
    with EventPublisher(valkey_url) as publisher:
        publisher.publish_all([event(1), event(2), event(2), event(3)])
    redis_client.xadd(STREAM, {"data": "broken"})
    stream = Stream(valkey_url, STREAM, GROUP, "me", block=0.05)
    with Graph(neo4j_server.uri, *(neo4j_server.auth or (None, None))) as graph:
        writer = Writer(stream, graph)
        until(lambda: (writer.run_once(), writer.counts.batches)[1], 120)
    stream.close()
    found = counted(writer.counts)
    assert found['graph_events_processed_total{status="written"}'] == 3
    assert found['graph_events_processed_total{status="unchanged"}'] == 1
    assert found['graph_events_processed_total{status="dead"}'] == 1
    assert found['graph_writer_dead_letters_added_total{reason="not_json"}'] == 1
    assert found['graph_writer_batch_size_bucket{le="1.0"}'] == 0
    assert found['graph_writer_batch_size_bucket{le="10.0"}'] == 1
    assert found["graph_writer_batch_size_sum"] == 5
    assert found["graph_processing_duration_seconds_count"] == 1
    took = found["graph_processing_duration_seconds_sum"]
    assert 0 < took < found["graph_writer_latency_seconds_sum"]
    for bound in ("0.1", "0.5", "1.0", "5.0", "10.0"):
        inside = found[f'graph_processing_duration_seconds_bucket{{le="{bound}"}}']
        assert inside == (took <= float(bound))


def test_quantiles_are_those_of_the_buckets() -> None:
    """Evenly within a bucket; beyond the last bound that bound; nothing of nothing."""
    spread = Spread()
    assert spread.quantile(SECONDS, 0.5) is None
    for _ in range(10):
        spread.add(SECONDS, 0.2)
    assert spread.quantile(SECONDS, 0.5) == pytest.approx(0.1 + 0.15 / 2)
    spread.add(SECONDS, 99.0)
    assert spread.quantile(SECONDS, 1.0) == 10.0
    assert spread.plus(spread).plus(spread, -1) == spread


def start_worker(environ: dict[str, str], name: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "graphwriter", "worker", "--consumer-name", name],
        env=os.environ | environ,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.slow
def test_counters_neither_vanish_nor_go_back_when_workers_do(
    exporter: Callable[..., Exporter], pool_environ: dict[str, str], redis_client: redis.Redis
) -> None:
    """One is killed, started again under its name, and stopped: the sum only rises."""
    seen: list[float] = []
    served_by = exporter()

    def through() -> float:
        found = served_by.metrics()
        seen.append(sum(found[f'graph_events_processed_total{{status="{status}"}}'] for status in
            ("written", "unchanged", "dead")))  # fmt: skip
        return seen[-1]

    worker = start_worker(pool_environ, "one")
    for total, number in ((300, signal.SIGKILL), (500, signal.SIGTERM)):
        with EventPublisher(pool_environ["REDIS_URL"]) as publisher:
            publisher.publish_all(Demo(total - int(through()), total))
        # Damaged copies of the demo come on top of the events that were asked for.
        until(lambda: redis_client.xlen(STREAM) <= through(), 120)
        worker.send_signal(number)
        worker.wait(20)
        if number == signal.SIGKILL:
            worker = start_worker(pool_environ, "one")
    until(lambda: served_by.metrics()['graph_writer_workers{state="alive"}'] == 0)
    assert through() == redis_client.xlen(STREAM)
    assert seen == sorted(seen)
    found = served_by.metrics()
    assert found["graph_writer_lag"] == found["graph_writer_pending"] == 0
    assert found["graph_writer_stream_length"] == redis_client.xlen(STREAM)
    assert found['graph_writer_up{server="redis"}'] == found['graph_writer_up{server="neo4j"}'] == 1
    assert served_by.get("readyz").code == 503  # nobody writes


def test_what_workers_counted_whose_names_are_gone_is_put_together(tmp_path: Path) -> None:
    """Files do not pile up, and no count is lost; those that are alive are left alone."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for number in range(heartbeat.FILES_KEPT + 40):
        pid = os.getpid() if number < 3 else gone.pid
        told = heartbeat.WorkerState(
            f"w{number}", STREAM, GROUP, pid, 1.0, float(number), 1.0, "reading",
            Counts(written=1, reasons={"not_json": 2}),
        )  # fmt: skip
        (tmp_path / f"w{number}.json").write_bytes(msgspec.json.encode(told))
    for _ in range(2):
        heartbeat.tidy(tmp_path)
        totals = Counts()
        for one in heartbeat.read_all(tmp_path, stopped=True):
            totals = totals.plus(one.total)
        assert totals == Counts(
            written=heartbeat.FILES_KEPT + 40, reasons={"not_json": 2 * heartbeat.FILES_KEPT + 80}
        )
        assert len([*tmp_path.glob("*.json")]) == heartbeat.FILES_KEPT + 4
    assert {one.consumer for one in heartbeat.read_all(tmp_path)} >= {"w0", "w1", "w2"}


def test_entries_trimmed_before_they_were_read_are_told(redis_client: redis.Redis) -> None:
    """By how many, until they are forgotten; what was read before it was trimmed is none."""
    for number in range(10):
        redis_client.xadd(STREAM, {"data": str(number)})
    redis_client.xgroup_create(STREAM, GROUP, id="0")
    redis_client.xreadgroup(GROUP, "c", {STREAM: ">"}, count=4)
    trimmed = []
    for left in (8, 6, 5, 0):
        redis_client.xtrim(STREAM, maxlen=left, approximate=False)
        trimmed.append(info.stream(redis_client, STREAM, GROUP).trimmed_unread)
    assert trimmed == [0, 0, 1, 6]


def test_ages_are_those_of_the_oldest_entries(redis_client: redis.Redis) -> None:
    """By the time in their ids, of what nobody has and of what somebody has not acknowledged."""
    now = time.time()
    for ago in (30, 20, 10):
        redis_client.xadd(STREAM, {"data": "x"}, id=f"{int((now - ago) * 1000)}-0")
    redis_client.xgroup_create(STREAM, GROUP, id="0")
    redis_client.xreadgroup(GROUP, "c", {STREAM: ">"}, count=2)
    seen = info.stream(redis_client, STREAM, GROUP)
    assert seen.oldest_pending == pytest.approx(now - 30, abs=0.01)
    assert seen.oldest_unread == pytest.approx(now - 10, abs=0.01)
    assert (seen.unread, seen.pending, [one.name for one in seen.consumers]) == (1, 2, ["c"])


# The dashboard and the alert rules


def expressions() -> list[str]:
    """Every query of the files in conf/."""
    board = json.loads((conf().parent / "dashboard.json").read_text())
    found = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    rules = (conf().parent / "alerts.yaml").read_text()
    found += re.findall(r"expr: (?:\|\n)?(.+)", rules)
    assert len(found) > 30
    return found


def test_every_metric_of_dashboard_and_alerts_is_served(
    exporter: Callable[..., Exporter], pool_environ: dict[str, str], redis_client: redis.Redis
) -> None:
    """Each name and each label that they ask for, in what a pipeline at work serves."""
    run = Path(pool_environ["GRAPH_WRITER_RUN_DIR"])
    run.mkdir(mode=0o700)
    counts = Counts(reasons={"not_json": 1})
    told = heartbeat.WorkerState("w", STREAM, GROUP, os.getpid(), 1.0, 1.0, 1.0, "reading", counts)
    (run / "w.json").write_bytes(msgspec.json.encode(told))
    redis_client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    one = exporter()
    seen: list[str] = []

    def whole() -> bool:
        seen.append(one.get("metrics").text)
        return "graph_writer_graph_nodes{" in seen[-1]

    until(whole, 60)
    text = seen[-1]
    found = samples(text)
    for name in ("posts:{0}", "posts:{1}"):  # with several streams some have a label more
        redis_client.xgroup_create(name, GROUP, id="0", mkstream=True)
    several = exporter(GRAPH_WRITER_STREAM="posts:{0..1}")
    found |= samples(several.get("metrics").text)
    names = {sample.partition("{")[0] for sample in found}
    labels = {
        name: {label for sample in found if sample.partition("{")[0] == name
            for label in re.findall(r'(\w+)="', sample)} for name in names
    }  # fmt: skip
    for query in expressions():
        used = re.findall(r"\bgraph_\w+", query)
        assert used, query
        assert {*used} <= names, query
        asked = re.findall(r"\bby \(([^)]*)\)|\{(\w+)", query)
        for label in {word.strip() for pair in asked for one in pair for word in one.split(",")}:
            assert not label or any(label in labels[name] for name in used), (label, query)
    if promtool := shutil.which("promtool"):
        subprocess.run([promtool, "check", "metrics"], input=text, text=True, check=True)


def test_prometheus_takes_the_alert_rules_and_one_fires(tmp_path: Path) -> None:
    """Its own tool checks them, and runs one over a stream that falls behind."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool, of Prometheus, is not installed")
    rules = conf().parent / "alerts.yaml"
    subprocess.run([promtool, "check", "rules", rules], check=True, capture_output=True)
    (tmp_path / "test.yaml").write_text(f"""
rule_files: [{rules.resolve()}]
tests:
  - interval: 1m
    input_series:
      - series: 'graph_writer_oldest_unread_seconds{{instance="a"}}'
        values: '0+60x30'
      - series: 'graph_writer_workers{{state="alive"}}'
        values: '2x30'
    alert_rule_test:
      - {{eval_time: 9m, alertname: GraphwriterBehind, exp_alerts: []}}
      - eval_time: 15m
        alertname: GraphwriterBehind
        exp_alerts:
          - exp_labels: {{severity: warning}}
            exp_annotations: {{summary: The oldest unread entry is 15m 0s old}}
      - {{eval_time: 15m, alertname: GraphwriterNoWorker, exp_alerts: []}}
""")
    done = subprocess.run(
        [promtool, "test", "rules", tmp_path / "test.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
