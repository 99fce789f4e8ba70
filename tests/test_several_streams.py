"""Several streams in the commands, the metrics, the page, and the doctor's findings."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.crc import key_slot
from support.cases import BASE
from support.cluster import direct
from support.doctor import Environ, found, named
from support.exporter import Exporter, samples
from support.names import GROUP
from support.waits import until

from graphwriter import doctor, partitions
from graphwriter.config import load, read
from graphwriter.doctor import facts
from graphwriter.embedded import Valkey
from graphwriter.errors import EXIT_OK, EXIT_USAGE
from graphwriter.graph import connect
from graphwriter.producers.publisher import EventPublisher
from graphwriter.status import StatusReader
from graphwriter.stream import DeadLetters, Stream, acl, consumer_of, info
from graphwriter.worker.writer import Writer

SETTING = "posts:{0..2}"
NAMES = partitions.names(SETTING)
A, B, C = NAMES
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environ(pool_environ: Environ) -> Environ:
    """Variables of a pool of three streams."""
    return pool_environ | {"GRAPH_WRITER_STREAM": SETTING}


@pytest.fixture
def run(environ: Environ) -> Run:
    """Run a command on the three streams."""

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "graphwriter", *arguments],
            env=os.environ | environ | {"COLUMNS": "120"},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    return call


def rows(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.returncode == EXIT_OK, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def event(chat: int, message: int = 1) -> dict[str, Any]:
    own = {"tg_channel_id": chat, "telegram_message_id": message, "post_id": f"{chat}/{message}"}
    return BASE | own


def fill(environ: Environ, number: int) -> None:
    """Publish an event of each of some chats."""
    with EventPublisher(environ["REDIS_URL"], SETTING) as publisher:
        publisher.publish_all(event(-1001000000000 - one) for one in range(number))


@pytest.fixture
def twins(environ: Environ, redis_client: redis.Redis) -> list[str]:
    """A dead letter in each of two streams, of entries with one id; the letters' ids."""
    made = []
    for name, reason in ((A, "not_json"), (B, "refused")):
        stream = Stream(environ["REDIS_URL"], name, GROUP, "w")
        stream.create_group()
        redis_client.xadd(name, {"data": f"of {name}"}, id="7-1")
        (entry,) = stream.read(9)
        stream.bury(entry, reason, f"for {name}")
        made.append(DeadLetters(redis_client, name, GROUP).latest(1)[0].id)
        stream.close()
    return made


def test_dead_letters_of_one_source_id_are_told_apart(
    run: Run, twins: list[str], redis_client: redis.Redis
) -> None:
    """Listed with their streams; an id of two is refused, until one is chosen."""
    listed = rows(run("dead", "list", "--json"))
    assert [(one["stream"], one["source_id"]) for one in listed] == [(A, "7-1"), (B, "7-1")]
    assert A in run("dead", "list").stdout
    for arguments in (("show", "7-1"), ("replay", "7-1"), ("purge", "--yes", "7-1")):
        done = run("dead", *arguments)
        assert done.returncode == EXIT_USAGE
        assert f"ID 7-1 is in {A} and in {B}: choose one of them with --stream" in done.stderr
    (shown,) = rows(run("dead", "show", "--json", "--stream", B, "7-1"))
    assert (shown["error"], shown["fields"]) == (f"for {B}", {"data": f"of {B}"})
    assert "stream" not in shown
    assert "replayed 1" in run("dead", "replay", "--stream", B, "7-1").stdout
    assert [one["stream"] for one in rows(run("dead", "list", "--json"))] == [A]
    assert redis_client.xlen(B) == 2
    assert redis_client.xlen(A) == 1


def test_all_dead_letters_are_replayed_each_into_its_stream(
    run: Run, twins: list[str], redis_client: redis.Redis
) -> None:
    assert "replayed 2" in run("dead", "replay", "--all").stdout
    for name in (A, B):
        entries: Any = redis_client.xrange(name)
        assert [fields for _, fields in entries] == [{b"data": f"of {name}".encode()}] * 2


