"""An offline load on real servers: the same graph as from events, in an empty database."""

from __future__ import annotations

import gzip
import json
import os
import random
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

import neo4j
import psutil
import pytest
import redis
from support.model import Fields, assert_same, read_graph
from support.names import GROUP, STREAM
from support.neo4j import embedded_version
from support.posts import Row, create, event, rows
from support.product import model
from support.servers import folder
from support.waits import until

from graphwriter.backfill import offline
from graphwriter.backfill.backfill import Backfill
from graphwriter.backfill.buckets import Buckets
from graphwriter.backfill.importing import import_tables
from graphwriter.backfill.offline import Load, Offline, Source
from graphwriter.backfill.processes import Job
from graphwriter.config import load
from graphwriter.database import Database, Selection
from graphwriter.embedded import Neo4j
from graphwriter.errors import ConfigError, NameTaken
from graphwriter.graph import Graph, connect, schema
from graphwriter.stream import Stream
from graphwriter.verify.audit import Audit
from graphwriter.verify.sources import DatabaseSource
from graphwriter.worker.writer import Writer

ODD = 'a "quoted", \\ \\" text\nof two\r\nlines; \t ☃ 😀 \x01 \x7f \u2028 \uffff\ufeff ,,;|'


@pytest.fixture
def environ(postgres_url: str, tmp_path: Path) -> dict[str, str]:
    """The variables of a load; Neo4j does not answer."""
    return {
        "DATABASE_URL": postgres_url,
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "NEO4J_URI": "bolt://127.0.0.1:9",
        "GRAPH_WRITER_ENRICH": "links,media,albums",
        "GRAPH_WRITER_TEXT": "true",
    }


@pytest.fixture
def empty() -> Iterator[Neo4j]:
    """An embedded Neo4j that was never started."""
    with folder() as data:
        yield Neo4j(data=data / "neo4j", version=embedded_version())


def written(environ: dict[str, str], directory: Path, *files: Path, **more: Any) -> Load:
    """Write the tables in this process and two others."""
    found = Offline(load(environ), Source(Selection(**more), None, files), directory).write()
    assert found is not None
    return found


