"""graphwriter doctor: each fault is set up for real, and named with its repair command.

What the servers themselves do wrong is in test_doctor_servers.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import neo4j
import pytest
import redis
from support.doctor import (
    HOOKS,
    Environ,
    checks,
    command,
    event,
    found,
    named,
    take,
)
from support.names import GROUP, STREAM
from support.waits import until

from graphwriter import doctor, status
from graphwriter.cli import main
from graphwriter.errors import (
    EXIT_DEAD_LETTER_LIMIT,
    EXIT_OK,
)
from graphwriter.graph import Graph
from graphwriter.stream import Stream, info
from graphwriter.worker.writer import Writer

DEAD = f"{{{STREAM}}}:dead"


def test_a_healthy_system_has_no_finding_and_a_worker_that_died_is_named(
    environ: Environ, redis_client: redis.Redis
) -> None:
    """With what it died of still pending."""
    redis_client.xadd(STREAM, {"data": event(1)})
    crash = {"PYTHONPATH": str(HOOKS), "CRASH_ON": "deadly"}
    worker = subprocess.Popen(
        [sys.executable, "-m", "graphwriter", "worker", "--consumer-name", "w-00"],
        env=os.environ | environ | crash,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(
            lambda: any(
                group.entries_read and not group.pending
                for group in info.groups(redis_client, STREAM)
            )
        )
        done = command(environ=environ)
        assert done.stdout.startswith("0 findings"), done.stdout
        assert (done.returncode, done.stderr) == (EXIT_OK, "")
        redis_client.xadd(STREAM, {"data": event(2, text="deadly")})
        assert worker.wait(60) == -signal.SIGKILL
    finally:
        worker.kill()
        worker.wait()
    findings = found(environ)
    assert named(findings, "workers here", "w-00", "ended") == "graphwriter up"
    named(findings, "consumers", "no worker is alive")
    named(findings, "pending", "w-00 has 1 pending", "has exited", "claims them in 3 min")
    assert checks(findings) == {"workers here", "consumers", "pending"}


def test_a_worker_without_progress_is_named(environ: Environ, group: list[bytes]) -> None:
    """Its process is there, its heartbeat is old."""
    import msgspec

    from graphwriter.worker import heartbeat
    from graphwriter.worker.counts import Counts

    run, old = Path(environ["GRAPH_WRITER_RUN_DIR"]), time.time() - 50
    told = heartbeat.WorkerState(
        "w-00", STREAM, GROUP, os.getpid(), old, old, 1.0, "writing", Counts()
    )
    run.mkdir(mode=0o700)
    (run / "w.json").write_bytes(msgspec.json.encode(told))
    repair = named(found(environ), "workers here", "w-00 has been writing for 50 s")
    assert repair == f"kill -ABRT {os.getpid()}"
    told.progress = time.time()
    told.error = "Neo4j at bolt://127.0.0.1:1 does not answer: Connection refused"
    (run / "w.json").write_bytes(msgspec.json.encode(told))
    findings = found(environ | {"NEO4J_URI": "bolt://127.0.0.1:1"})
    named(findings, "workers here", "1 of this machine wait for an unavailable server")
    named(findings, "neo4j", "Connection refused", "if `graphwriter up` started it")
    run.chmod(0o777)
    assert named(found(environ), "run directory", "only our account") == f"chmod 700 {run}"


@pytest.mark.parametrize("name", ["graph-writer", "posts"])
def test_a_group_of_another_name_is_named_and_its_workers_told_of(
    environ: Environ, redis_client: redis.Redis, group: list[bytes], name: str
) -> None:
    """Nothing starts workers there: the name is wrong."""
    findings = found(environ | {"GRAPH_WRITER_CONSUMER_GROUP": name})
    repair = named(findings, "group", f"{name} does not exist, but graph_writer does")
    assert repair == "export GRAPH_WRITER_CONSUMER_GROUP=graph_writer"
    assert named(findings, "consumers", f"in the group {name}", "graph_writer") == "None"


def test_a_stream_of_another_name_is_named(
    environ: Environ, redis_client: redis.Redis, group: list[bytes]
) -> None:
    findings = found(environ | {"GRAPH_WRITER_STREAM": "stream:post:parsed"})
    named(findings, "events", "nothing was ever added to the stream stream:post:parsed")
    assert named(findings, "group", "does not exist: no worker") == "graphwriter up"
    redis_client.set("posts", "no stream")
    findings = found(environ | {"GRAPH_WRITER_STREAM": "posts"})
    assert named(findings, "events", "WRONGTYPE") == "export GRAPH_WRITER_STREAM=NAME"
    assert not Path(environ["GRAPH_WRITER_RUN_DIR"]).exists(), "it makes nothing"


def test_trimming_ahead_of_reading_is_named(
    environ: Environ, redis_client: redis.Redis, group: list[bytes]
) -> None:
    """What was not read yet, and what a worker has in hand."""
    take(redis_client, "w", 2)
    redis_client.xtrim(STREAM, maxlen=3, approximate=False)
    findings = found(environ)
    assert named(findings, "trimmed", "5 entries", "lost") == "graphwriter trim"
    named(findings, "trimmed pending", "2 of the oldest pending")


def test_entries_deleted_before_they_were_read_are_named(
    environ: Environ, redis_client: redis.Redis, group: list[bytes]
) -> None:
    """Redis does not know its lag then."""
    take(redis_client, "w", 2)
    redis_client.xdel(STREAM, group[5])
    named(found(environ), "trimmed", f"up to {group[5].decode()} were deleted")


def test_pending_entries_are_named_with_their_holder_and_since_when(
    environ: Environ, redis_client: redis.Redis, group: list[bytes]
) -> None:
    take(redis_client, "vm2-01", 3)
    client: Any = redis_client
    client.xclaim(STREAM, GROUP, "vm2-01", 0, [group[1]], idle=7_200_000, retrycount=9)
    client.xclaim(STREAM, GROUP, "vm2-01", 0, [group[0]], idle=7_200_000)
    findings = found(environ)
    said = "vm2-01 has 3 pending, since 2 h", f"the oldest is {group[0].decode()}"
    assert named(findings, "pending", *said) == "graphwriter up"
    repair = named(findings, "redelivered", group[1].decode(), "9 times, now to vm2-01")
    words = repair.partition('-u "$REDIS_URL" ')[2].split()
    assert client.execute_command(*words)[0][0] == group[1]


def test_dead_letters_are_named_and_the_worker_that_stopped_for_them(
    environ: Environ, redis_client: redis.Redis
) -> None:
    for text in ("{", "[", '{"schema_version":"v7"}'):
        redis_client.xadd(STREAM, {"data": text})
    limit = {"GRAPH_WRITER_DEAD_LEAST": "2", "GRAPH_WRITER_BLOK": "1"}
    worker = [sys.executable, "-m", "graphwriter", "worker", "--consumer-name", "w-00"]
    done = subprocess.run(
        worker, env=os.environ | environ | limit, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == EXIT_DEAD_LETTER_LIMIT
    assert b"GRAPH_WRITER_BLOK is no setting: did you mean GRAPH_WRITER_BLOCK?" in done.stderr
    findings = found(environ)
    said = "3 dead letters", "2 not_json, 1 schema_version"
    assert named(findings, "dead letters", *said) == "graphwriter dead list"
    words = "w-00", "3 of 3 entries became dead letters", "when the producer is fixed"
    assert named(findings, "workers here", *words) == "graphwriter up"


def test_dead_letters_of_the_days_before_are_known(
    environ: Environ, redis_client: redis.Redis, group: list[bytes]
) -> None:
    """Those of the last day are a finding, and bring the older ones back with them."""
    dead: Any = {f"dead.{name}": "0" for name in ("reason", "error", "source_id", "deliveries")}
    dead |= {"dead.consumer": "w", "dead.time": "0"}
    day_ago = int((time.time() - status.RECENT_LETTERS - 60) * 1000)
    redis_client.xadd(DEAD, {"data": "{"} | dead, id=f"{day_ago}-0")
    assert "dead letters" not in checks(found(environ))
    redis_client.xadd(DEAD, {"data": "{"} | dead)
    named(found(environ), "dead letters", "2 dead letters")


def test_a_consumer_that_asks_for_nothing_is_no_worker(
    environ: Environ, redis_client: redis.Redis, group: list[bytes]
) -> None:
    """One with nothing in hand asks every second; one that holds entries may be busy with them."""
    take(redis_client, "vm2-00", 10)
    assert "consumers" not in checks(found(environ))
    redis_client.xack(STREAM, GROUP, *group)
    time.sleep(2.5)
    named(found(environ), "consumers", "no worker is alive, here or elsewhere: the last read was")


def test_what_is_wrong_with_the_graph_is_named_and_repaired(
    environ: Environ, driver: neo4j.Driver, redis_client: redis.Redis, group: list[bytes]
) -> None:
    """Events read and no post, no constraints, a foreign post, a link that is there twice."""
    redis_client.xack(STREAM, GROUP, *group[:2])
    take(redis_client, "w", 2)
    redis_client.xack(STREAM, GROUP, *group[:2])
    named(found(environ), "posts", "the database neo4j has no post")
    driver.execute_query("DROP CONSTRAINT graphwriter_post_id IF EXISTS", database_="neo4j")
    driver.execute_query(
        "CREATE (:Post {post_id: 'f9', tg_channel_id: 5, telegram_message_id: 9}), "
        "(:Post {post_id: 'f8'}), (p:Message:Post {post_id: 'f7', tg_channel_id: 5, "
        "telegram_message_id: 7}), (p)-[:REPLIES_TO]->(:Message {tg_channel_id: 5, "
        "telegram_message_id: 6}), (p)-[:REPLIES_TO]->(:Message {tg_channel_id: 5, "
        "telegram_message_id: 5}), (:Message {tg_channel_id: 77, telegram_message_id: 1}), "
        "(:Message {tg_channel_id: -1000000000077, telegram_message_id: 1})",
        database_="neo4j",
    )
    findings = found(environ)
    assert named(findings, "constraints", "graphwriter_post_id") == "graphwriter schema apply"
    twice = "CREATE (:Post:Message {post_id: 'twice'}), (:Post:Message {post_id: 'twice'})"
    driver.execute_query(twice, database_="neo4j")
    repair = named(found(environ), "constraints", "duplicate nodes")
    assert repair == "graphwriter verify graph --repair"
    driver.execute_query("MATCH (p:Post {post_id: 'twice'}) DELETE p", database_="neo4j")
    named(findings, "bare ids", "1 message duplicated")
    adopt = named(findings, "foreign posts", "1 post of another service", "not adopted")
    named(findings, "foreign posts", "1 post of another service", "without an address")
    named(findings, "doubled links", "1 post with more than one REPLIES_TO, such as f7")
    for repair in ("graphwriter schema apply", adopt):
        done = [sys.executable, "-m", *repair.split()]
        subprocess.run(done, env=os.environ | environ, check=True, capture_output=True)
    stream = Stream(environ["REDIS_URL"], STREAM, GROUP, "w", block=0.1)
    newer = event(
        7, post_id="f7", tg_channel_id=5, reply_to_message_id=6, occurred_at="2026-01-01T00:00:00Z"
    )
    redis_client.xadd(STREAM, {"data": newer})
    with Graph(environ["NEO4J_URI"], timeout=60) as graph:
        writer = Writer(stream, graph)
        until(lambda: writer.run_once() and not stream.read(1))
    stream.close()
    driver.execute_query(
        "MATCH (p:Post {post_id: 'f7'}) CREATE (p)-[:REPLIES_TO]->(:Message {tg_channel_id: 5, "
        "telegram_message_id: 4})",
        database_="neo4j",
    )
    repair = named(found(environ), "doubled links", "such as f7")
    assert repair == "graphwriter verify stream --repair"
    done = [sys.executable, "-m", *repair.split()]
    subprocess.run(done, env=os.environ | environ, check=True, capture_output=True)
    left = found(environ)
    assert not checks(left) & {"constraints", "doubled links", "posts"}
    assert [one.text for one in left if one.check == "foreign posts"] == [
        "1 post of another service without an address: its event has the address"
    ]


def test_every_command_that_it_names_exists() -> None:
    """With its options."""
    source = "".join(path.read_text() for path in Path(doctor.__file__).parent.glob("*.py"))
    lines = re.findall(r"\"graphwriter ([a-z -]+)\"", source)
    assert len(lines) > 6
    for line in lines:
        group: click.Command = main
        for word in line.split():
            if word.startswith("--"):
                assert word in {option for one in group.params for option in one.opts}, line
            elif isinstance(group, click.Group):
                below = group.get_command(click.Context(group), word)
                assert below is not None, line
                group = below
