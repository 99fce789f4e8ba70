"""graphwriter verify as a person meets it: its sources, its report, its exit codes."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from click.testing import CliRunner
from support.graphs import rows
from support.names import GROUP, STREAM
from support.neo4j import Server
from support.paths import DATA
from support.posts import create
from support.posts import rows as database_rows
from support.proxy import Proxy
from support.waits import until
from test_verify import RICH, WORLD, audited, kinds, stored, values, written

from graphwriter.cli import verify
from graphwriter.database import Database
from graphwriter.errors import (
    EXIT_CONFIG,
    EXIT_DIFFERENT,
    EXIT_FAILED,
    EXIT_OK,
    EXIT_UNAVAILABLE,
    BadEvent,
    ConfigError,
    Unavailable,
)
from graphwriter.graph import Graph
from graphwriter.producers import desktop
from graphwriter.stream import DeadLetters, Stream
from graphwriter.verify.audit import Audit
from graphwriter.verify.sources import DatabaseSource, FileSource, Item, StreamSource, export
from graphwriter.worker.writer import Writer

EXPORT = DATA / "desktop-export" / "result.json"
DUMP = EXPORT.parent.parent / "telethon-dump" / "channel_messages.json"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def variables(neo4j_server: Server, valkey_url: str) -> dict[str, str]:
    """What a command needs to find the test's servers."""
    found = {"NEO4J_URI": neo4j_server.uri, "REDIS_URL": valkey_url, "COLUMNS": "80"}
    found |= {"GRAPH_WRITER_TIMEOUT": "60", "GRAPH_WRITER_WATCHDOG": "100"}
    found |= {"GRAPH_WRITER_STOP_WAIT": "200", "GRAPH_WRITER_ENRICH": "links,media,albums"}
    if neo4j_server.auth:
        found["NEO4J_USER"], found["NEO4J_PASSWORD"] = neo4j_server.auth
    return found


@pytest.fixture
def run(variables: dict[str, str]) -> Run:
    """Run `graphwriter verify`."""

    def call(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "graphwriter", "verify", *arguments],
            env=os.environ | variables | more,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return call


def test_what_is_in_flight_or_a_dead_letter_is_not_missing(
    graph: Graph, redis_client: redis.Redis, valkey_url: str
) -> None:
    """Unread, pending, never to be decoded, refused, or claiming another's post_id."""
    stream = Stream(valkey_url, STREAM, GROUP, "w", block=0.05)
    source = StreamSource([(stream.client, STREAM)], GROUP, None, RICH)

    def add(*world: dict[str, Any] | str) -> None:
        for one in world:
            redis_client.xadd(STREAM, {"data": one if isinstance(one, str) else json.dumps(one)})

    add(*WORLD)
    counts = audited(graph, source).counts
    assert (counts["in_flight"], counts["compared"]) == (6, 0)  # nobody has made the group yet
    add("{", values(9, post_id="p1"))
    writer = Writer(stream, graph, keep=RICH)
    while not writer.run_once():
        pass
    add(values(20), values(21), values(22))
    refused, _pending = stream.read(2)
    DeadLetters(stream.client, STREAM, GROUP).add(refused, "refused", "by Neo4j")
    report = audited(graph, source)
    assert kinds(report) == {}
    left_out = {"in_flight": 2, "undecodable": 1, "dead": 2}
    assert {key: report.counts[key] for key in left_out} == left_out
    assert [note.kind for note in report.notes] == ["undecodable"]
    graph.run("MATCH (p {post_id: 'p5'}) DETACH DELETE p")
    assert kinds(audited(graph, source)) == {"missing_post": 1, "orphan": 1}
    assert audited(graph, source, repair=True).left == 0
    assert kinds(audited(graph, source)) == {}