def command(environ: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    """Start the command."""
    return subprocess.Popen(
        [sys.executable, "-m", "graphwriter", "backfill", *arguments],
        env=os.environ | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finished(environ: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    """Run the command; return its exit code and output."""
    process = command(environ, *arguments)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


@contextmanager
def opened(server: Neo4j) -> Iterator[neo4j.Driver]:
    """Run a server, with a driver."""
    with server, neo4j.GraphDatabase.driver(server.url) as driver:
        yield driver


def dump(driver: neo4j.Driver) -> list[str]:
    """Everything of a graph, with the types of its values: a line for each node and each link."""

    def said(query: LiteralString) -> list[str]:
        found = driver.execute_query(query, database_="neo4j").records
        return sorted(repr([_sorted(value) for value in record.values()]) for record in found)

    nodes = "MATCH (n) RETURN labels(n), properties(n)"
    links = (
        "MATCH (a)-[r]->(b) RETURN type(r), properties(r), labels(a), labels(b), "
        "[x IN [a, b] | [x.tg_channel_id, x.telegram_message_id, x.source_id, x.source_type, "
        "x.author_id, x.author_type, x.url, x.sha256]]"
    )
    return said(nodes) + said(links)


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted(value.items())
    return sorted(value) if value and all(isinstance(one, str) for one in value) else value


def data_of(row: Row) -> bytes:
    """The event of a row as JSON."""
    data = event(row)[b"data"]
    assert isinstance(data, bytes)
    return data


def expected(found: list[Fields]) -> dict[str, Any]:
    """The graph that the reference model makes of these events."""
    reference = model(rich=True)
    for fields in found:
        assert reference.apply(fields) is None
    return reference.graph()


def world() -> tuple[list[Row], list[Row]]:
    """Rows that can be written and rows that cannot: of some addresses there are several."""
    made = rows(900)
    for number, row in enumerate(made[:60]):
        row |= {"text": ODD, "forward_from_name": f"{ODD}{number % 3}", "author_name": ODD}
        row["content_hash"] = ("", '"', None)[number % 3]
    chance = random.Random(7)
    again = [
        row
        | {
            "id": UUID(int=chance.getrandbits(128), version=4),
            "updated_at": row["posted_at"] + timedelta(days=chance.choice((-1, 2))),
            "views_count": 5,
            "urls": ["https://other.example"],
        }
        for row in made[100:300]
    ]
    nothing = dict.fromkeys(name for name in made[0] if name.startswith(("forward", "reply")))
    bad = [
        made[400] | nothing | {"reply_to_message_id": made[400]["telegram_message_id"]},
        made[401] | nothing | {"forward_from_peer_id": {"user_id": 1, "chat_id": 2}},
        made[402] | nothing | {"forward_from_name": "x" * 2001},
        made[403] | {"tenant_id": "other"},
    ]
    ids = {row["id"] for row in bad}
    return [*(row for row in made if row["id"] not in ids), *again], bad


@pytest.mark.slow
def test_a_load_of_rows_is_the_graph_of_the_events_and_of_a_backfill(
    environ: dict[str, str],
    pool_environ: dict[str, str],
    graph_empty: neo4j.Driver,
    redis_client: redis.Redis,
    empty: Neo4j,
    tmp_path: Path,
) -> None:
    """Down to types and versions; `verify` finds nothing, and workers go on with newer events."""
    good, bad = world()
    create(environ["DATABASE_URL"], [*good, *bad])
    environ |= {"GRAPH_WRITER_TENANT": "t"}
    directory = tmp_path / "load"
    made = written(environ, directory)
    assert (made.read, made.rejected) == (len(good) + len(bad), len(bad))
    lines = (directory / "rejects.jsonl").read_text().splitlines()
    reasons = {one["id"]: one["reason"] for one in map(json.loads, lines)}
    words = ("self_link", "wrong_type", "id_too_long", "tenant")
    assert reasons == {str(row["id"]): word for row, word in zip(bad, words, strict=True)}
    import_tables(empty, directory / "tables", made)

    config = load(pool_environ | environ | {"NEO4J_URI": pool_environ["NEO4J_URI"]})
    Backfill(Job(config, Selection()), tmp_path / "checkpoint").run()
    reference = [event(row) for row in good]
    with opened(empty) as driver:
        assert_same(expected(reference), read_graph(driver))
        assert dump(driver) == dump(graph_empty)
        with (
            Graph(empty.url) as graph,
            Database(environ["DATABASE_URL"], Selection(), config.keep) as database,
        ):
            assert schema.missing(graph, config.keep) == []
            audit = Audit(graph, keep=config.keep)
            audit.constraints()
            audit.compare(DatabaseSource(database, "t", config.keep))
            audit.scan()
            assert audit.report.left == 0
        moved = [
            row | {"updated_at": row["posted_at"] + timedelta(days=9), "reply_to_message_id": 5}
            for row in good[::7]
        ]
        for row in moved:
            redis_client.xadd(STREAM, event(row))  # type: ignore[arg-type]
        live = load({**environ, "NEO4J_URI": empty.url, "REDIS_URL": pool_environ["REDIS_URL"]})
        stream = Stream(live.redis_url, STREAM, GROUP, "me", block=0.05)
        with connect(live) as graph:
            writer = Writer(stream, graph, keep=live.keep)
            writer.run_once()
            while writer.run_once():
                pass
        stream.close()
        assert writer.counts.dead == 0
        assert_same(expected([*reference, *map(event, moved)]), read_graph(driver))
    with pytest.raises(ConfigError, match=r"has [0-9,]+ nodes: an offline load needs an empty one"):
        import_tables(empty, directory / "tables", made)


@pytest.mark.slow
def test_a_load_of_files_of_events_is_the_graph_of_the_events(
    environ: dict[str, str], empty: Neo4j, tmp_path: Path
) -> None:
    """Edits in any order, in several files; invalid lines, and a post_id that two posts claim."""
    made = rows(300)
    made[5]["text"] = made[5]["forward_from_name"] = f"\x00{ODD}"
    later = [
        row | {"updated_at": row["posted_at"] + timedelta(days=day), "reply_to_message_id": day + 2}
        for row in made
        for day in (2, 3)
        if row["telegram_message_id"] % 3 == day % 3
    ]
    thief = made[0] | {"telegram_message_id": 10**7}
    stolen = [data_of(one) for one in [*made, *later]]
    random.Random(3).shuffle(stolen)
    plain, packed = tmp_path / "some.jsonl", tmp_path / "more.jsonl.gz"
    plain.write_bytes(b"\n".join([*stolen[:200], b"{", data_of(thief)]))
    with gzip.open(packed, "wb") as file:
        file.write(b"\n".join(stolen[200:]))
    directory = tmp_path / "load"
    found = written(environ, directory, plain, packed)
    assert (found.read, found.rejected) == (len(stolen) + 2, 2)
    lines = (directory / "rejects.jsonl").read_text().splitlines()
    rejects = [json.loads(line) for line in lines]
    assert [one["reason"] for one in rejects] == ["not_json", "post_id_taken"]
    assert rejects[0]["id"] == f"{plain}, line 201"
    assert rejects[1]["id"] == str(made[0]["id"])
    import_tables(empty, directory / "tables", found)
    with opened(empty) as driver:
        assert_same(expected([{b"data": one} for one in stolen]), read_graph(driver))
        odd = "MATCH (p:Post {telegram_message_id: $id}) RETURN p.text"
        assert driver.execute_query(odd, id=6).records[0][0] == made[5]["text"]


def test_the_printed_command_imports_and_nothing_that_is_not_kept_is_loaded(
    environ: dict[str, str], empty: Neo4j, tmp_path: Path
) -> None:
    """For a server elsewhere; a second run says that the files are complete."""
    made = rows(50)
    create(environ["DATABASE_URL"], made)
    environ |= {"GRAPH_WRITER_ENRICH": "", "GRAPH_WRITER_TEXT": "false"}
    directory = tmp_path / "load"
    code, out, err = finished(environ, "--offline", str(directory), "--all")
    assert code == 0, err
    assert "was not checked to be empty" in err
    command = out.partition("    neo4j-admin ")[2].partition("\n\n")[0]
    words = shlex.split(command.replace("\\\n", ""))  # shlex keeps the line feed
    empty.admin(*words)
    with opened(empty) as driver:
        found = read_graph(driver)
        assert (len(found["forwards"]), found["links"], found["media"]) != (0, {}, {})
        assert found["urls"] == set()
        texts = "MATCH (p:Post) WHERE p.text IS NOT NULL OR p.grouped_id IS NOT NULL RETURN p"
        assert driver.execute_query(texts).records == []
    code, again, err = finished(environ, "--offline", str(directory), "--all")
    assert (code, again) == (0, out)
    assert "are complete" in err


def test_a_load_is_refused_where_the_graph_is_not_empty(
    environ: dict[str, str],
    pool_environ: dict[str, str],
    graph_empty: neo4j.Driver,
    tmp_path: Path,
) -> None:
    """Of NEO4J_URI, before anything is read."""
    graph_empty.execute_query("CREATE (:Anything)")
    code, _, err = finished(environ | pool_environ, "--offline", str(tmp_path / "load"))
    assert code == 78
    assert "has 1 nodes: an offline load needs an empty one" in err
    assert not (tmp_path / "load" / "tables").exists()


def test_a_directory_with_other_files_is_refused(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "load").mkdir(mode=0o700)
    (tmp_path / "load" / "mine").touch()
    with pytest.raises(ConfigError, match=r"has other files \(mine\)"):
        Offline(load(environ), Source(Selection()), tmp_path / "load").finished()
    with pytest.raises(ConfigError, match="no path with a comma"):
        Offline(load(environ), Source(Selection()), tmp_path / "a,b").finished()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_load_starts_again(
    environ: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    """A signal leaves no file, a kill leaves what the next run deletes; no process stays."""
    create(environ["DATABASE_URL"], rows(20_000))
    directory = tmp_path / "load"
    process = command(environ, "--offline", str(directory), "--all", "--json")
    until(lambda: list((directory / "unfinished").glob("events-*")), 60)
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert psutil.wait_procs(family, timeout=30)[1] == []
    assert not (directory / "tables").exists()
    if number == signal.SIGKILL:
        assert (directory / "unfinished").exists()
    else:
        assert process.returncode == 1
        assert "the same command starts again" in err
        assert {one.name for one in directory.iterdir()} == {"lock"}
    code, out, err = finished(environ, "--offline", str(directory), "--all", "--json")
    assert code == 0, err
    assert json.loads(out)["lines"]["posts"] == 20_000
    assert {one.name for one in directory.iterdir()} == {"lock", "tables"}


def test_a_process_that_is_killed_ends_the_load(environ: dict[str, str], tmp_path: Path) -> None:
    """As the out-of-memory killer does it."""
    create(environ["DATABASE_URL"], rows(20_000))
    directory = tmp_path / "load"
    process = command(environ, "--offline", str(directory), "--all")
    until(lambda: list((directory / "unfinished").glob("events-*")), 60)
    for child in psutil.Process(process.pid).children():
        if "spawn_main" in " ".join(child.cmdline()):
            child.kill()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 69
    assert "a process of the backfill was killed (exit code -9)" in err
    assert {one.name for one in directory.iterdir()} == {"lock"}


def test_two_loads_into_one_directory_are_refused(environ: dict[str, str], tmp_path: Path) -> None:
    one = Offline(load(environ), Source(Selection()), tmp_path / "load")
    one.finished()
    with one._lock, pytest.raises(NameTaken, match="already writes to"):  # noqa: SLF001
        Offline(load(environ), Source(Selection()), tmp_path / "load").write()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--import"], "--import is for --offline"),
        (["--offline", "d", "--rewrite"], "leave out --rewrite"),
        (["--offline", "d", "--via", "stream"], "leave out --via stream"),
        (["--offline", "d", "--data", "e"], "--data is for --import"),
        (["--offline", "d", "--events", "f", "--all"], "--events loads whole files"),
    ],
)
def test_options_that_do_not_go_together(
    environ: dict[str, str], arguments: list[str], said: str
) -> None:
    code, _, err = finished(environ, *arguments)
    assert code == 2
    assert said in err


@pytest.mark.slow
def test_one_command_loads_in_bounded_memory(environ: dict[str, str], tmp_path: Path) -> None:
    """With --import, 300,000 posts: no process of ours grows beyond a bucket and its buffers."""
    count = 300_000
    create(environ["DATABASE_URL"], rows(count))
    with folder() as data:
        process = command(
            environ,
            *("--offline", str(tmp_path / "load"), "--all", "--json"),
            *("--import", "--data", str(data)),
        )
        largest = 0
        while process.poll() is None:
            family = psutil.Process(process.pid).children(recursive=True)
            for one in family:
                try:
                    if "spawn_main" in " ".join(one.cmdline()):
                        largest = max(largest, one.memory_info().rss)
                except psutil.NoSuchProcess:
                    pass
            try:
                process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
        out, err = process.communicate()
        assert process.returncode == 0, err
        told = json.loads(out)
        assert (told["read"], told["imported"]) == (count, True)
        assert 0 < largest < 250 << 20
        with opened(Neo4j(data=data / "neo4j")) as driver:
            found = driver.execute_query("MATCH (p:Post) RETURN count(p)").records[0][0]
            assert found == count


def test_the_buckets_of_a_load_have_equal_keys_together(tmp_path: Path) -> None:
    """Lines of several writers, before and after a flush."""
    one = Buckets(tmp_path, "x", 3, 0, 2)
    two = Buckets(tmp_path, "x", 3, 1, 2)
    one.add(2, b"a")
    one.flush()
    one.add(2, b"b")
    two.add(2, b"a")
    one.flush()
    two.flush()
    assert sorted(one.read(2)) == [b"a", b"a", b"b"]
    assert one.read(1) == []


def test_a_post_counts_for_both_of_its_labels() -> None:
    found = offline.expected(Load(False, False, False, False, lines={"posts": 3, "messages": 2}))
    assert (found["Message"], found["Post"]) == (5, 3)
