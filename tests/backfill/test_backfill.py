"""The backfill on real servers: the same graph as from events, whatever fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import neo4j
import psutil
import pytest
import redis
from support.model import Fields, assert_same, read_graph
from support.names import GROUP, STREAM
from support.posts import Row, create, event, rows
from support.product import model
from support.proxy import Proxy
from support.waits import until

from graphwriter import ConfigError, GraphWriter, Neo4jClient, Unavailable
from graphwriter.backfill.backfill import Backfill, Outcome
from graphwriter.backfill.checkpoint import Progress
from graphwriter.backfill.processes import Job
from graphwriter.config import load
from graphwriter.database import Selection
from graphwriter.errors import NameTaken
from graphwriter.graph import connect
from graphwriter.stream import Stream
from graphwriter.worker.writer import Writer

COUNT = 400


@pytest.fixture
def environ(pool_environ: dict[str, str], postgres_url: str, tmp_path: Path) -> dict[str, str]:
    """The variables of a backfill from the test's tables, with an empty stream and graph."""
    return pool_environ | {
        "DATABASE_URL": postgres_url,
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "GRAPH_WRITER_WORKERS": "1",
        "GRAPH_WRITER_BATCH_SIZE": "50",
        "GRAPH_WRITER_ENRICH": "links,media,albums",
    }


def backfill(environ: dict[str, str], state: Path, **more: Any) -> Outcome:
    """Run a backfill in this process until it ends."""
    ids, selection = more.pop("ids", None), more.pop("selection", Selection())
    return Backfill(Job(load(environ), selection, **more), state, ids).run()


