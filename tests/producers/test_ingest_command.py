"""`graphwriter ingest telethon`: what it says, its signals, its credentials."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner
from support.fake_telegram import FakeTelegram
from support.names import STREAM
from support.tl import OTHER, OTHER_MARKED, channel, message
from test_ingest import posts, published

from graphwriter.cli import main
from graphwriter.errors import EXIT_CONFIG, EXIT_FAILED, EXIT_NAME_TAKEN, ConfigError
from graphwriter.files import Lock
from graphwriter.producers.telethon import session

CREDENTIALS = {"TELEGRAM_API_ID": "1", "TELEGRAM_API_HASH": "hush", "TELEGRAM_SESSION": "whisper"}


@pytest.fixture
def environ(valkey_url: str, tmp_path: Path) -> dict[str, str]:
    run_dir = str(tmp_path / "run")
    return {"REDIS_URL": valkey_url, "GRAPH_WRITER_RUN_DIR": run_dir, **CREDENTIALS}


@pytest.fixture
def run(environ: dict[str, str]) -> Callable[..., Any]:
    """Run `ingest telethon` in this process, where the fake client is."""

    def run(*arguments: str, **variables: str) -> Any:
        command = ["ingest", "telethon", "--channel", "@notes", *arguments]
        return CliRunner().invoke(main, command, env={**environ, **variables})

    return run


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch) -> FakeTelegram:
    telegram = FakeTelegram(channel(), channel(OTHER, username="other"))
    monkeypatch.setattr(session, "client", lambda *_: telegram)
    return telegram


def test_the_command_reads_history_and_says_how_much(
    run: Callable[..., Any], faked: FakeTelegram, redis_client: redis.Redis, tmp_path: Path
) -> None:
    faked.say(*posts(1, 3))

    done = run("--history", "--as-tenant", "t")
    again = run("--history")

    assert (done.exit_code, done.stdout) == (0, f"published 3 events to {STREAM}\n")
    assert (again.exit_code, again.stdout) == (0, f"published 0 events to {STREAM}\n")
    assert {event["tenant_id"] for event in published(redis_client)} == {"t"}
    assert len(list((tmp_path / "run").glob("telethon-*.positions"))) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_stops_cleanly_at_a_signal(
    run: Callable[..., Any], faked: FakeTelegram, redis_client: redis.Redis, number: int
) -> None:
    faked.say(*posts(1, 3))
    faked.idle = lambda: os.kill(os.getpid(), number)

    done = run()

    assert (done.exit_code, done.stdout) == (0, f"published 3 events to {STREAM}\n")
    assert not faked.is_connected()


def test_what_was_left_out_is_in_the_exit_code(
    run: Callable[..., Any], faked: FakeTelegram, redis_client: redis.Redis
) -> None:
    faked.say(message(1, edit_date="yesterday"))
    faked.closed.add(OTHER_MARKED)

    done = run("--history", "--channel", "@other")

    assert done.exit_code == EXIT_FAILED
    assert "left out: 1 unreadable message, 1 channel; the log says why" in done.stdout


def test_two_at_once_would_lose_each_others_positions(
    run: Callable[..., Any], faked: FakeTelegram, redis_client: redis.Redis, tmp_path: Path
) -> None:
    positions = tmp_path / "telethon.positions"
    lock = Lock(positions.with_name(f"{positions.name}.lock"))
    lock.take()

    done = run("--history", "--positions", str(positions))

    assert done.exit_code == EXIT_NAME_TAKEN
    assert f"process {os.getpid()} already reads channels" in done.stderr
    lock.release()


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"TELEGRAM_SESSION": ""}, "not set: TELEGRAM_SESSION;"),
        (
            {"TELEGRAM_API_ID": "", "TELEGRAM_API_HASH": ""},
            "not set: TELEGRAM_API_ID, TELEGRAM_API_HASH;",
        ),
        ({"TELEGRAM_API_ID": "secretive"}, "TELEGRAM_API_ID is not a number"),
        ({}, "TELEGRAM_SESSION is not a session"),
        ({"TELEGRAM_SESSION": "1AAAA"}, "TELEGRAM_SESSION is not a session"),
        ({"TELEGRAM_API_HASH_FILE": "/no/such"}, "both set"),
        ({"TELEGRAM_SESSION": "", "TELEGRAM_SESSION_FILE": "/no/such"}, "cannot be read"),
    ],
)
def test_credentials_that_cannot_be_are_named_and_not_shown(
    run: Callable[..., Any], variables: dict[str, str], named: str
) -> None:
    done = run("--history", **variables)

    assert done.exit_code == EXIT_CONFIG
    assert named in done.stderr
    for secret in ("hush", "whisper", "1AAAA", "secretive"):
        assert secret not in done.output


def test_credentials_come_from_files_too(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    def client(*credentials: Any) -> Any:
        given.extend(credentials)
        raise ConfigError("enough")

    monkeypatch.setattr(session, "client", client)
    names = ("TELEGRAM_API_ID", "TELEGRAM_API_HASH", "TELEGRAM_SESSION")
    variables = dict.fromkeys(names, "")
    for name in names:
        (tmp_path / name).write_text(f"{name.lower()}\n")
        variables[f"{name}_FILE"] = str(tmp_path / name)

    run(**variables)

    assert given == [name.lower() for name in names]


def test_a_session_that_was_saved_makes_a_client_of_telethons() -> None:
    """It is Telethon's own, and keeps no flood wait to itself."""
    from telethon.crypto import AuthKey
    from telethon.sessions import StringSession

    saved = StringSession()
    saved.set_dc(2, "149.154.167.51", 443)
    saved.auth_key = AuthKey(bytes(range(256)))

    async def made() -> Any:
        return session.client("1", "hash", saved.save())

    telegram = asyncio.run(made())
    assert telegram.flood_sleep_threshold == 0
    assert telegram.session.save() == saved.save()
    used = {name for name in dir(FakeTelegram) if not name.startswith("_")}
    ours = {"say", "deliver", "listening", "cut"}
    assert {name for name in used - ours if not hasattr(telegram, name)} == set()
