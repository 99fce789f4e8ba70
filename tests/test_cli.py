"""The commands as a person meets them: their answers, their refusals, their exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import neo4j
import pytest
import redis
from fix_neo4j import Server

from graphwriter.cli import COMMANDS
from graphwriter.errors import EXIT_CONFIG, EXIT_FAILED, EXIT_OK, EXIT_UNAVAILABLE, EXIT_USAGE
from graphwriter.producers.demo import Demo
from graphwriter.producers.publisher import EventPublisher
from graphwriter.stream import DeadLetters, Stream

STREAM, GROUP = "stream:posts:parsed", "graph_writer"
Run = Callable[..., subprocess.CompletedProcess[str]]


def command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `graphwriter` with `arguments`, and with `variables` beside the environment's."""
    return subprocess.run(
        [sys.executable, "-m", "graphwriter", *arguments],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def run(valkey_url: str, redis_client: redis.Redis, tmp_path: Path) -> Run:
    """Run commands on an empty Redis, with a run directory of the test's own."""

    def call(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        own = {"REDIS_URL": valkey_url, "GRAPH_WRITER_RUN_DIR": str(tmp_path / "run")}
        return command(*arguments, **own | more)

    return call


@pytest.fixture
def letters(redis_client: redis.Redis, valkey_url: str) -> DeadLetters:
    """Three dead letters: two that are not JSON, one of another version."""
    stream = Stream(valkey_url, STREAM, GROUP, "w")
    stream.create_group()
    for text in (b"{", b"[", b'{"schema_version":"v7"}'):
        redis_client.xadd(STREAM, {"data": text})
    dead = DeadLetters(stream.client, STREAM, GROUP, "w")
    for entry, reason in zip(
        stream.read(3), ("not_json", "not_json", "schema_version"), strict=True
    ):
        dead.add(entry, reason, "for a reason\x1b[31m")
    return dead


def rows(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """What a command printed as JSON lines."""
    assert done.returncode == EXIT_OK, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """Check for one line on standard error with `words`, and for the exit code."""
    assert done.returncode == code, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("graphwriter: ")
    for word in words:
        assert word in line


@pytest.mark.parametrize("name", [*COMMANDS])
def test_help_needs_no_server_and_no_driver(name: str) -> None:
    """-h works everywhere, with the drivers made impossible to import."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('neo4j', 'redis', 'psycopg', 'jpype')))\n"
        "from graphwriter.cli import main; main(sys.argv[1:], 'graphwriter')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, name, "-h"], capture_output=True, text=True, check=False
    )
    assert done.returncode == EXIT_OK, done.stderr
    assert done.stdout.startswith(f"Usage: graphwriter {name}")


def test_the_workers_help_answers_in_a_third_of_a_second() -> None:
    """No driver is imported for it; the best of three, since the machine is shared."""
    program = Path(sys.executable).with_name("graphwriter-worker")
    took = []
    for _ in range(3):
        start = time.monotonic()
        subprocess.run([program, "--help"], capture_output=True, check=True)
        took.append(time.monotonic() - start)
    assert min(took) < 0.3


@pytest.mark.parametrize(
    ("arguments", "variables", "words"),
    [
        (["status"], {"GRAPH_WRITER_BATCH_SIZE": "many"}, ("GRAPH_WRITER_BATCH_SIZE", "'many'")),
        (["worker", "--batch-size", "0"], {}, ("GRAPH_WRITER_BATCH_SIZE", "0", "at least 1")),
        (["worker", "--block", "nan"], {}, ("GRAPH_WRITER_BLOCK", "nan")),
        (["worker", "--watchdog", "30"], {}, None),
        (["worker", "--claim-idle", "30"], {}, ("GRAPH_WRITER_CLAIM_IDLE", "30", "WATCHDOG")),
        (["worker", "--log-level", "loud"], {}, ("GRAPH_WRITER_LOG_LEVEL", "'loud'")),
        (["worker"], {"GRAPH_WRITER_TEXT": "maybe"}, ("GRAPH_WRITER_TEXT", "'maybe'")),
        (["worker"], {"NEO4J_PASSWORD_FILE": "/nowhere"}, ("NEO4J_PASSWORD_FILE", "/nowhere")),
        (["status", "--redis-url", "http://x"], {}, ("REDIS_URL", "http://x")),
        (["schema", "check", "--neo4j-uri", "http://x"], {}, ("NEO4J_URI", "http://x", "bolt")),
        (["status", "--redis-url", "redis://u:secret@127.0.0.1/0"], {}, ("REDIS_URL_FILE",)),
        (["watchdog"], {}, ("supervisord",)),
        (["demo", "no-such.json"], {}, ("no-such.json",)),
        (["publish", "no-such.jsonl"], {}, ("no-such.jsonl",)),
        (["import", "desktop", "no-such.json"], {}, ("no-such.json",)),
    ],
)
def test_a_mistake_gets_one_line_that_names_it(
    run: Run, arguments: list[str], variables: dict[str, str], words: tuple[str, ...] | None
) -> None:
    """The setting or file, its value, and exit code 78; or click's own word and 2."""
    done = run(*arguments, **variables)
    if words is None:
        assert done.returncode == EXIT_USAGE
        assert "No such option" in done.stderr
    else:
        refused(done, EXIT_CONFIG, *words)
        assert "secret" not in done.stderr


def test_a_server_that_is_away_is_named_with_its_own_exit_code(run: Run) -> None:
    """Commands do not wait as workers do."""
    refused(run("status", REDIS_URL="redis://:secret@127.0.0.1:1/0"), EXIT_UNAVAILABLE, ":1/0")
    away = run("schema", "check", "--neo4j-uri", "bolt://127.0.0.1:1")
    refused(away, EXIT_UNAVAILABLE, "127.0.0.1:1")


def test_published_lines_are_in_the_stream_as_they_are(
    run: Run, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """What is no event is the workers' business."""
    file = tmp_path / "events.jsonl"
    file.write_bytes(b'{"a":1}\nbroken\n')
    done = run("publish", str(file))
    assert done.stdout == f"published 2 events to {STREAM}\n"
    found: Any = redis_client.xrange(STREAM)
    assert [fields for _, fields in found] == [{b"data": b'{"a":1}'}, {b"data": b"broken"}]


def test_an_export_with_a_bad_message_is_imported_all_but_that(run: Run, tmp_path: Path) -> None:
    """It is named, and the exit code says that something was left out."""
    messages = [
        {"id": 1, "type": "message", "date_unixtime": "1700000000", "text": "a"},
        {"id": "x", "type": "message", "date_unixtime": "1700000000", "text": "b"},
    ]
    export = {"name": "n", "type": "public_channel", "id": 1, "messages": messages}
    (tmp_path / "result.json").write_text(json.dumps(export))
    done = run("import", "desktop", str(tmp_path))
    assert "published 1 events" in done.stdout
    refused(done, EXIT_FAILED, "id", "'x'")


def test_dead_letters_are_listed_shown_replayed_and_purged(
    run: Run, letters: DeadLetters, redis_client: redis.Redis
) -> None:
    """By id, by reason, or all; a mistake deletes nothing."""
    listed = rows(run("dead", "list", "--json"))
    assert [row["reason"] for row in listed] == ["not_json", "not_json", "schema_version"]
    assert len(rows(run("dead", "list", "--json", "--limit", "1"))) == 1
    assert len(rows(run("dead", "list", "--json", "--reason", "schema_version"))) == 1
    shown = run("dead", "list")
    assert listed[0]["source_id"] in shown.stdout
    assert "\x1b" not in shown.stdout
    (whole,) = rows(run("dead", "show", listed[0]["source_id"], "--json"))
    assert whole["fields"] == {"data": "{"}
    assert "reason: not_json" in run("dead", "show", listed[0]["id"]).stdout
    refused(run("dead", "show", "1-1"), EXIT_FAILED, "1-1", "dead list")

    assert run("dead", "replay").returncode == EXIT_USAGE
    assert run("dead", "purge").returncode == EXIT_USAGE
    assert run("dead", "purge", "--all").returncode != EXIT_OK  # it asks, and nobody answers
    assert len(letters) == 3
    assert run("dead", "replay", listed[0]["source_id"]).stdout == "replayed 1\n"
    assert run("dead", "replay", listed[0]["source_id"]).stdout == "replayed 0\n"
    assert redis_client.xlen(STREAM) == 4
    assert run("dead", "purge", "--reason", "schema_version", "--yes").stdout == "purged 1\n"
    assert run("dead", "purge", "--all", "--yes").stdout == "purged 1\n"
    assert "no dead letters" in run("dead", "list").stdout


def test_status_tells_of_a_stream_with_and_without_a_group(
    run: Run, redis_client: redis.Redis
) -> None:
    """Before anything is there, before the first worker, and after it."""
    assert rows(run("status", "--json"))[0]["length"] == 0
    redis_client.xadd(STREAM, {"data": "x"})
    assert "no worker has started yet" in run("status").stdout
    redis_client.xgroup_create(STREAM, GROUP, id="0")
    redis_client.xreadgroup(GROUP, "c", {STREAM: ">"})
    assert "0 unread, 1 pending, 0 dead letters" in run("status").stdout
    (told,) = rows(run("status", "--json"))
    assert (told["group_exists"], told["pending"], told["workers"]) == (True, 1, [])


def test_trim_removes_what_is_acknowledged_and_says_so(run: Run, redis_client: redis.Redis) -> None:
    """Nothing without a group; a dry run only says."""
    assert "no consumer group" in run("trim").stdout
    for _ in range(300):
        redis_client.xadd(STREAM, {"data": "x"})
    redis_client.xgroup_create(STREAM, GROUP, id="0")
    found: Any = redis_client.xreadgroup(GROUP, "c", {STREAM: ">"}, count=250)
    (entries,) = found[STREAM.encode()] if isinstance(found, dict) else [found[0][1]]
    redis_client.xack(STREAM, GROUP, *(key for key, _ in entries))
    assert "could go" in run("trim", "--dry-run").stdout
    assert redis_client.xlen(STREAM) == 300
    assert run("trim").stdout.startswith("removed 200 entries")


def test_the_schema_is_applied_checked_and_printed(
    run: Run, neo4j_server: Server, graph_empty: neo4j.Driver
) -> None:
    """A missing constraint makes the check fail, with the command that mends it."""
    uri = {"NEO4J_URI": neo4j_server.uri}
    run("schema", "apply", **uri)
    assert run("schema", "apply", **uri).stdout == "nothing to do\n"
    assert {row["there"] for row in rows(run("schema", "check", "--json", **uri))} == {True}
    graph_empty.execute_query("DROP CONSTRAINT graphwriter_author")
    missing = run("schema", "check", **uri)
    assert missing.returncode == EXIT_FAILED
    assert "graphwriter_author is missing: run `graphwriter schema apply`" in missing.stdout
    assert run("schema", "apply", **uri).stdout == "created graphwriter_author\n"
    assert run("schema", "adopt", **uri).stdout == "adopted 0, left for their events: 0\n"
    (schema,) = rows(run("schema", "event"))
    assert "PostParsedEventV1" in schema["$defs"]


def test_up_runs_a_pool_until_it_is_told_to_stop(
    run: Run,
    neo4j_server: Server,
    graph_empty: neo4j.Driver,
    valkey_url: str,
    redis_client: redis.Redis,
    tmp_path: Path,
) -> None:
    """Its workers write what is published; TERM leaves nothing pending and no process."""
    variables = {
        "REDIS_URL": valkey_url,
        "NEO4J_URI": neo4j_server.uri,
        "GRAPH_WRITER_RUN_DIR": str(tmp_path / "run"),
        "GRAPH_WRITER_BLOCK": "0.2",
    }
    pool = subprocess.Popen(
        [sys.executable, "-m", "graphwriter", "up", "--workers", "1"],
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    demo = Demo(300)
    with EventPublisher(valkey_url) as publisher:
        publisher.publish_all(demo)
    count = "MATCH (p:Post) RETURN count(p) AS n"
    deadline = time.monotonic() + 60
    while graph_empty.execute_query(count).records[0]["n"] < demo.planted["posts"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "1 workers" in pool_line(pool)
    (told,) = rows(run("status", "--json"))
    assert len(told["workers"]) == 1
    pool.send_signal(signal.SIGTERM)
    said, _ = pool.communicate(timeout=60)
    assert pool.returncode == EXIT_OK
    assert "stopping: the batches in hand are finished first" in said
    assert redis_client.xpending(STREAM, GROUP)["pending"] == 0
    assert rows(run("status", "--json"))[0]["workers"] == []


def pool_line(process: subprocess.Popen[str]) -> str:
    """The line with which `up` says that its pool runs."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Pool"):
            return line
    return ""


def test_the_demo_shows_the_pipeline_and_cleans_up(
    run: Run, neo4j_server: Server, graph_empty: neo4j.Driver, redis_client: redis.Redis
) -> None:
    """Progress, the four answers, the broken events; and at 80 columns no line is longer."""
    uri = {"NEO4J_URI": neo4j_server.uri, "COLUMNS": "80"}
    done = run("demo", "--events", "1500", **uri)
    assert done.returncode == EXIT_OK, done.stderr
    assert "1,500 entries written in" in done.stdout
    assert "Broken events: 6 planted, 6 kept as dead letters" in done.stdout
    assert [line for line in done.stdout.splitlines() if len(line) > 80] == []
    assert redis_client.keys("*demo*") == []
    refused(run("demo", **uri), EXIT_CONFIG, "is not empty")


def test_the_demo_takes_a_persons_own_export(
    run: Run, neo4j_server: Server, graph_empty: neo4j.Driver, tmp_path: Path
) -> None:
    """Of which nothing is planted, and nothing ends as a dead letter."""
    messages = [
        {"id": n, "type": "message", "date_unixtime": "1700000000", "text": "", "from": "A",
         "from_id": "user5", "reply_to_message_id": n - 1}
        for n in range(2, 30)
    ]  # fmt: skip
    export = {"name": "n", "type": "private_group", "id": 1, "messages": messages}
    (tmp_path / "result.json").write_text(json.dumps(export))
    done = run("demo", str(tmp_path / "result.json"), NEO4J_URI=neo4j_server.uri)
    assert done.returncode == EXIT_OK, done.stderr
    assert "28 entries written" in done.stdout
    shown = [line.split() for line in done.stdout.splitlines()]
    assert ["AUTHOR_OF", "28"] in shown
    assert ["REPLIES_TO", "28"] in shown
    assert "Broken events: 0 planted, 0 kept" in done.stdout