def test_trim_removes_of_each_stream_what_is_acknowledged(
    run: Run, environ: Environ, redis_client: redis.Redis
) -> None:
    """One line a stream; what one stream still needs holds back no other."""
    fill(environ, 1500)
    stream = consumer_of(environ["REDIS_URL"], SETTING, GROUP, "me")
    stream.create_group()
    before = {name: redis_client.xlen(name) for name in NAMES}
    while entries := stream.read(600):
        stream.done(entry for entry in entries if entry.stream != B)
    stream.close()
    assert "would remove at most" in run("trim", "--dry-run").stdout
    lines = run("trim").stdout.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [*NAMES]
    left = {name: redis_client.xlen(name) for name in NAMES}
    assert left[B] == before[B]
    assert left[A] < 110
    assert left[C] < 110


def test_status_has_the_sum_and_a_part_for_each(
    run: Run, environ: Environ, twins: list[str], redis_client: redis.Redis
) -> None:
    """The keys of one stream, and `streams`."""
    fill(environ, 60)
    redis_client.xgroup_create(C, GROUP, id="0")
    redis_client.xreadgroup(GROUP, "elsewhere", {A: ">", C: ">"}, count=2)
    (told,) = rows(run("status", "--json"))
    parts = {part["stream"]: part for part in told["streams"]}
    assert [*parts] == [*NAMES]
    assert told["stream"] == SETTING
    for key in ("length", "added", "unread", "pending", "dead"):
        assert told[key] == sum(part[key] for part in parts.values()) > 0, key
    assert told["oldest_unread"] == max(part["oldest_unread"] for part in parts.values())
    assert [part["pending"] for part in parts.values()] == [2, 0, 2]
    consumers = {one["name"]: one["pending"] for one in told["consumers"]}
    assert consumers == {"w": 0, "elsewhere": 4}
    assert {letter["stream"] for letter in told["letters"]} == {A, B}
    screen = run("status").stdout
    for name in NAMES:
        assert re.search(rf"{re.escape(name)} +\d+", screen), screen
    one = load(environ | {"GRAPH_WRITER_STREAM": A})
    with connect(one) as graph:
        alone = StatusReader(one, graph).pipeline()
    assert not alone.streams
    assert (alone.length, alone.dead) == (parts[A]["length"], 1)


def test_metrics_of_several_streams_have_a_label(
    exporter: Callable[..., Exporter], environ: Environ, twins: list[str]
) -> None:
    """Those of workers and servers have none; the page shows each stream and a whole command."""
    fill(environ, 60)
    site = exporter(GRAPH_WRITER_STREAM=SETTING)
    values = site.metrics()
    lengths = {key: value for key, value in values.items() if "stream_length" in key}
    assert [*lengths] == [f'graph_writer_stream_length{{stream="{name}"}}' for name in NAMES]
    assert sum(lengths.values()) == 62
    assert values[f'graph_writer_dead_letters{{stream="{B}"}}'] == 1
    assert f'graph_writer_lag{{stream="{C}"}}' not in values  # it has no group yet
    assert "graph_writer_entries_total" in values
    page = site.get().text
    for name in NAMES:
        assert name in page
    assert f"graphwriter dead replay --stream &#39;{A}&#39; {twins[0]}" in page
    alone = samples(exporter(GRAPH_WRITER_STREAM=A).get("metrics").text)
    assert "graph_writer_stream_length" in alone


def test_doctor_names_the_stream_that_lacks_its_group(
    environ: Environ, redis_client: redis.Redis
) -> None:
    """And one that does not exist, while others do; what holds for all is said once."""
    every = found(environ)
    assert named(every, "events", "nothing was ever added", A)
    assert len([one for one in every if one.check == "group"]) == 1
    redis_client.xadd(A, {"data": json.dumps(event(1))})
    redis_client.xadd(B, {"data": json.dumps(event(1))})
    redis_client.xgroup_create(A, GROUP, id="0")
    every = found(environ)
    (text,) = [one.text for one in every if one.check == "group"]
    assert text.startswith(f"{B}, {C}: the consumer group {GROUP} does not exist, but it does in")
    (text,) = [one.text for one in every if one.check == "events"]
    assert text.startswith(f"the stream {C} does not exist, but others of GRAPH_WRITER_STREAM do")


