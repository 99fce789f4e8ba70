"""What is logged: lines for people or for programs, no flood, and no secret in any of them."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from support.names import GROUP, STREAM
from support.neo4j import Server
from support.proxy import Proxy
from support.waits import until

from graphwriter import logs
from graphwriter.config import load
from graphwriter.errors import EXIT_CONFIG
from graphwriter.graph import Graph
from graphwriter.stream import Stream
from graphwriter.worker.writer import Writer

SECRET = "planted-s3cret/@#%"
QUOTED = "planted-s3cret%2F%40%23%25"
log = logging.getLogger("graphwriter")


@pytest.fixture(autouse=True)
def _put_back() -> Iterator[None]:
    """Leave logging as pytest set it up."""
    root = logging.getLogger()
    before, level, hook = [*root.handlers], root.level, sys.excepthook
    yield
    for handler in root.handlers:
        if handler not in before:
            handler.close()
    root.handlers, sys.excepthook = before, hook
    root.setLevel(level)


@pytest.mark.parametrize("form", logs.FORMATS)
def test_secrets_are_in_no_line(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As they are and as a URL quotes them; in messages, fields, tracebacks; any URL's password."""
    variables = {"NEO4J_PASSWORD": SECRET, "REDIS_URL": f"redis://u:{QUOTED}@127.0.0.1/0"}
    config = load(variables | {"GRAPH_WRITER_EXPORTER_TOKEN": "planted-token-of-16"})
    logs.setup("DEBUG", form, config.secrets())
    try:
        raise ValueError(f"{SECRET} {QUOTED} planted-token-of-16 bolt://a:other-pass@host")
    except ValueError:
        log.exception("it was %s", SECRET, extra={"entry": QUOTED.encode()})
    said = capsys.readouterr().err
    assert "ValueError" in said
    assert "bolt://***@host" in said
    for secret in (SECRET, QUOTED, "planted", "other-pass"):
        assert secret not in said


def test_the_same_warning_again_and_again_is_held_back_and_counted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten of a kind a minute, whatever is in them; other kinds are not held back."""
    logs.setup()
    now = [100.0]
    monkeypatch.setattr("graphwriter.logs.time.monotonic", lambda: now[0])
    for number in range(50):
        log.warning("dead letter %s", number)
    log.warning("another thing")
    assert len(capsys.readouterr().err.splitlines()) == logs.BURST + 1
    now[0] += logs.WINDOW + 1
    log.warning("dead letter %s", 50)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"dead letter 50 (and {50 - logs.BURST} similar lines were left out)")


def test_json_tells_ids_to_follow_an_event_by(
    capsys: pytest.CaptureFixture[str],
    redis_client: redis.Redis,
    valkey_url: str,
    neo4j_server: Server,
) -> None:
    """A dead letter's entry and reason, a batch's first and last id; one object a line."""
    entry = redis_client.xadd(STREAM, {"data": "broken\x1b"}).decode()  # type: ignore[union-attr]
    logs.setup("DEBUG", "json", worker="w-1")
    logging.getLogger("neo4j").setLevel(logging.ERROR)
    stream = Stream(valkey_url, STREAM, GROUP, "me", block=0.05)
    with Graph(neo4j_server.uri, *(neo4j_server.auth or (None, None))) as graph:
        writer = Writer(stream, graph)
        until(lambda: (writer.run_once(), writer.counts.batches + writer.counts.dead)[1], 120)
    stream.close()
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    ours = [line for line in told if "logger" not in line]
    assert {line["worker"] for line in told} == {"w-1"}
    (dead,) = [line for line in ours if "reason" in line]
    assert (dead["entry"], dead["reason"]) == (entry, "not_json")
    (batch,) = [line for line in ours if line["level"] == "debug"]
    assert (batch["first"], batch["last"], batch["entries"]) == (entry, entry, 1)
    assert dead["time"].endswith("Z")


def test_a_worker_logs_events_of_interest_and_none_a_message(
    pool_environ: dict[str, str], redis_client: redis.Redis, proxy: Callable[[str], Proxy]
) -> None:
    """In JSON to its last word; an outage is one line, its end another, however long it lasts."""
    server = proxy(pool_environ["REDIS_URL"])
    worker = subprocess.Popen(
        [sys.executable, "-m", "graphwriter", "worker", "--consumer-name", "w"],
        env=os.environ
        | pool_environ
        | {"REDIS_URL": server.url, "GRAPH_WRITER_LOG_FORMAT": "json"},
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: redis_client.exists(STREAM), 120)
    server.stop()
    until(lambda: b"waiting" in state_of(pool_environ), 60)
    server.start()
    until(lambda: b"reading" in state_of(pool_environ), 60)
    worker.terminate()
    _, said = worker.communicate(timeout=20)
    told = [json.loads(line) for line in said.splitlines()]
    assert {line["worker"] for line in told} == {"w"}
    levels = [line["level"] for line in told]
    assert levels.count("warning") == 1
    assert len(told) <= 6


def state_of(environ: dict[str, str]) -> bytes:
    """What the worker's file says it does."""
    return b"".join(
        path.read_bytes() for path in Path(environ["GRAPH_WRITER_RUN_DIR"]).glob("*.json")
    )


def test_a_refusal_is_json_too() -> None:
    """The last line of a process that ends by a wrong setting, with its exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "graphwriter", "exporter", "--log-format", "json"],
        env=os.environ | {"GRAPH_WRITER_EXPORTER_HOST": "0.0.0.0"},
        capture_output=True,
        text=True,
        check=False,
    )
    (line,) = map(json.loads, done.stderr.splitlines())
    assert (line["level"], line["exit_code"], done.returncode) == (
        "critical",
        EXIT_CONFIG,
        EXIT_CONFIG,
    )
