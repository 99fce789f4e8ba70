"""graphwriter doctor: servers, settings and clocks that are not as they should be."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from support.doctor import (
    HOOKS,
    NOWHERE,
    SECRET,
    Environ,
    checks,
    command,
    found,
    named,
)
from support.names import GROUP, STREAM
from support.neo4j import embedded_version
from support.proxy import Proxy
from support.servers import folder, started

from graphwriter import doctor
from graphwriter.config import read
from graphwriter.doctor import facts
from graphwriter.embedded import Neo4j, Valkey
from graphwriter.errors import (
    EXIT_CONFIG,
    EXIT_FAILED,
    EXIT_UNAVAILABLE,
)
from graphwriter.stream import acl


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
        assert named(findings, "memory", "of maxmemory", "refuses producers") == "graphwriter trim"
        for repair in (
            named(findings, "memory policy", "allkeys-lru", "all events"),
            named(findings, "persistence", "a restart loses every event"),
        ):
            start, _, words = repair.partition('-u "$REDIS_URL" ')
            assert start == "redis-cli "
            client.execute_command(*words.split())
        client.config_set("maxmemory", 0)
        client.config_set("appendfsync", "no")
        repair = named(found(there), "persistence", "half a minute")
        client.execute_command(*repair.partition('" ')[2].split())
        assert not checks(found(there)) & {"memory", "memory policy", "persistence"}
        host, port = server.address.split(":")
        with started(
            Valkey(data=tmp_path / "r", config={"replicaof": f"{host} {port}"})
        ) as replica:
            repair = named(
                found(environ | {"REDIS_URL": replica.url}), "redis role", "is a replica"
            )
            assert repair == f"export REDIS_URL={server.url}"


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


@pytest.mark.slow
def test_a_neo4j_that_refuses_is_named(read_only: Neo4j, tmp_path: Path) -> None:
    """The password, the database, the write."""
    there = NOWHERE | {"NEO4J_URI": read_only.url, "NEO4J_USER": "neo4j"}
    there["GRAPH_WRITER_RUN_DIR"] = str(tmp_path / "run")
    right = there | {"NEO4J_PASSWORD": "right-one"}
    findings = found(right)
    named(findings, "neo4j", "DatabaseUnavailable")
    assert named(findings, "database", "is offline") == "neo4j restart"
    repair = named(findings, "database", "the database neo4j is configured as read-only")
    assert repair == "grep read_only /etc/neo4j/neo4j.conf"
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
    assert "NEO4J_USER (neo4j) or NEO4J_PASSWORD is wrong" in refused["text"]
    assert refused["mend"] is None
    repair = named(found(there), "neo4j", "NEO4J_PASSWORD is not set")
    assert repair == "export NEO4J_USER=neo4j NEO4J_PASSWORD_FILE=FILE"
    assert {row["level"] for row in rows if row["check"] == "constraints"} == {"unknown"}


def test_servers_that_are_away_are_named_in_80_columns() -> None:
    done = command(environ=NOWHERE | {"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/d"})
    assert (done.returncode, done.stderr) == (EXIT_UNAVAILABLE, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    for words in ("Redis at 127.0.0.1:1/0", "$ graphwriter up", "Neo4j at bolt:",
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
        (denied,) = [one for one in findings if one.level == "unknown"]
        assert (denied.check, denied.repair) == (
            "persistence",
            f"redis-cli ACL SETUSER {user} '+config|get'",
        )
        named(findings, "consumers", "no worker is alive")
        refused = found(environ | {"REDIS_URL": at.replace(SECRET, "another")})
        assert named(refused, "redis", "denies access", "is wrong") == "None"
        assert "Redis denies access" in {one.text for one in refused}
        client.execute_command("ACL", "SETUSER", user, "+config|get")
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
        "GRAPH_WRITER_CACHE": "/var/cache/graphwriter",
        "GRAPH_WRITER_BATCH_SIZE": "50000",
        "GRAPH_WRITER_REQUIRE_TLS": "true",
        "NEO4J_USERNAME": "neo4j",
        "NEO4J_URI": "bolt://graph.example:7687",
    }
    config, wrong = read(environ)
    seen = {"config": config, "wrong_values": wrong, "environ": environ}
    findings = [one for one in doctor.run_checks(facts.Facts(seen)) if one.level == "wrong"]
    assert named(findings, "settings", "GRAPH_WRITER_BLOCK is 'soon'") == "unset GRAPH_WRITER_BLOCK"
    repair = named(findings, "settings", "GRAPH_WRITER_CLAIM_IDLE is 5 s")
    assert repair == "unset GRAPH_WRITER_WATCHDOG GRAPH_WRITER_CLAIM_IDLE"
    named(findings, "settings", "GRAPH_WRITER_WATCHDOG is 10 s")
    repair = named(
        findings, "variables", "GRAPH_WRITER_BATCHSIZE", "did you mean GRAPH_WRITER_BATCH_SIZE"
    )
    assert repair == (
        'export GRAPH_WRITER_BATCH_SIZE="$GRAPH_WRITER_BATCHSIZE"; unset GRAPH_WRITER_BATCHSIZE'
    )
    named(findings, "variables", "NEO4J_USERNAME", "did you mean NEO4J_USER")
    assert [one.check for one in findings].count("variables") == 2
    named(findings, "batch size", "50,000")
    named(findings, "exposed links", "NEO4J_URI", "graph.example", "nothing starts")
    assert max(one.code for one in findings) == EXIT_CONFIG
