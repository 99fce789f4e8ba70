"""What the tests of `doctor` share: its findings, and servers that are as they should be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
import redis

from graphwriter import doctor
from graphwriter.config import read
from graphwriter.doctor import facts
from graphwriter.doctor.finding import Finding
from graphwriter.graph import Graph, schema
from support.cases import BASE
from support.names import GROUP, STREAM
from support.neo4j import Server
from support.paths import ROOT

HOOKS = ROOT / "tests" / "faults" / "hooks"
NOWHERE = {"REDIS_URL": "redis://127.0.0.1:1/0", "NEO4J_URI": "bolt://127.0.0.1:1"}
SECRET = "planted-s3cret"

Environ = dict[str, str]


def found(environ: Environ, limit: float = facts.TIME_LIMIT) -> list[Finding]:
    """All findings that are not ok."""
    config, wrong = read(environ)
    every = doctor.run_checks(facts.read(config, wrong, environ, limit))
    return [one for one in every if one.level != "ok"]


def named(findings: list[Finding], check: str, *words: str) -> str:
    """The repair command of the only finding of a check with these words."""
    fits = [one for one in findings if one.check == check and all(w in one.text for w in words)]
    assert len(fits) == 1, (check, words, findings)
    assert fits[0].level == "wrong"
    assert "\n" not in fits[0].text
    return str(fits[0].repair)


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