def test_a_row_has_a_time_of_its_own(graph: Graph, postgres_url: str) -> None:
    """The same of another time is right, something else is repaired where the row is later."""
    made = database_rows(40)
    create(postgres_url, made)
    with Database(postgres_url) as database:
        source = DatabaseSource(database)
        assert kinds(audited(graph, source)) == {"missing_post": 40}
        assert audited(graph, source, repair=True).left == 0
        graph.run("MATCH (p:Post) SET p.version = 1, p.reply_version = 1, p.forward_version = 1")
        assert kinds(audited(graph, source)) == {}
        with psycopg.connect(postgres_url) as connection:
            connection.execute(
                "UPDATE posts SET updated_at = '2025-01-01', reply_to_message_id = 99, "
                "reply_to_chat_id = -5 WHERE telegram_message_id <= 3"
            )
        found = kinds(audited(graph, source))
        assert found["version_regression"] == 3
        assert found.get("missing_link", 0) + found.get("wrong_link", 0) == 3
        assert audited(graph, source, repair=True).left == 0
        assert kinds(audited(graph, source)) == {}


@pytest.mark.skipif(not EXPORT.exists(), reason=f"no export at {EXPORT}")
def test_a_desktop_export_is_what_was_imported(graph: Graph) -> None:
    """Every post of it, its replies and signatures; what is gone is written from it again."""
    report = audited(graph, export(desktop.events, str(EXPORT), "desktop"), repair=True)
    posts = report.counts["compared"]
    assert (kinds(report), report.left) == ({"missing_post": posts}, 0)
    graph.run("MATCH ()-[r:REPLIES_TO]->(n:Post) WITH r LIMIT 10 DELETE r")
    assert kinds(audited(graph, export(desktop.events, str(EXPORT), "desktop"))) == {
        "missing_link": 10
    }


@pytest.mark.skipif(not DUMP.exists(), reason=f"no dump at {DUMP}")
def test_a_telethon_dump_is_what_was_imported(graph: Graph, run: Run) -> None:
    """By the command, which writes what is missing."""
    told = run("telethon", str(DUMP), "--repair", "--json")
    assert told.returncode == EXIT_OK, told.stderr
    summary = json.loads(told.stdout.splitlines()[-1])
    assert (summary["found"], summary["left"]) == (summary["compared"], 0)
    assert rows(graph, "MATCH (p:Post) RETURN count(p)") == [[summary["compared"]]]


def test_the_report_names_kinds_examples_and_exit_codes(
    graph: Graph, run: Run, tmp_path: Path
) -> None:
    """As a table, as JSON, after a repair, and of the graph alone."""
    written(graph, WORLD)
    stored(tmp_path / "events", WORLD)
    graph.run("MATCH ({post_id: 'p2'})-[r:REPLIES_TO]->() DELETE r")
    told = run("file", str(tmp_path / "events"))
    assert told.returncode == EXIT_DIFFERENT, told.stderr
    assert "missing_link      1" in told.stdout
    example = "missing_link -1001179270258/2: REPLIES_TO -1001179270258/1 is missing\n"
    assert example in told.stdout
    assert told.stdout.endswith("1 difference\n")
    told = run("file", str(tmp_path / "events"), "--repair", "--json")
    assert told.returncode == EXIT_OK, told.stderr
    *found, summary = map(json.loads, told.stdout.splitlines())
    by_kind = {row["kind"]: (row["found"], row["left"], len(row["examples"])) for row in found}
    assert by_kind.pop("missing_link") == (1, 0, 1)
    assert set(by_kind.values()) == {(0, 0, 0)}
    assert (summary["compared"], summary["complete"], summary["events"]) == (5, True, 6)
    told = run("graph")
    assert (told.returncode, told.stdout.splitlines()[-1]) == (EXIT_OK, "no difference")