def test_doctor_finds_pending_entries_and_dead_letters_by_stream(
    environ: Environ, twins: list[str], redis_client: redis.Redis
) -> None:
    redis_client.xgroup_create(C, GROUP, id="0", mkstream=True)
    redis_client.xadd(C, {"data": "{}"}, id="9-1")
    redis_client.xreadgroup(GROUP, "gone", {C: ">"})
    redis_client.xclaim(C, GROUP, "gone", 0, ["9-1"], idle=9_999_000, retrycount=9, justid=True)
    every = found(environ)
    assert named(every, "redelivered", "9-1 was delivered 9 times").endswith(f"'{C}' 9-1 9-1")
    (text,) = [one.text for one in every if one.check == "pending"]
    assert text.startswith(f"{C}: gone has 1 pending")
    letters = {one.text[: len(A)]: one.text for one in every if one.check == "dead letters"}
    assert "1 not_json" in letters[A]
    assert "1 refused" in letters[B]


def test_doctor_finds_an_uneven_and_an_empty_stream(
    environ: Environ, redis_client: redis.Redis
) -> None:
    """As a producer makes them that knows fewer streams."""
    for name in NAMES:
        redis_client.xgroup_create(name, GROUP, id="0", mkstream=True)
    fill(environ, 3300)
    assert not [one for one in found(environ) if one.check == "balance"]
    redis_client.delete(C)
    redis_client.xgroup_create(C, GROUP, id="0", mkstream=True)
    pipe = redis_client.pipeline()
    for _ in range(1500):
        pipe.xadd(A, {"data": "1"})
        pipe.xadd(B, {"data": "1"})
    pipe.execute()
    (text,) = [one.text for one in found(environ) if one.check == "balance"]
    assert text.startswith(f"1 of 3 streams without any entry, such as {C}")
    for _ in range(9000):
        pipe.xadd(A, {"data": "1"})
    pipe.execute()
    (text,) = [one.text for one in found(environ) if one.check == "balance"]
    assert re.match(rf"{re.escape(A)} has 8\d% of all entries of 3 streams", text)


def test_the_rights_of_each_role_suffice_for_all_streams(
    environ: Environ, redis_client: Any
) -> None:
    """A worker reads and acknowledges, a producer adds, a watcher looks."""
    from urllib.parse import urlsplit

    parts = urlsplit(environ["REDIS_URL"])
    urls = {}
    for line in acl.users(SETTING, GROUP):
        _, name, *rules = line.split()
        joined = re.findall(r"\([^)]*\)|\S+", " ".join(rules))
        redis_client.execute_command("ACL SETUSER", name, "reset", *joined, "on", ">right")
        netloc = f"{name}:right@{parts.hostname}:{parts.port}"
        urls[name.removeprefix("graphwriter-")] = parts._replace(netloc=netloc).geturl()
    fill(environ | {"REDIS_URL": urls["producer"]}, 30)
    stream = consumer_of(urls["worker"], SETTING, GROUP, "me")
    stream.create_group()
    entries = stream.read(90)
    assert {entry.stream for entry in entries} == {*NAMES}
    stream.try_alone(entries[0])
    stream.bury(entries[0], "refused", "so")
    stream.done(entries)
    stream.close()
    reader = info.stream
    for name in NAMES:
        with redis.Redis.from_url(urls["watcher"]) as client:
            assert reader(client, name, GROUP).pending == 0
    for name in urls:
        redis_client.execute_command("ACL DELUSER", f"graphwriter-{name}")


def test_consumers_are_listed_by_stream_and_deleted_everywhere(
    run: Run, environ: Environ, redis_client: redis.Redis
) -> None:
    for name in NAMES:
        redis_client.xgroup_create(name, GROUP, id="0", mkstream=True)
        redis_client.xgroup_createconsumer(name, GROUP, "w")
    listed = rows(run("consumers", "list", "--json"))
    assert sorted((one["stream"], one["name"]) for one in listed) == [(n, "w") for n in NAMES]
    assert "deleted 0 consumers" in run("consumers", "prune").stdout


