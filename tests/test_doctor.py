"""graphwriter doctor: each broken situation is set up for real, and named with what mends it."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import neo4j
import pytest
import redis
from cases import BASE
from fix_neo4j import Server, embedded_version
from fix_proxy import Proxy
from fix_servers import folder, started
from waits import until

from graphwriter import doctor
from graphwriter.cli import main
from graphwriter.config import read
from graphwriter.doctor import facts
from graphwriter.doctor.finding import Finding
from graphwriter.embedded import Neo4j, Valkey
from graphwriter.errors import (
    EXIT_CONFIG,
    EXIT_DEAD_LETTER_LIMIT,
    EXIT_FAILED,
    EXIT_OK,
    EXIT_UNAVAILABLE,
)
from graphwriter.graph import Graph, schema
from graphwriter.stream import Stream, acl
from graphwriter.writer import Writer

STREAM, GROUP = "stream:posts:parsed", "graph_writer"
PAGE = Path(__file__).parent.parent / "docs" / "troubleshooting.md"
HOOKS = Path(__file__).parent / "faults" / "hooks"
NOWHERE = {"REDIS_URL": "redis://127.0.0.1:1/0", "NEO4J_URI": "bolt://127.0.0.1:1"}
SECRET = "planted-s3cret"

Environ = dict[str, str]


def found(environ: Environ, limit: float = facts.LIMIT) -> list[Finding]:
    """All that is not well."""
    config, wrong = read(environ)
    every = doctor.examine(facts.gather(config, wrong, environ, limit))
    return [one for one in every if one.level != "ok"]


def named(findings: list[Finding], check: str, *words: str) -> str:
    """What mends the one finding of a check that says these words."""
    fits = [one for one in findings if one.check == check and all(w in one.text for w in words)]
    assert len(fits) == 1, (check, words, findings)
    assert fits[0].level == "wrong"
    assert "\n" not in fits[0].text
    return str(fits[0].mend)


def checks(findings: list[Finding]) -> set[str]:
    return {one.check for one in findings}


def command(*arguments: str, environ: Environ) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "graphwriter", "doctor", *arguments],
        env=os.environ | environ | {"COLUMNS": "80"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def event(message: int, **more: Any) -> bytes:
    post = {"telegram_message_id": message, "post_id": f"p{message}"}
    return json.dumps(BASE | post | more).encode()


@pytest.fixture
def environ(pool_environ: Environ, neo4j_server: Server) -> Environ:
    """Variables of a pool on empty servers, with the constraints there."""
    with Graph(neo4j_server.uri, *(neo4j_server.auth or (None, None)), timeout=60) as graph:
        schema.apply(graph)
    return pool_environ


@pytest.fixture
def group(redis_client: redis.Redis) -> list[bytes]:
    """A stream of ten entries with a group that has read none; their ids."""
    ids: Any = [redis_client.xadd(STREAM, {"data": event(number)}) for number in range(1, 11)]
    redis_client.xgroup_create(STREAM, GROUP, id="0")
    return list(ids)


def take(client: redis.Redis, consumer: str, count: int) -> None:
    client.xreadgroup(GROUP, consumer, {STREAM: ">"}, count=count)


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
        letters = Stream(environ["REDIS_URL"], STREAM, GROUP, "")
        until(lambda: any(row["entries-read"] and not row["pending"] for row in letters.groups()))
        letters.close()
        done = command(environ=environ)
        assert (done.returncode, done.stdout[:10], done.stderr) == (EXIT_OK, "0 findings", "")
        redis_client.xadd(STREAM, {"data": event(2, text="deadly")})
        assert worker.wait(60) == -signal.SIGKILL
    finally:
        worker.kill()
        worker.wait()
    findings = found(environ)
    assert named(findings, "workers here", "w-00", "ended") == "graphwriter up"
    named(findings, "consumers", "no worker is alive")
    named(findings, "pending", "w-00 holds 1 pending", "is gone", "takes them over in 3 min")
    assert checks(findings) == {"workers here", "consumers", "pending"}


def test_a_worker_that_does_not_get_on_is_named(environ: Environ, group: list[bytes]) -> None:
    """Its process is there, its heartbeat is old."""
    import msgspec

    from graphwriter import state
    from graphwriter.counts import Counts

    run, old = Path(environ["GRAPH_WRITER_RUN_DIR"]), time.time() - 50
    told = state.State("w-00", STREAM, GROUP, os.getpid(), old, old, 1.0, "writing", Counts())
    run.mkdir(mode=0o700)
    (run / "w.json").write_bytes(msgspec.json.encode(told))
    mend = named(found(environ), "workers here", "w-00 has been writing for 50 s")
    assert mend == f"kill -ABRT {os.getpid()}"
    run.chmod(0o777)
    assert named(found(environ), "run directory", "only we") == f"chmod 700 {run}"


def test_a_redis_that_forgets_is_named_and_the_commands_mend_it(
    environ: Environ, tmp_path: Path
) -> None:
    careless = {"maxmemory-policy": "allkeys-lru", "appendonly": "no", "maxmemory": "64mb"}
    with (
        started(Valkey(data=tmp_path / "v", config=careless)) as server,
        redis.Redis.from_url(server.url, decode_responses=True) as client,
    ):
        client.config_set("maxmemory", int(client.info()["used_memory"] * 1.1))
        there = environ | {"REDIS_URL": server.url}
        findings = found(there)
        assert named(findings, "memory", "of maxmemory", "refused") == "graphwriter trim"
        for mend in (
            named(findings, "memory policy", "allkeys-lru", "all events"),
            named(findings, "persistence", "a restart loses every event"),
        ):
            start, _, words = mend.partition('-u "$REDIS_URL" ')
            assert start == "redis-cli "
            client.execute_command(*words.split())
        client.config_set("maxmemory", 0)
        client.config_set("appendfsync", "no")
        mend = named(found(there), "persistence", "half a minute")
        client.execute_command(*mend.partition('" ')[2].split())
        assert not checks(found(there)) & {"memory", "memory policy", "persistence"}
        host, port = server.address.split(":")
        with started(
            Valkey(data=tmp_path / "r", config={"replicaof": f"{host} {port}"})
        ) as replica:
            mend = named(found(environ | {"REDIS_URL": replica.url}), "redis role", "is a replica")
            assert mend == f"export REDIS_URL={server.url}"


def test_a_stream_or_group_of_another_name_is_named(environ: Environ, group: list[bytes]) -> None:
    findings = found(environ | {"GRAPH_WRITER_CONSUMER_GROUP": "graph-writer"})
    mend = named(findings, "group", "graph-writer is not there, but graph_writer is")
    assert mend == "export GRAPH_WRITER_CONSUMER_GROUP=graph_writer"
    findings = found(environ | {"GRAPH_WRITER_STREAM": "stream:post:parsed"})
    named(findings, "events", "nothing was ever added to the stream stream:post:parsed")
    assert named(findings, "group", "is not there: no worker") == "graphwriter up"
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
    said = "vm2-01 holds 3 pending, since 2 h", f"the oldest is {group[0].decode()}"
    assert named(findings, "pending", *said) == "graphwriter up"
    mend = named(findings, "redelivered", group[1].decode(), "9 times, now to vm2-01")
    words = mend.partition('-u "$REDIS_URL" ')[2].split()
    assert client.execute_command(*words)[0][0] == group[1]


def test_dead_letters_are_named_and_the_worker_that_stopped_for_them(
    environ: Environ, redis_client: redis.Redis
) -> None:
    for text in ("{", "[", '{"schema_version":"v7"}'):
        redis_client.xadd(STREAM, {"data": text})
    limit = {"GRAPH_WRITER_DEAD_LEAST": "2"}
    worker = [sys.executable, "-m", "graphwriter", "worker", "--consumer-name", "w-00"]
    done = subprocess.run(
        worker, env=os.environ | environ | limit, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == EXIT_DEAD_LETTER_LIMIT
    findings = found(environ)
    said = "3 dead letters", "2 not_json, 1 schema_version"
    assert named(findings, "dead letters", *said) == "graphwriter dead list"
    mend = named(findings, "workers here", "w-00", "3 of 3 entries became dead letters")
    assert mend == "graphwriter dead list"


def test_what_is_wrong_with_the_graph_is_named_and_mended(
    environ: Environ, driver: neo4j.Driver, redis_client: redis.Redis, group: list[bytes]
) -> None:
    """Events read and no post, no constraints, a foreign post, a link that is there twice."""
    redis_client.xack(STREAM, GROUP, *group[:2])
    take(redis_client, "w", 2)
    redis_client.xack(STREAM, GROUP, *group[:2])
    named(found(environ), "posts", "the database neo4j holds no post")
    driver.execute_query("DROP CONSTRAINT graphwriter_post_id IF EXISTS", database_="neo4j")
    driver.execute_query(
        "CREATE (:Post {post_id: 'f9', tg_channel_id: 5, telegram_message_id: 9}), "
        "(:Post {post_id: 'f8'}), (p:Message:Post {post_id: 'f7', tg_channel_id: 5, "
        "telegram_message_id: 7}), (p)-[:REPLIES_TO]->(:Message {tg_channel_id: 5, "
        "telegram_message_id: 6}), (p)-[:REPLIES_TO]->(:Message {tg_channel_id: 5, "
        "telegram_message_id: 5})",
        database_="neo4j",
    )
    findings = found(environ)
    assert named(findings, "constraints", "graphwriter_post_id") == "graphwriter schema apply"
    driver.execute_query(
        "MERGE (:Message {tg_channel_id: 77, telegram_message_id: 1}) "
        "MERGE (:Message {tg_channel_id: -1000000000077, telegram_message_id: 1})",
        database_="neo4j",
    )
    named(found(environ), "bare ids", "1 message there twice")
    adopt = named(findings, "foreign posts", "1 post of another service", "not adopted")
    named(findings, "foreign posts", "1 post of another service", "without an address")
    named(findings, "doubled links", "1 post with more than one REPLIES_TO, such as f7")
    for mend in ("graphwriter schema apply", adopt):
        done = [sys.executable, "-m", *mend.split()]
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
    left = found(environ)
    assert not checks(left) & {"constraints", "doubled links", "posts"}
    assert [one.text for one in left if one.check == "foreign posts"] == [
        "1 post of another service without an address: its event brings it"
    ]


@pytest.fixture(scope="module")
def read_only() -> Iterator[Neo4j]:
    """A server with a password that was read-only before its database was made."""
    settings = {"server.databases.read_only": "neo4j"}
    with folder() as data:
        server = Neo4j(
            data=data, version=embedded_version(), password="right-one", settings=settings
        )
        with started(server):
            yield server


def test_a_neo4j_that_refuses_is_named(read_only: Neo4j, tmp_path: Path) -> None:
    """The password, the database, the write."""
    there = NOWHERE | {"NEO4J_URI": read_only.url, "NEO4J_USER": "neo4j"}
    there["GRAPH_WRITER_RUN_DIR"] = str(tmp_path / "run")
    right = there | {"NEO4J_PASSWORD": "right-one"}
    findings = found(right)
    named(findings, "neo4j", "DatabaseUnavailable")
    assert named(findings, "database", "is offline") == "neo4j restart"
    mend = named(findings, "database", "the database neo4j is read-only")
    assert mend == "grep read_only /etc/neo4j/neo4j.conf"
    assert max(one.code for one in findings) == EXIT_UNAVAILABLE
    findings = found(right | {"NEO4J_DATABASE": "posts"})
    assert named(findings, "neo4j", "DatabaseNotFound") == "export NEO4J_DATABASE=neo4j"
    done = command("--json", environ=there | {"NEO4J_PASSWORD": SECRET})
    assert done.returncode == EXIT_CONFIG
    assert SECRET not in done.stdout + done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(row.keys() == {"check", "level", "text", "mend"} for row in rows)
    refused = next(row for row in rows if row["check"] == "neo4j")
    assert "Unauthorized" in refused["text"]
    assert "NEO4J_PASSWORD_FILE" in refused["mend"]
    assert {row["level"] for row in rows if row["check"] == "constraints"} == {"unknown"}


def test_servers_that_are_away_are_named_in_80_columns() -> None:
    done = command(environ=NOWHERE | {"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/d"})
    assert (done.returncode, done.stderr) == (EXIT_UNAVAILABLE, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    for words in ("Redis at 127.0.0.1:1/0", 'redis-cli -u "$REDIS_URL" PING', "Neo4j at bolt:",
                  "PostgreSQL at 127.0.0.1:1/d", "(redis clock, redis version"):  # fmt: skip
        assert words in done.stdout, words


def test_urls_that_are_none_are_named() -> None:
    """Their passwords are not shown."""
    findings = found({
        "REDIS_URL": f"https://u:{SECRET}@127.0.0.1", "NEO4J_URI": "bolt://u:p@127.0.0.1",
        "DATABASE_URL": f"mysql://u:{SECRET}@127.0.0.1",
    })  # fmt: skip
    for server, variable in (("redis", "REDIS"), ("neo4j", "NEO4J"), ("postgres", "DATABASE")):
        assert f"export {variable}_UR" in named(findings, server, variable)
    assert SECRET not in str(findings)
    assert max(one.code for one in findings) == EXIT_CONFIG


def test_servers_that_never_answer_do_not_hold_it(
    environ: Environ, proxy: Callable[[str], Proxy]
) -> None:
    """They take connections, and say nothing."""
    to_redis, to_neo4j = proxy(environ["REDIS_URL"]), proxy(environ["NEO4J_URI"])
    to_redis.deaf = to_neo4j.deaf = True
    there = environ | {"REDIS_URL": to_redis.url, "NEO4J_URI": to_neo4j.url}
    start = time.monotonic()
    findings = found(there, limit=4.0)
    assert time.monotonic() - start < 6
    for server in ("redis", "neo4j"):
        named(findings, server, "answer")
    assert {one.level for one in findings if one.check == "constraints"} == {"unknown"}


@pytest.mark.parametrize("name", ["watcher", "operator"])
def test_with_least_rights_it_says_what_it_may_not_ask(
    name: str, environ: Environ, redis_client: redis.Redis, group: list[bytes]
) -> None:
    """The rest it can do, and it changes nothing."""
    client: Any = redis_client
    line = next(one for one in acl.users(STREAM, GROUP) if f"-{name} " in one)
    rules = line.split(" (")
    user, *words = rules[0].split()[1:]
    brackets = [f"({one}" for one in rules[1:]]
    client.execute_command("ACL", "SETUSER", user, *words, *brackets, f">{SECRET}")
    at = environ["REDIS_URL"].replace("://", f"://{user}:{SECRET}@")
    before = client.dump(STREAM), client.xinfo_consumers(STREAM, GROUP), client.keys("*")
    try:
        findings = found(environ | {"REDIS_URL": at})
        assert before == (
            client.dump(STREAM), client.xinfo_consumers(STREAM, GROUP), client.keys("*")
        )  # fmt: skip
        denied = {one.check: one for one in findings if one.level == "unknown"}
        assert denied.keys() == {
            "redis version", "redis role", "memory policy", "memory", "disk", "persistence",
            "redis clock",
        }  # fmt: skip
        assert denied["redis clock"].mend == f"redis-cli ACL SETUSER {user} +time"
        named(findings, "consumers", "no worker is alive")
        refused = found(environ | {"REDIS_URL": at.replace(SECRET, "another")})
        mend = named(refused, "redis", "refuses us")
        assert mend == "unset REDIS_URL; export REDIS_URL_FILE=/run/secrets/redis"
        client.execute_command("ACL", "SETUSER", user, "+time", "+info", "+config|get")
        assert {one.level for one in found(environ | {"REDIS_URL": at})} == {"wrong"}
    finally:
        client.acl_deluser(user)


def test_clocks_that_differ_are_named(environ: Environ, tmp_path: Path) -> None:
    offset = tmp_path / "offset"
    offset.write_bytes(struct.pack("d", -90.0))
    wrong = {"PYTHONPATH": str(HOOKS), "CLOCK_OFFSET": str(offset)}
    done = command("--json", environ=environ | wrong)
    said = {row["check"]: row for row in map(json.loads, done.stdout.splitlines())}
    for server in ("Redis", "Neo4j"):
        row = said[f"{server.lower()} clock"]
        assert f"the clock of {server} is 90 s ahead of this machine's" in row["text"]
        assert row["mend"] == "timedatectl set-ntp true"
    assert done.returncode == EXIT_FAILED


def test_settings_that_do_not_fit_are_all_named() -> None:
    """Also those for which no worker starts."""
    environ = {
        "GRAPH_WRITER_WATCHDOG": "10",
        "GRAPH_WRITER_CLAIM_IDLE": "5",
        "GRAPH_WRITER_BLOCK": "soon",
        "GRAPH_WRITER_BATCHSIZE": "10",
        "GRAPH_WRITER_BATCH_SIZE": "50000",
        "GRAPH_WRITER_REQUIRE_TLS": "true",
        "NEO4J_USERNAME": "neo4j",
        "NEO4J_URI": "bolt://graph.example:7687",
    }
    config, wrong = read(environ)
    seen = {"config": config, "wrong_values": wrong, "environ": environ}
    findings = [one for one in doctor.examine(seen) if one.level == "wrong"]
    assert named(findings, "settings", "GRAPH_WRITER_BLOCK is 'soon'") == "unset GRAPH_WRITER_BLOCK"
    mend = named(findings, "settings", "GRAPH_WRITER_CLAIM_IDLE is 5 s")
    assert mend == "unset GRAPH_WRITER_WATCHDOG GRAPH_WRITER_CLAIM_IDLE"
    named(findings, "settings", "GRAPH_WRITER_WATCHDOG is 10 s")
    mend = named(findings, "variables", "GRAPH_WRITER_BATCHSIZE", "is GRAPH_WRITER_BATCH_SIZE")
    assert mend == 'export GRAPH_WRITER_BATCH_SIZE="$GRAPH_WRITER_BATCHSIZE"'
    named(findings, "variables", "NEO4J_USERNAME", "NEO4J_USER meant")
    named(findings, "batch size", "50,000")
    named(findings, "exposed links", "NEO4J_URI", "graph.example", "nothing starts")
    assert max(one.code for one in findings) == EXIT_CONFIG


def test_every_command_that_it_and_its_page_name_exists() -> None:
    """With its options."""
    source = "".join(path.read_text() for path in Path(doctor.__file__).parent.glob("*.py"))
    lines = re.findall(r"\"graphwriter ([a-z -]+)\"", source)
    lines += re.findall(r"^    graphwriter ([^#\n]+)", PAGE.read_text(), re.MULTILINE)
    assert len(lines) > 15
    for line in lines:
        group: click.Command = main
        for word in line.split():
            if word.startswith("--"):
                assert word in {option for one in group.params for option in one.opts}, line
            elif isinstance(group, click.Group):
                below = group.get_command(click.Context(group), word)
                assert below is not None, line
                group = below


def test_the_commands_of_the_troubleshooting_page_run(
    environ: Environ, driver: neo4j.Driver, redis_client: redis.Redis, group: list[bytes]
) -> None:
    """Each query of the page, and each command of redis-cli, on a stream with a pending entry."""
    take(redis_client, "vm2-01", 1)
    page = PAGE.read_text()
    queries = re.findall(r"```cypher\n(.*?)```", page, re.DOTALL)
    asked = re.findall(r"^    redis-cli -u \"\$REDIS_URL\" ([^#\n]+)", page, re.MULTILINE)
    assert len(queries) > 4
    assert len(asked) > 4
    for query in queries:
        driver.execute_query(query, database_="neo4j")
    client: Any = redis_client
    client.response_callbacks.clear()  # as redis-cli: it does not read what it shows
    for line in asked:
        client.execute_command(*shlex.split(re.sub(r"\bID\b", group[0].decode(), line)))
