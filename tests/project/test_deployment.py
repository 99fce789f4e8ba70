"""What is shipped for running it elsewhere: the locks, the compose file, an upgrade under load."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import neo4j
import pytest
import redis
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from support.model import Model, assert_same, read_graph
from support.names import GROUP, STREAM
from support.paths import ROOT
from support.product import digest
from support.waits import until

from graphwriter.config import Config
from graphwriter.embedded import Valkey
from graphwriter.producers.demo.demo import Demo
from graphwriter.producers.publisher import EventPublisher
from graphwriter.stream import Stream, info

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())


# The lock


def setup(section: str, option: str) -> list[Requirement]:
    """The requirements of an option of setup.cfg, without our own."""
    parsed = configparser.RawConfigParser()
    parsed.read(ROOT / "setup.cfg")
    found = [Requirement(line) for line in parsed[section][option].split("\n") if line]
    return [one for one in found if one.name != "graphwriter"]


def locked(name: str) -> dict[str, str]:
    """The version of each package in a lock; every one has at least one hash."""
    text = (ROOT / name).read_text()
    blocks = re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).strip())
    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in text, "an index's address"
    pinned = [re.match(r"([\w.-]+)(?:\[\S+\])?==(\S+)", block) for block in blocks]
    return {canonicalize_name(one[1]): one[2] for one in pinned if one}


def test_the_locks_hold_what_setup_cfg_asks_for() -> None:
    """`make lock` was run after the last change of a requirement."""
    parsed = configparser.RawConfigParser()
    parsed.read(ROOT / "setup.cfg")
    asked = setup("options", "install_requires")
    lock = locked("requirements.lock")
    for one in asked:
        assert lock.get(canonicalize_name(one.name), "nothing") in one.specifier, one
    whole = locked("requirements-dev.lock")
    for extra in parsed["options.extras_require"]:
        for one in setup("options.extras_require", extra):
            assert whole.get(canonicalize_name(one.name), "nothing") in one.specifier, one
    assert lock.items() <= whole.items()


# The compose file


def test_only_loopback_is_published_and_every_service_is_bounded() -> None:
    """Memory, processors, processes and logs; a health check; a start after a crash."""
    for name, service in COMPOSE["services"].items():
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", ())), name
        assert "inner" in service["networks"], name
        assert {"mem_limit", "cpus", "pids_limit", "logging", "restart"} <= set(service), name
        assert "healthcheck" in service or "build" in service, name
    assert COMPOSE["networks"]["inner"]["internal"]
    ours = COMPOSE["services"]["graphwriter"]
    assert ours["read_only"]
    known = {setting.metadata["variable"]: setting.metadata for setting in fields(Config)}
    for variable, value in ours["environment"].items():
        name = variable.removesuffix("_FILE")
        assert name in known, variable
        if name != variable:
            assert known[name]["secret"], variable
            assert value.removeprefix("/run/secrets/") in ours["secrets"], variable
    minutes = int(ours["stop_grace_period"].removesuffix("m"))
    assert minutes * 60 > Config().stop_wait + 10
    assert f"USER {ours['user']}" in (ROOT / "Dockerfile").read_text()


def test_the_secrets_that_the_page_makes_are_those_of_the_compose_file(tmp_path: Path) -> None:
    """Each file is there, and Redis lets in who shows what stands in its URL, and nobody else."""
    page = (ROOT / "docs" / "deployment.md").read_text()
    (block,) = re.findall(r"```sh\n(mkdir .*?)```", page, re.DOTALL)
    subprocess.run(["sh", "-ec", block], cwd=tmp_path, check=True, timeout=20)
    files = {secret["file"] for secret in COMPOSE["secrets"].values()}
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.glob("secrets/*")} == files
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    users = {"aclfile": str(tmp_path / "secrets" / "redis_acl")}
    with Valkey(data=tmp_path / "valkey", config=users) as server:
        url = (tmp_path / "secrets" / "redis_url").read_text().strip()
        here = url.replace("redis:6379", server.address)
        with EventPublisher(here) as publisher:
            publisher.publish_all(Demo(10))
        with redis.Redis.from_url(server.url) as client, pytest.raises(redis.AuthenticationError):
            client.ping()


# An upgrade


class Load:
    """Publishes some hundred events a second, until the block ends."""

    def __init__(self, url: str) -> None:
        self._url, self._stopping = url, threading.Event()
        self._thread = threading.Thread(target=self._publish)

    def _publish(self) -> None:
        with EventPublisher(self._url) as publisher:
            for fields in Demo(50_000):
                if self._stopping.is_set():
                    return
                publisher.publish_all([fields])
                time.sleep(0.002)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()


@pytest.fixture
def workers(pool_environ: dict[str, str], tmp_path: Path) -> Iterator[Any]:
    """Start workers by name, as a unit of systemd does; the log of all is one file."""
    started: list[subprocess.Popen[bytes]] = []
    with (tmp_path / "log").open("ab") as log:

        def start(name: str) -> subprocess.Popen[bytes]:
            program = str(Path(sys.executable).parent / "graphwriter-worker")
            command = [program, "--consumer-name", name]
            environ = os.environ | pool_environ | {"GRAPH_WRITER_BATCH_SIZE": "50"}
            started.append(subprocess.Popen(command, env=environ, stderr=log))
            return started[-1]

        yield start
        for worker in started:
            worker.terminate()
        for worker in started:
            worker.wait(60)


def test_workers_that_are_restarted_one_after_another_under_load_lose_and_repeat_nothing(
    workers: Any,
    pool_environ: dict[str, str],
    redis_client: redis.Redis,
    driver: neo4j.Driver,
    tmp_path: Path,
) -> None:
    """Each finishes its batches and leaves nothing pending; the other goes on meanwhile."""
    stream = Stream(pool_environ["REDIS_URL"], STREAM, GROUP, "test")
    running = {name: workers(name) for name in ("vm-00", "vm-01")}
    with Load(pool_environ["REDIS_URL"]):
        until(lambda: seen(redis_client) == set(running))
        for name, worker in running.items():
            worker.terminate()
            assert worker.wait(60) == 0
            assert held(redis_client, name) == 0
            before = reached(redis_client)
            until(lambda before=before: reached(redis_client) != before)  # type: ignore[misc]
            running[name] = workers(name)
        time.sleep(1)
    until(lambda: info.drained(stream.client, stream.name, stream.group))
    stream.close()
    model = Model(time.time, digest)
    entries: Any = redis_client.xrange(STREAM)
    for key, event in entries:
        model.apply(event, key.decode())
    assert_same(model.graph(), read_graph(driver))
    log = (tmp_path / "log").read_text()
    assert log.count("nothing left pending") == 2
    assert "claimed" not in log


def seen(client: redis.Redis) -> set[str]:
    """The names of the consumers that have read."""
    if not client.exists(STREAM) or not client.xinfo_groups(STREAM):
        return set()
    return {row["name"].decode() for row in client.xinfo_consumers(STREAM, GROUP)}


def held(client: redis.Redis, name: str) -> int:
    """How much is pending with a consumer."""
    rows = client.xinfo_consumers(STREAM, GROUP)
    return sum(row["pending"] for row in rows if row["name"].decode() == name)


def reached(client: redis.Redis) -> Any:
    """The last entry that the group has read."""
    return client.xinfo_groups(STREAM)[0]["last-delivered-id"]