def test_what_cannot_be_looked_at_is_told_from_what_differs(
    graph: Graph, run: Run, tmp_path: Path
) -> None:
    """A line that is no event, a file cut off, of another kind, or not there; no such server."""
    written(graph, WORLD)
    stored(tmp_path / "events", WORLD)
    text = (tmp_path / "events").read_bytes()
    (tmp_path / "broken").write_bytes(text + b"\nbroken\n")
    told = run("file", str(tmp_path / "broken"))
    assert (told.returncode, told.stderr) == (EXIT_FAILED, "")
    assert "undecodable line 8: not_json" in told.stdout
    assert "left out: 1 that cannot be decoded" in told.stdout
    (tmp_path / "cut").write_bytes(gzip.compress(text)[:-9])
    for arguments, code, word in (
        (["file", str(tmp_path / "cut")], EXIT_CONFIG, "truncated"),
        (["postgres"], EXIT_CONFIG, "DATABASE_URL is not set"),
        (["graph", "--neo4j-uri", "bolt://127.0.0.1:1"], EXIT_UNAVAILABLE, "127.0.0.1:1"),
    ):
        told = run(*arguments)
        assert told.returncode == code, told.stderr
        (line,) = told.stderr.splitlines()
        assert line.startswith("graphwriter: ")
        assert word in line


def test_a_connection_lost_half_way_is_told_and_finished_repairs_stay(
    graph: Graph, neo4j_server: Server, tmp_path: Path, proxy: Callable[[str], Proxy]
) -> None:
    """The report is of what was looked at until then."""
    between = proxy(neo4j_server.uri)
    events = stored(tmp_path / "events", [values(n) for n in range(1200)])

    def cut() -> Iterator[Item]:
        for number, item in enumerate(events):
            if number == 1100:
                between.stop()
            yield item

    with Graph(between.url, *(neo4j_server.auth or (None, None)), timeout=2, retry=1) as away:
        audit = Audit(away, repair=True)
        audit.constraints()
        with pytest.raises(Unavailable, match="does not answer"):
            audit.compare(events, cut())
    assert (audit.report.kinds["missing_post"].found, audit.report.left) == (1000, 0)
    assert not audit.report.complete
    assert kinds(audited(graph, events)) == {"missing_post": 200}


def test_term_ends_it_with_what_it_found_so_far(graph: Graph, variables: dict[str, str]) -> None:
    """The file is standard input here, and does not end."""
    verifying = subprocess.Popen(
        [sys.executable, "-m", "graphwriter", "verify", "file", "-", "--json", "--repair"],
        env=os.environ | variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert verifying.stdin is not None
    for number in range(600):
        verifying.stdin.write(json.dumps(values(number)) + "\n")
    verifying.stdin.flush()
    until(lambda: rows(graph, "MATCH (p:Post) RETURN count(p)") == [[500]], 60)
    verifying.send_signal(signal.SIGTERM)
    out, said = verifying.communicate(timeout=30)
    assert verifying.returncode == EXIT_FAILED
    # On a slow machine a line of the progress comes before.
    assert said.endswith("graphwriter: stopped; finished repairs stay\n")
    summary = json.loads(out.splitlines()[-1])
    assert (summary["complete"], summary["left"]) == (False, 0)


def test_an_interrupt_that_the_driver_turns_into_its_own_error_is_a_stop(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a read did whose buffer was in use: BufferError instead of KeyboardInterrupt."""

    def interrupted(*_: object) -> None:
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        raise BufferError("Existing exports of data: object cannot be re-sized")

    monkeypatch.setattr(verify, "_steps", interrupted)
    done = CliRunner().invoke(verify.command, ["graph"], env=variables)
    assert done.exit_code == EXIT_FAILED
    assert done.stderr == "graphwriter: stopped; finished repairs stay\n"


def test_a_file_is_named_with_the_line(tmp_path: Path) -> None:
    """Blank lines count; a file of another kind is refused at once."""
    (tmp_path / "events").write_text(f"{json.dumps(values(1))}\n\n[]\n")
    first, second = FileSource(str(tmp_path / "events"))
    assert first.place == "line 1"
    assert isinstance(second.event, BadEvent)
    assert (second.place, second.event.reason) == ("line 3", "wrong_type")
    (tmp_path / "export").write_text('{"messages": []}')
    with pytest.raises(ConfigError, match="export: its first line is not an event"):
        list(FileSource(str(tmp_path / "export")))
    with pytest.raises(ConfigError, match="none: No such file"):
        list(FileSource(str(tmp_path / "none")))
