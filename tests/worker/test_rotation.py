"""Servers that refuse while programs run: a rotated password is read again, no free connection is
waited for."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import neo4j
import pytest
import redis
from support.names import GROUP, STREAM
from support.neo4j import Server
from support.waits import until

from graphwriter.config import load
from graphwriter.embedded import Neo4j, Valkey
from graphwriter.errors import EXIT_CONFIG, ConfigError
from graphwriter.graph import connect
from graphwriter.producers.demo.demo import Demo
from graphwriter.producers.publisher import EventPublisher


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A server of this test with the password `old`."""
    with Valkey(data=tmp_path / "valkey", config={"requirepass": "old"}) as server:
        yield server


def url(server: Valkey, password: str) -> str:
    return f"redis://:{password}@127.0.0.1:{server.port}/0"


def worker(environ: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "graphwriter", "worker", "--consumer-name", "w"],
        env={**os.environ, **environ},
        stderr=subprocess.PIPE,
        text=True,
    )


def of(server: Server, folder: Path) -> dict[str, str]:
    environ = {"NEO4J_URI": server.uri, "GRAPH_WRITER_RUN_DIR": str(folder / "run")}
    if server.auth:
        environ["NEO4J_USER"], environ["NEO4J_PASSWORD"] = server.auth
    return environ


def status(environ: dict[str, str]) -> str:
    command = [sys.executable, "-m", "graphwriter", "status"]
    found = subprocess.run(
        command, env=os.environ | environ, capture_output=True, text=True, timeout=60, check=False
    )
    return found.stdout


@pytest.mark.parametrize("in_time", [True, False])
def test_a_worker_goes_on_with_the_new_password_of_redis_and_ends_without_one(
    valkey: Valkey, neo4j_server: Server, graph_empty: neo4j.Driver, tmp_path: Path, in_time: bool
) -> None:
    """Its connections are cut after the change, as an operator does."""
    secret = tmp_path / "redis-url"
    secret.write_text(url(valkey, "old"))
    environ = {"REDIS_URL_FILE": str(secret), "REDIS_URL": ""}
    process = worker(environ | of(neo4j_server, tmp_path))
    admin = redis.Redis.from_url(url(valkey, "old"))
    until(lambda: admin.exists(STREAM) and admin.xinfo_groups(STREAM))
    admin.config_set("requirepass", "new")
    if in_time:
        secret.write_text(url(valkey, "new"))
    admin.client_kill_filter(_type="normal", skipme=True)
    if in_time:
        with EventPublisher(url(valkey, "new")) as publisher:
            publisher.publish_all(Demo(200))
        group = redis.Redis.from_url(url(valkey, "new"))
        until(lambda: group.xinfo_groups(STREAM)[0]["lag"] == 0)
        until(lambda: group.xpending(STREAM, GROUP)["pending"] == 0)
        process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == (0 if in_time else EXIT_CONFIG), said
    assert "Traceback" not in said
    assert ("REDIS_URL_FILE has changed" in said) == in_time


@pytest.mark.slow
def test_a_worker_waits_while_redis_has_no_free_connection_and_status_says_why(
    valkey: Valkey, neo4j_server: Server, graph_empty: neo4j.Driver, tmp_path: Path
) -> None:
    environ = {"REDIS_URL": url(valkey, "old")} | of(neo4j_server, tmp_path)
    admin = redis.Redis.from_url(environ["REDIS_URL"])
    admin.config_set("maxclients", 1)
    process = worker(environ)
    until(lambda: re.search(r"^w .*waiting", status(environ), re.MULTILINE))
    assert "DOES NOT ANSWER" in status(environ)
    assert "max number of clients reached" in status(environ)
    admin.config_set("maxclients", 100)
    with EventPublisher(environ["REDIS_URL"]) as publisher:
        publisher.publish_all(Demo(200))
    until(lambda: admin.exists(STREAM) and admin.xinfo_groups(STREAM))
    until(lambda: admin.xinfo_groups(STREAM)[0]["lag"] == 0)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert said.count("max number of clients reached") == 1


@pytest.mark.slow
def test_neo4j_is_asked_with_the_new_password_and_not_often_with_the_old_one(
    tmp_path: Path,
) -> None:
    """A refused password is not tried again for a minute, so that nobody is locked out."""
    secret = tmp_path / "password"
    secret.write_text("old-password\n", "utf-8-sig")  # saved by an editor on Windows
    with Neo4j(data=tmp_path / "neo4j", password="old-password") as server:
        config = load({"NEO4J_URI": server.url, "NEO4J_PASSWORD_FILE": str(secret)})
        environ = {"NEO4J_PASSWORD_FILE": str(secret)}
        os.environ.update(environ)
        try:
            with connect(config) as graph:
                graph.check()
                with neo4j.GraphDatabase.driver(server.url, auth=server.auth) as admin:
                    admin.execute_query(
                        "ALTER CURRENT USER SET PASSWORD FROM 'old-password' TO 'new-password'",
                        database_="system",
                    )
                graph.close()
                start = time.monotonic()
                for _ in range(50):
                    with pytest.raises(ConfigError, match="Unauthorized"):
                        graph.check()
                assert time.monotonic() - start < 5
                # Three wrong tries would lock the account: the right password is taken at once.
                login = ("neo4j", "new-password")
                with neo4j.GraphDatabase.driver(server.url, auth=login) as other:
                    other.verify_connectivity()
                secret.write_text("new-password")
                graph.check()
        finally:
            del os.environ["NEO4J_PASSWORD_FILE"]
