"""The examples are run, as far as there is a server for them; Telegram is a client of our own."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import neo4j
import pytest
import redis
from support.model import read_graph
from support.names import STREAM
from support.neo4j import Server
from support.paths import ROOT
from support.tl import CHANNEL, POSTED, message
from support.waits import until
from telethon.tl import types

from graphwriter.producers import EventPublisher

EXAMPLES = ROOT / "examples"


def started(name: str, environ: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(EXAMPLES / name)],
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def posts(driver: neo4j.Driver) -> int:
    found = driver.execute_query("MATCH (p:Post) RETURN count(p) AS number", database_="neo4j")
    return int(found.records[0]["number"])


@pytest.mark.slow
def test_an_export_and_a_question_become_a_prompt() -> None:
    """The posts with the words, what they reply to, and links to cite."""
    done = subprocess.run(
        [
            sys.executable,
            EXAMPLES / "graphrag.py",
            EXAMPLES / "talk.json",
            "Why is the bridge closed?",
        ],
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    assert "Question: Why is the bridge closed?\n\nPost https://t.me/c/15000000" in done.stdout
    assert "The old bridge is closed from today." in done.stdout
    assert 'by Bo: "Until Monday at noon, I asked the workers."' in done.stdout
    assert "Market day" not in done.stdout


def test_what_plain_redis_publishes_the_asyncio_service_writes(
    valkey_url: str, redis_client: redis.Redis, neo4j_server: Server, graph_empty: neo4j.Driver
) -> None:
    """Both forms; and the service ends in good order at SIGTERM."""
    environ = {"REDIS_URL": valkey_url, "NEO4J_URI": neo4j_server.uri}
    if neo4j_server.auth:
        environ["NEO4J_USER"], environ["NEO4J_PASSWORD"] = neo4j_server.auth
    said, errors = started("plain_redis.py", environ).communicate(timeout=30)
    assert (said, errors) == (f"2 events are in {STREAM}, which has 2 entries\n", "")
    with started("asyncio_service.py", environ) as service:
        try:
            until(lambda: posts(graph_empty) == 2, 120)
            service.send_signal(signal.SIGTERM)
            said, errors = service.communicate(timeout=30)
        finally:
            service.kill()
    assert service.returncode == 0
    assert "Traceback" not in errors
    assert said.endswith("2 events written\n")
    assert redis_client.xpending(STREAM, "graph_writer")["pending"] == 0
    graph = read_graph(graph_empty)
    assert graph["replies"] == {(-1001179270258, 10): ((-1001179270258, 9), None)}
    assert (-1001179270258, 11) in graph["forwards"]


class Channel:
    """What the Telethon script asks a client for."""

    async def iter_messages(self, channel: str, limit: int) -> AsyncIterator[Any]:
        assert (channel, limit) == ("@notes", 1000)
        peer, pinned = types.PeerChannel(CHANNEL), types.MessageActionPinMessage()
        yield message(3)
        yield types.MessageService(id=2, peer_id=peer, date=POSTED, action=pinned)
        yield message(1)


def test_the_telethon_script_publishes_posts(valkey_url: str, redis_client: redis.Redis) -> None:
    """Its calls of ours; Telethon's own are not made."""
    example = loaded("telethon_channel")
    with EventPublisher(valkey_url) as publisher:
        assert asyncio.run(example.publish(Channel(), publisher, "@notes")) == 2
    entries: Any = redis_client.xrange(STREAM)
    assert [json.loads(f[b"data"])["telegram_message_id"] for _, f in entries] == [3, 1]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_every_example_says_how_to_run_it(path: Path) -> None:
    assert f"python examples/{path.name}" in path.read_text()
    compile(path.read_text(), path, "exec")


@pytest.mark.parametrize("name", ["ask", "telethon_channel"])
def test_an_example_without_its_argument_says_what_it_takes(name: str) -> None:
    path = EXAMPLES / f"{name}.py"
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"usage: python examples/{name}.py ")


def test_the_session_file_is_ours_alone_and_never_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = loaded("telethon_session")
    taken = tmp_path / "taken"
    taken.write_text("mine")

    with pytest.raises(FileExistsError):
        example.main(str(taken))
    monkeypatch.delenv("TELEGRAM_API_ID", raising=False)
    with pytest.raises(KeyError):
        example.main(str(tmp_path / "new"))

    assert taken.read_text() == "mine"
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600