def command(environ: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    """Start the command in its own process group."""
    return subprocess.Popen(
        [sys.executable, "-m", "graphwriter", "backfill", "--json", *arguments],
        env=os.environ | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def work(environ: dict[str, str], until_stopped: threading.Event | None = None) -> Writer:
    """Write the entries of the stream; with an event, until it is set."""
    config = load(environ)
    stream = Stream(config.redis_url, STREAM, GROUP, "me", block=0.05)
    with connect(config) as graph:
        writer = Writer(stream, graph, keep=config.keep)
        writer.run_once()
        while writer.run_once() or (until_stopped and not until_stopped.is_set()):
            pass
    stream.close()
    return writer


def expected(made: list[Row], *more: Fields) -> dict[str, Any]:
    """The graph that the reference model makes of these rows, and of more events."""
    reference = model(rich=True)
    for fields in [*map(event, made), *more]:
        assert reference.apply(fields) is None
    return reference.graph()


@pytest.mark.parametrize("via_stream", [False, True], ids=["to the graph", "via the stream"])
def test_a_backfill_makes_the_same_graph_as_the_events(
    environ: dict[str, str], graph_empty: neo4j.Driver, tmp_path: Path, via_stream: bool
) -> None:
    """With two processes, or through the stream by a worker; a second run changes nothing."""
    made = rows(COUNT)
    create(environ["DATABASE_URL"], made)
    two = environ | {"GRAPH_WRITER_WORKERS": "2"}
    progress, stopped = backfill(two, tmp_path, via_stream=via_stream)
    assert (progress.total, progress.read, progress.written) == (COUNT, COUNT, COUNT)
    assert (progress.rejected, stopped) == (0, False)
    if via_stream:
        assert work(environ).counts.written == COUNT
    assert_same(expected(made), read_graph(graph_empty))
    if not via_stream:
        assert backfill(environ, tmp_path).progress.written == 0
    assert not list(tmp_path.glob("*.json*"))


def test_workers_can_write_during_a_backfill(
    environ: dict[str, str], redis_client: redis.Redis, graph_empty: neo4j.Driver, tmp_path: Path
) -> None:
    """The newer of a row and an event of one post wins, whichever comes first."""
    made = rows(COUNT)
    create(environ["DATABASE_URL"], made)
    live = [{**row, "updated_at": row["posted_at"] + timedelta(days=2)} for row in made[::3]]
    live += [{**row, "updated_at": row["posted_at"] - timedelta(days=2)} for row in made[1::3]]
    moved = [row | {"reply_to_message_id": 77_777, "reply_to_chat_id": None} for row in live]
    ended = threading.Event()
    working = threading.Thread(target=work, args=(environ, ended))
    working.start()
    try:
        for row in moved:
            redis_client.xadd(STREAM, event(row))  # type: ignore[arg-type]
        backfill(environ, tmp_path)
    finally:
        ended.set()
        working.join(60)
    assert_same(expected(made, *map(event, moved)), read_graph(graph_empty))


@pytest.mark.slow
def test_a_stopped_or_killed_backfill_resumes_at_its_checkpoint(
    environ: dict[str, str],
    graph_empty: neo4j.Driver,
    proxy: Callable[[str], Proxy],
    tmp_path: Path,
) -> None:
    """SIGTERM, then kill -9; the third run completes, and no checkpoint is left."""
    made = rows(3000)
    create(environ["DATABASE_URL"], made)
    slow = proxy(environ["NEO4J_URI"])
    slow.delay = 0.05
    environ |= {"NEO4J_URI": slow.url, "GRAPH_WRITER_WORKERS": "2"}

    def read() -> int:
        found = list((tmp_path / "state").rglob("*.json"))
        return int(json.loads(found[0].read_bytes())["progress"]["read"]) if found else 0

    process = command(environ, "--all")
    until(lambda: read() > 0, 60)
    process.terminate()
    out, _ = process.communicate(timeout=60)
    first = json.loads(out)
    assert (process.returncode, first["stopped"], first["read"]) == (1, True, read())
    process = command(environ, "--all")
    until(lambda: read() > first["read"], 60)
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate(timeout=60)
    assert psutil.wait_procs(family, timeout=30)[1] == []
    assert 0 < read() < 3000
    slow.delay = 0.0
    process = command(environ, "--all", "--workers", "1")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    last = json.loads(out)
    assert "resumes after" in err
    assert (last["read"], last["rejected"], last["stopped"]) == (3000, 0, False)
    assert_same(expected(made), read_graph(graph_empty))
    assert read() == 0


@pytest.mark.slow
def test_a_backfill_waits_for_servers_that_stop_answering(
    environ: dict[str, str],
    graph_empty: neo4j.Driver,
    proxy: Callable[[str], Proxy],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neo4j, then PostgreSQL, fail during a reply: every post is written."""
    made = rows(1500)
    create(environ["DATABASE_URL"], made)
    neo, postgres = proxy(environ["NEO4J_URI"]), proxy(environ["DATABASE_URL"])
    neo.delay = 0.02
    environ |= {"NEO4J_URI": neo.url, "DATABASE_URL": postgres.url}
    environ |= {"GRAPH_WRITER_RETRY": "0", "GRAPH_WRITER_BATCH_SIZE": "20"}
    outages = [neo, postgres]
    reads = [100, 500]

    def tell(progress: Progress) -> None:
        if outages and progress.read >= reads[0]:
            reads.pop(0)
            one = outages.pop(0)
            one.stop()
            threading.Timer(0.5, one.start).start()

    with caplog.at_level("WARNING"):
        outcome = Backfill(Job(load(environ), Selection()), tmp_path).run(tell)
    assert (outcome.stopped, outages) == (False, [])
    assert outcome.progress.read == 1500
    assert "waiting, nothing is lost" in caplog.text
    assert_same(expected(made), read_graph(graph_empty))


BAD: dict[str, Row] = {
    "self_link": {"reply_to_message_id": 8, "reply_to_chat_id": None},
    "wrong_type": {"forward_from_peer_id": {"user_id": 1, "chat_id": 2}},
    "id_too_long": {"forward_from_name": "x" * 2001, "forward_from_peer_id": None},
}


def spoilt() -> tuple[list[Row], dict[str, str]]:
    """Rows with three bad ones, and the reason of each by its id."""
    made = rows(60)
    reasons = {}
    for number, (reason, change) in enumerate(BAD.items(), 7):
        empty = dict.fromkeys(name for name in made[number] if name.startswith("forward"))
        made[number] |= empty | change
        reasons[str(made[number]["id"])] = reason
    return made, reasons


def test_a_bad_row_is_reported_and_the_others_are_written(
    environ: dict[str, str],
    graph_empty: neo4j.Driver,
    tmp_path: Path,
) -> None:
    """Also a row that only Neo4j can refuse: another post has its post_id."""
    made, reasons = spoilt()
    create(environ["DATABASE_URL"], made)
    taken = str(made[20]["id"])
    reasons[taken] = "post_id_taken"
    graph_empty.execute_query(
        "CREATE (:Message:Post {tg_channel_id: 1, telegram_message_id: 1, post_id: $id, "
        "channel_id: 'c', tenant_id: 't', version: 1})",
        id=taken,
    )
    process = command(environ, "--all")
    out, err = process.communicate(timeout=60)
    told = json.loads(out)
    assert (process.returncode, told["read"], told["rejected"]) == (1, 60, 4)
    lines = [json.loads(line) for line in Path(told["rejects"]).read_text().splitlines()]
    assert {line["id"]: line["reason"] for line in lines} == reasons
    assert Path(told["rejects"]).stat().st_mode & 0o777 == 0o600
    for key, reason in reasons.items():
        assert f"post {key} was not written: {reason}: " in err
    graph_empty.execute_query("MATCH (n {post_id: $id}) DETACH DELETE n", id=taken)
    good = [row for row in made if str(row["id"]) not in reasons]
    assert_same(expected(good), read_graph(graph_empty))


def test_ids_from_a_file(
    environ: dict[str, str], graph_empty: neo4j.Driver, tmp_path: Path
) -> None:
    """Each listed post is written, and each unknown id is a reject."""
    made = rows(200)
    create(environ["DATABASE_URL"], made)
    chosen = made[::2]
    file = tmp_path / "ids"
    file.write_text("\n".join([*(str(row["id"]) for row in chosen), "", "nonsense"]))
    progress, _ = backfill(environ, tmp_path, ids=file)
    assert (progress.total, progress.written, progress.rejected) == (101, 100, 1)
    assert_same(expected(chosen), read_graph(graph_empty))
    (rejects,) = tmp_path.glob("*.rejects.jsonl")
    assert json.loads(rejects.read_text())["id"] == "nonsense"


@pytest.mark.parametrize("given", ["-", "/dev/fd/0"], ids=["standard input", "a pipe"])
def test_ids_can_come_from_a_pipe(
    environ: dict[str, str], graph_empty: neo4j.Driver, given: str
) -> None:
    """Such as <(…) of a shell."""
    made = rows(20)
    create(environ["DATABASE_URL"], made)
    ids = "".join(f"{row['id']}\n" for row in made[:5])
    for more, name in ((["--dry-run"], "posts"), ([], "written")):
        done = finished(environ, "--json", "--ids-file", given, *more, input=ids)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)[name] == 5
    assert_same(expected(made[:5]), read_graph(graph_empty))


def finished(
    environ: dict[str, str],
    *arguments: str,
    input: str | None = None,  # noqa: A002
) -> subprocess.CompletedProcess[str]:
    """Run the command until it exits."""
    return subprocess.run(
        [sys.executable, "-m", "graphwriter", "backfill", *arguments],
        env=os.environ | environ,
        input=input,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_if_every_row_is_rejected_the_column_the_last_line_and_the_exit_code_say_so(
    environ: dict[str, str], graph_empty: neo4j.Driver, tmp_path: Path
) -> None:
    """A time that is null in every row, in a dry run and in a real one."""
    create(environ["DATABASE_URL"], rows(7))
    file = tmp_path / "mine.sql"
    file.write_text(
        "SELECT p.id, p.channel_id, c.tg_channel_id, p.telegram_message_id, NULL::timestamptz AS "
        "updated_at FROM posts p JOIN channels c ON c.id = p.channel_id"
    )
    for more, last in (
        (["--dry-run"], "7 of 7 posts would be rejected, the first for the reasons above"),
        ([], "rejected 7 of 7 posts, each with its reason in "),
    ):
        done = finished(environ, "--sql", str(file), *more)
        assert done.returncode == 1, done.stderr
        assert "occurred_at is required and missing: updated_at of this row is null" in (
            done.stdout + done.stderr
        )
        assert done.stdout.splitlines()[-1].startswith(last)


@pytest.mark.parametrize("dry", [["--dry-run"], []], ids=["dry", "in earnest"])
def test_a_bare_chat_id_gets_a_hint_with_the_marked_ids(
    environ: dict[str, str], graph_empty: neo4j.Driver, dry: list[str]
) -> None:
    create(environ["DATABASE_URL"], rows(5))
    done = finished(environ, "--json", "--channel", "500001", *dry)
    assert (done.returncode, json.loads(done.stdout)["read"]) == (0, 0)
    assert "--channel 500001 selects no post" in done.stderr
    assert "marked id is -1000000500001, a basic chat's -500001" in done.stderr


def test_ctrl_c_while_the_processes_start_prints_no_traceback(
    environ: dict[str, str], graph_empty: neo4j.Driver
) -> None:
    """A terminal sends it to all processes, which import modules for a second."""
    create(environ["DATABASE_URL"], rows(5000))
    process = command(environ, "--all", "--workers", "2")
    started = psutil.Process(process.pid)

    def spawned() -> bool:
        return any("spawn_main" in " ".join(child.cmdline()) for child in started.children())

    until(spawned)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    assert (process.returncode, json.loads(out)["stopped"]) == (1, True)


def test_rewrite_writes_equal_versions_and_keeps_newer_ones(
    environ: dict[str, str],
    graph_empty: neo4j.Driver,
    redis_client: redis.Redis,
    tmp_path: Path,
) -> None:
    """After texts were switched on, and after somebody deleted a link."""
    made = rows(100)
    create(environ["DATABASE_URL"], made)
    backfill(environ, tmp_path)
    newer = made[0] | {"updated_at": made[0]["posted_at"] + timedelta(days=3), "text": "newer"}
    redis_client.xadd(STREAM, event(newer))  # type: ignore[arg-type]
    work(environ)
    lose = "MATCH (p:Post {post_id: $id})-[r]-() DELETE r"
    for row in made[1:]:
        graph_empty.execute_query(lose, id=str(row["id"]))
    texts = environ | {"GRAPH_WRITER_TEXT": "true"}
    assert backfill(texts, tmp_path).progress.written == 0
    assert backfill(texts, tmp_path, rewrite=True).progress.written >= 99
    query = "MATCH (p:Post) RETURN p.telegram_message_id AS id, p.text AS text"
    found = dict(record.values() for record in graph_empty.execute_query(query).records)
    texts_of = {row["telegram_message_id"]: row["text"] for row in made[1:]}
    assert found == texts_of | {made[0]["telegram_message_id"]: None}
    assert_same(expected(made, event(newer)), read_graph(graph_empty))


def test_a_dry_run_shows_what_would_be_written_and_writes_nothing(
    environ: dict[str, str], graph_empty: neo4j.Driver
) -> None:
    made, reasons = spoilt()
    create(environ["DATABASE_URL"], made)
    out, _ = command(environ, "--all", "--dry-run").communicate(timeout=60)
    told = json.loads(out)
    whole = expected([row for row in made if str(row["id"]) not in reasons])
    assert (told["read"], told["rejected"], told["posts"]) == (60, 3, 57)
    assert told["replies"] == len(whole["replies"])
    assert told["authors"] == len(whole["authored"])
    assert told["forwards"] == len(whole["forwards"].keys() | whole["forward_posts"].keys())
    assert {reject["id"]: reject["reason"] for reject in told["rejects"]} == reasons
    assert len(told["events"]) == 3
    assert read_graph(graph_empty)["messages"] == {}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--database-url", "postgresql://u:planted@h/x"], 78, "DATABASE_URL_FILE"),
        (["--database-url", "postgresql://127.0.0.1:1/x"], 69, "127.0.0.1:1/x does not answer"),
        (["--via", "stream", "--redis-url", "redis://127.0.0.1:1/0"], 69, "127.0.0.1:1"),
        (["--ids-file", "none", "--all"], 2, "leave out --all"),
        (["--rewrite", "--via", "stream"], 2, "leave out --via stream"),
        (["--since", "yesterday"], 2, "is not a time such as 2024-05-01"),
        (["--sql", "none.sql"], 78, "--sql none.sql: "),
        (["--sql", __file__], 78, f"--sql {__file__}: PostgreSQL at "),
        (["--ids-file", "none.txt"], 78, "--ids-file none.txt: "),
    ],
)
def test_mistakes_are_reported_in_one_line(
    environ: dict[str, str], arguments: list[str], code: int, said: str
) -> None:
    process = command(environ, *arguments)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, "")
    assert said in err.splitlines()[-1]
    assert "planted" not in err


def test_a_second_backfill_of_the_same_selection_is_refused(
    environ: dict[str, str], graph_empty: neo4j.Driver, tmp_path: Path
) -> None:
    create(environ["DATABASE_URL"], rows(5))
    one = Backfill(Job(load(environ), Selection()), tmp_path)
    with one.checkpoint, pytest.raises(NameTaken, match="already runs this backfill"):
        backfill(environ, tmp_path)
    backfill(environ, tmp_path)


def planted(job: Job, state: Path, **more: Any) -> Path:
    """The checkpoint of a backfill that was interrupted."""
    one = Backfill(job, state)
    with one.checkpoint:
        one.checkpoint.save(Progress(**more))
    (file,) = state.glob("*.json")
    return file


def link(file: Path) -> None:
    target = file.with_suffix(".target")
    file.rename(target)
    file.symlink_to(target)


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "one digit": lambda f: f.write_bytes(f.read_bytes().replace(b'"read":3', b'"read":4')),
    "ended": lambda f: f.write_bytes(f.read_bytes().replace(b'"ended":false', b'"ended":true')),
    "no digest": lambda f: f.write_bytes(b'{"total":9,"walked":"999999999","ended":false}'),
    "deep": lambda f: f.write_text('{"a":' + "[" * 100_000 + "]" * 100_000 + "}"),
    "pipe": pipe,
    "link": link,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_leaves_no_post_out(
    environ: dict[str, str],
    graph_empty: neo4j.Driver,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], object],
) -> None:
    """It is reported, and the backfill starts from the beginning."""
    create(environ["DATABASE_URL"], rows(5))
    last = "ffffffff-ffff-ffff-ffff-ffffffffffff"
    job = Job(load(environ), Selection())
    damage(planted(job, tmp_path, total=5, walked=last, read=3))
    progress, _ = backfill(environ, tmp_path)
    assert (progress.read, progress.written) == (5, 5)
    assert "cannot be read, starting from the beginning" in caplog.text


def test_files_of_a_backfill_are_private_and_follow_no_symbolic_link(
    environ: dict[str, str], graph_empty: neo4j.Driver, tmp_path: Path
) -> None:
    """A symbolic link for the rejects, or a directory that others can write to, is an error."""
    made, reasons = spoilt()
    create(environ["DATABASE_URL"], made)
    backfill(environ, tmp_path)
    (rejects,) = tmp_path.glob("*.rejects.jsonl")
    assert rejects.stat().st_mode & 0o777 == 0o600
    assert len(rejects.read_text().splitlines()) == len(reasons)
    file = planted(Job(load(environ), Selection()), tmp_path, total=60)
    treasure = tmp_path / "treasure"
    treasure.write_text("untouched")
    rejects.unlink()
    rejects.symlink_to(treasure)
    with pytest.raises(ConfigError, match=f"--state {rejects}: "):
        backfill(environ, tmp_path)
    assert treasure.read_text() == "untouched"
    file.unlink()
    file.mkdir()
    with pytest.raises(ConfigError, match=f"--state {file}: "):
        backfill(environ, tmp_path)
    tmp_path.chmod(0o777)
    with pytest.raises(ConfigError, match=r"--state .* must be a directory that only our account"):
        backfill(environ, tmp_path)


def test_the_library_writes_the_given_posts(
    environ: dict[str, str],
    graph_empty: neo4j.Driver,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without a URL DATABASE_URL is used; a bad row fails by itself and is reported."""
    made, reasons = spoilt()
    create(environ["DATABASE_URL"], made)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    user = environ.get("NEO4J_USER"), environ.get("NEO4J_PASSWORD")
    with Neo4jClient(environ["NEO4J_URI"], *user) as client:
        writer = GraphWriter(client, redis_client, enrich=("links", "media", "albums"))
        with pytest.raises(ConfigError, match="DATABASE_URL"):
            writer.process_batch_from_postgres([])
        monkeypatch.setenv("DATABASE_URL", environ["DATABASE_URL"])
        some = [row["id"] for row in made[:30]]
        done = writer.process_batch_from_postgres([*some, some[0], "x"], rejects=tmp_path / "bad")
        assert done == {"total": 31, "processed": 27, "failed": 4}
        writer.close()
        away = GraphWriter(client, redis_client, database_url="postgresql://127.0.0.1:1/x")
        with pytest.raises(Unavailable, match="does not answer"):
            away.process_batch_from_postgres(some)
        away.close()
    lines = [json.loads(line) for line in (tmp_path / "bad").read_text().splitlines()]
    assert {line["id"]: line["reason"] for line in lines} == reasons | {"x": "wrong_type"}
    assert all(f"post {key} was not written" in caplog.text for key in reasons)
    good = [row for row in made[:30] if str(row["id"]) not in reasons]
    assert_same(expected(good), read_graph(graph_empty))