def test_verify_names_the_stream_of_an_entry(
    run: Run, environ: Environ, redis_client: redis.Redis
) -> None:
    """Written by one writer, and complete; a broken entry is named with its stream."""
    fill(environ, 30)
    with EventPublisher(environ["REDIS_URL"], SETTING) as publisher:
        publisher.publish(b"broken")
    config = load(environ)
    with connect(config) as graph:
        stream = consumer_of(environ["REDIS_URL"], SETTING, GROUP, "me", block=0.05)
        writer = Writer(stream, graph)
        until(lambda: writer.run_once() == 0 and writer.counts.entries == 31, 30)
        stream.close()
    done = run("verify", "stream", "--json")
    told = rows(done)
    assert told[-1] | {"found": 0, "left": 0, "compared": 30, "undecodable": 1} == told[-1]
    (note,) = [one for one in told if one["kind"] == "note"]
    assert note["where"].endswith(f" of {A}")


def test_events_are_published_to_all_streams_and_wait_for_each(
    environ: Environ, redis_client: redis.Redis, tmp_path: Path, run: Run
) -> None:
    """`publish` of a file, and `maxlen`, which counts all streams together."""
    file = tmp_path / "events.jsonl"
    file.write_text("".join(json.dumps(event(-1001000000000 - n)) + "\n" for n in range(60)))
    assert f"published 60 events to {SETTING}" in run("publish", str(file)).stdout
    for name in NAMES:
        entries: Any = redis_client.xrange(name)
        assert len(entries) > 10
        assert {partitions.of(NAMES, fields) for _, fields in entries} == {name}
        redis_client.xgroup_create(name, GROUP, id="0")
    stream = consumer_of(environ["REDIS_URL"], SETTING, GROUP, "me", block=0.05)
    stream.done(stream.read(90))
    with EventPublisher(environ["REDIS_URL"], SETTING, maxlen=100) as publisher:
        publisher.publish_all(event(-1001000000000 - n, 2) for n in range(600))
        while entries := stream.read(600):
            stream.done(entries)
        publisher.publish_all(event(-1001000000000 - n, 3) for n in range(60))
    stream.close()
    assert sum(redis_client.xlen(name) for name in NAMES) < 500


def test_every_command_works_where_the_streams_lie_on_several_nodes(
    cluster: list[Valkey], cluster_url: str, environ: Environ, run: Run
) -> None:
    """Published, listed, trimmed and shown, each stream by its node; doctor looks at every node."""
    for node in cluster:
        with direct(node) as one:
            one.flushall()
    environ["REDIS_URL"] = cluster_url
    fill(environ, 60)
    with EventPublisher(cluster_url, SETTING) as publisher:
        publisher.publish(b"broken")
    stream = consumer_of(cluster_url, SETTING, GROUP, "me")
    stream.create_group()
    entries = stream.read(100)
    assert (len(entries), {entry.stream for entry in entries}) == (61, {*NAMES})
    (broken,) = [entry for entry in entries if entry.fields == {b"data": b"broken"}]
    stream.bury(broken, "not_json", "so")
    stream.done(entries)
    stream.close()
    (told,) = rows(run("status", "--json"))
    assert (told["length"], told["pending"], told["unread"], told["dead"]) == (61, 0, 0, 1)
    assert [part["error"] for part in told["streams"]] == [None] * 3
    assert [letter["stream"] for letter in told["letters"]] == [A]
    assert "replayed 1" in run("dead", "replay", "--all").stdout
    assert len(run("trim").stdout.splitlines()) == 3
    config, wrong = read(environ)
    seen = facts.read(config, wrong, environ)
    owners = {owner_of(name) for name in NAMES}
    assert len([*seen.each("nodes")]) == len(owners) > 1
    text = {one.check: one.text for one in doctor.run_checks(seen)}
    assert text["redis version"].startswith("Valkey")
    assert text["group"] == f"{GROUP} exists"


def owner_of(name: str) -> int:
    """The number of the node whose third of the slots a stream's slot is in."""
    return min(key_slot(name.encode()) // 5461, 2)
