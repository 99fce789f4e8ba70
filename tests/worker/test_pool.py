"""The pool as shipped: supervisord, workers, watchdog, and every way in which they can end."""

from __future__ import annotations

import configparser
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import xmlrpc.client
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import neo4j
import psutil
import pytest
import redis
from supervisor.xmlrpc import SupervisorTransport
from support.names import GROUP, STREAM
from support.waits import until

from graphwriter.config import Config, load
from graphwriter.embedded import Neo4j
from graphwriter.errors import (
    EXIT_CONFIG,
    EXIT_DEAD_LETTER_LIMIT,
    EXIT_NAME_TAKEN,
    NameTaken,
    Unavailable,
)
from graphwriter.producers.demo.demo import Demo
from graphwriter.producers.publisher import EventPublisher
from graphwriter.stream import Stream, info
from graphwriter.worker.heartbeat import kills, read_all
from graphwriter.worker.pool import Pool, conf
from graphwriter.worker.process import SETTLED

HOST = socket.gethostname().split(".")[0]
Start = Callable[..., Pool]


@pytest.fixture
def environ(pool_environ: dict[str, str]) -> dict[str, str]:
    """Variables of workers with small batches."""
    return pool_environ | {"GRAPH_WRITER_BATCH_SIZE": "100"}


@pytest.fixture
def start(environ: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Start pools; they are stopped after the test."""
    pools: list[Pool] = []
    log = (tmp_path / "pool.log").open("ab")

    def pool(wait: float | None = None, **more: str) -> Pool:
        variables = environ | more
        config = load(variables)
        pools.append(Pool(config, config.directory(), variables, log))
        pools[-1].start(wait)
        return pools[-1]

    yield pool
    for each in pools:
        each.stop()
    log.close()


def names(pool: Pool) -> dict[str, int]:
    """The process id of each worker, by consumer name."""
    return {state.consumer: state.pid for state in pool.workers()}


def ask(directory: Path, method: str, *arguments: str) -> Any:
    """Ask supervisord, as supervisorctl does."""
    transport = SupervisorTransport(None, None, f"unix://{directory / 'supervisor.sock'}")
    proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
    try:
        return getattr(proxy.supervisor, method)(*arguments)
    finally:
        transport.close()


def supervisor(pool: Pool) -> list[dict[str, Any]]:
    """supervisord's view of its workers."""
    found = ask(pool.directory, "getAllProcessInfo")
    return [one for one in found if one["group"] == "worker"]


def publish(environ: dict[str, str], count: int) -> int:
    """Publish the events of a demo; return how many are broken."""
    demo = Demo(count)
    with EventPublisher(environ["REDIS_URL"]) as publisher:
        publisher.publish_all(demo)
    return demo.planted["broken"]


def drained(environ: dict[str, str]) -> Callable[[], bool]:
    """Whether everything in the stream is acknowledged."""
    stream = Stream(environ["REDIS_URL"], STREAM, GROUP, "test")
    return lambda: info.drained(stream.client, stream.name, stream.group)


@pytest.mark.slow
def test_a_killed_worker_comes_back_and_writes_what_was_pending(
    start: Start, environ: dict[str, str], redis_client: redis.Redis, graph_empty: neo4j.Driver
) -> None:
    """It restarts under its name, and writes its pending entries first."""
    publish(environ, 150)
    redis_client.xgroup_create(STREAM, GROUP, id="0")
    redis_client.xreadgroup(GROUP, f"{HOST}-00", {STREAM: ">"}, count=50)
    pool = start()
    before = names(pool)
    assert sorted(before) == [f"{HOST}-00", f"{HOST}-01"]
    until(drained(environ))
    publish(environ, 3000)
    os.kill(before[f"{HOST}-00"], signal.SIGKILL)
    until(lambda: names(pool)[f"{HOST}-00"] != before[f"{HOST}-00"])
    until(drained(environ))
    (count,) = graph_empty.execute_query("MATCH (p:Post) RETURN count(p)").records[0]
    assert count > 2000


def test_a_worker_starts_although_the_supervisors_socket_was_deleted(
    start: Start, environ: dict[str, str]
) -> None:
    """As a cleaner of temporary files does: the parent is alive, and that counts."""
    pool = start()
    before = names(pool)
    (pool.directory / "supervisor.sock").unlink()
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    until(lambda: not before.items() & names(pool).items())
    publish(environ, 300)
    until(drained(environ))
    assert all(state.there for state in pool.workers())


def test_stopping_finishes_the_batch_and_leaves_no_process_and_nothing_half_done(
    start: Start, environ: dict[str, str], redis_client: redis.Redis
) -> None:
    """SIGTERM during a write: entries that were read are acknowledged, the others stay unread."""
    pool = start()
    family = psutil.Process(pool.pid).children()
    publish(environ, 4000)
    until(lambda: sum(state.counts.written for state in pool.workers()) > 0)
    pool.stop()
    assert redis_client.xpending(STREAM, GROUP)["pending"] == 0
    assert [process for process in family if process.is_running()] == []
    assert pool.workers() == []


@pytest.mark.slow
def test_a_wrong_password_stops_the_worker_with_a_readable_line(
    start: Start, tmp_path: Path
) -> None:
    """supervisord does not restart it, and the log has the cause, not the password."""
    with Neo4j(data=tmp_path / "neo4j", password="right-one") as server:
        pool = start(NEO4J_URI=server.url, NEO4J_PASSWORD="planted-secret", NEO4J_USER="neo4j")
        until(lambda: {one["statename"] for one in supervisor(pool)} == {"EXITED"})
        assert {one["exitstatus"] for one in supervisor(pool)} == {EXIT_CONFIG}
    log = (tmp_path / "pool.log").read_text()
    assert log.count(f"(exit status {EXIT_CONFIG}; expected)") == 2
    lines = [line for line in log.splitlines() if "Unauthorized" in line]
    assert lines
    assert all(line.startswith("graphwriter: Neo4j at bolt://") for line in lines)
    assert "planted-secret" not in log
    assert "Traceback" not in log


def test_workers_of_a_dead_supervisor_exit_and_a_new_pool_can_start_meanwhile(
    start: Start, environ: dict[str, str]
) -> None:
    """After kill -9 of supervisord its workers keep their names until they exit."""
    first = start()
    orphans = [psutil.Process(pid) for pid in names(first).values()]
    os.kill(first.pid, signal.SIGKILL)
    second = start()
    until(lambda: not any(process.is_running() for process in orphans), 15)
    until(lambda: len(set(names(second).values()) - {p.pid for p in orphans}) == 2)
    publish(environ, 500)
    until(drained(environ))


@pytest.mark.slow
@pytest.mark.parametrize("program", [["worker", "--consumer-name", "late"], ["exporter"]])
def test_a_worker_whose_supervisor_is_killed_during_its_start_exits_too(
    environ: dict[str, str], tmp_path: Path, program: list[str]
) -> None:
    """Its parent is then the reaper of orphans, which never exits."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "s"))  # as a killed one leaves it: nobody listens
    gone = {
        "SUPERVISOR_ENABLED": "1",
        "SUPERVISOR_SERVER_URL": f"unix://{tmp_path / 's'}",
        "GRAPH_WRITER_EXPORTER_PORT": "0",
    }
    command = [sys.executable, "-m", "graphwriter", *program]
    subprocess.run(command, env=os.environ | environ | gone, timeout=60, check=False)


@pytest.mark.slow
def test_a_stuck_worker_is_killed_by_the_watchdog_and_restarted(
    start: Start, environ: dict[str, str], tmp_path: Path
) -> None:
    """The heartbeat is the progress: a stopped process exists, but makes none."""
    pool = start(
        GRAPH_WRITER_TIMEOUT="1",
        GRAPH_WRITER_RETRY="1",
        GRAPH_WRITER_WATCHDOG="3",
        GRAPH_WRITER_CLAIM_IDLE="60",
    )
    stuck = names(pool)[f"{HOST}-01"]
    os.kill(stuck, signal.SIGSTOP)
    until(lambda: names(pool)[f"{HOST}-01"] != stuck, 40)
    log = tmp_path / "pool.log"
    assert f"(process {stuck}) has made no progress" in log.read_text()
    ended = re.compile(r"\(process (\d+)\) has made no progress")
    until(lambda: kills(pool.directory) == len({*ended.findall(log.read_text())}))
    publish(environ, 300)
    until(drained(environ))


def test_too_many_dead_letters_leave_the_worker_stopped(
    start: Start, environ: dict[str, str], redis_client: redis.Redis
) -> None:
    """Exit code 65: the producer must be wrong, and supervisord does not restart the worker."""
    for number in range(60):
        redis_client.xadd(STREAM, {"data": f"broken {number}"})
    pool = start(GRAPH_WRITER_WORKERS="1", GRAPH_WRITER_DEAD_LEAST="50")
    until(lambda: supervisor(pool)[0]["statename"] not in ("STARTING", "RUNNING"))
    (worker,) = supervisor(pool)
    assert worker["statename"] == "EXITED"
    assert worker["exitstatus"] == EXIT_DEAD_LETTER_LIMIT


def test_a_second_worker_with_the_same_name_is_refused(
    start: Start, environ: dict[str, str]
) -> None:
    """It names the process that has the name, and exits with its own code."""
    pool = start(GRAPH_WRITER_WORKERS="1")
    done = worker(environ, f"{HOST}-00")
    assert done.returncode == EXIT_NAME_TAKEN
    assert f"process {names(pool)[f'{HOST}-00']} already works" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_name_in_use_elsewhere_causes_a_warning_and_a_restart_causes_none(
    start: Start, environ: dict[str, str], tmp_path: Path
) -> None:
    """The lock is in another run directory; recent reads of a killed predecessor do not count."""
    pool = start(GRAPH_WRITER_WORKERS="1")
    log = tmp_path / "pool.log"
    until(lambda: [worker.doing for worker in pool.workers()] == ["reading"])
    first = names(pool)[f"{HOST}-00"]
    os.kill(first, signal.SIGKILL)
    until(lambda: log.read_text().count(" writes stream:posts:parsed") == 2)
    until(lambda: [worker.doing for worker in pool.workers()] == ["reading"])
    assert "elsewhere" not in log.read_text()
    second = start(GRAPH_WRITER_WORKERS="1", GRAPH_WRITER_RUN_DIR=str(tmp_path / "other"))
    until(lambda: f"another process also reads as {HOST}-00" in log.read_text())
    until(lambda: [worker.doing for worker in second.workers()] == ["reading"])


@pytest.mark.slow
def test_a_second_pool_in_one_directory_is_refused_until_the_first_has_exited(
    start: Start,
) -> None:
    """Before it starts anything; the supervisor holds the lock."""
    pool = start()
    before = names(pool)
    with pytest.raises(NameTaken, match=f"process {pool.pid} already runs a pool in "):
        start()
    assert names(pool) == before
    pool.stop()
    assert not pool.alive
    assert start().alive


@pytest.fixture
def slow(tmp_path: Path) -> dict[str, str]:
    """Variables with which workers need a minute to start, as on a busy machine."""
    code = "import sys, time\nif any('worker' in x for x in sys.orig_argv[1:3]): time.sleep(60)\n"
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": str(tmp_path / "slow")}


def test_workers_that_start_slowly_are_not_a_configuration_error(
    start: Start, slow: dict[str, str]
) -> None:
    """systemd restarts a pool with this exit code."""
    with pytest.raises(Unavailable, match="the workers did not start within 2 s"):
        start(2.0, **slow)


def test_a_pool_can_be_stopped_while_it_starts(
    environ: dict[str, str], slow: dict[str, str]
) -> None:
    up = subprocess.Popen(
        [sys.executable, "-m", "graphwriter", "up"],
        env=os.environ | environ | slow,
        stdout=subprocess.DEVNULL,
    )

    def starting() -> list[psutil.Process]:
        family = psutil.Process(up.pid).children(recursive=True)
        return [one for one in family if "graphwriter-worker" in " ".join(one.cmdline())]

    try:
        until(lambda: len(starting()) == 2, 30)
        up.send_signal(signal.SIGTERM)
        assert up.wait(15) == 0
    finally:
        up.kill()
        up.wait()


@pytest.mark.slow
def test_the_watchdogs_check_knows_how_many_workers_the_pool_has(
    start: Start, environ: dict[str, str]
) -> None:
    """Also if a flag set it, which the check's process does not see; its own flag has priority."""

    def check(*flags: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "graphwriter", "watchdog", "--check", *flags],
            env=os.environ | environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout.strip()

    where = f"workers are alive in {environ['GRAPH_WRITER_RUN_DIR']}"
    assert check() == (1, f"0 of 2 {where}")
    pool = start(GRAPH_WRITER_WORKERS="1")
    assert check() == (0, "every worker makes progress")
    pool.stop()
    start(GRAPH_WRITER_WORKERS="3")
    assert check() == (0, "every worker makes progress")
    assert check("--workers", "4") == (1, f"3 of 4 {where}")
    ask(pool.directory, "stopProcess", "worker:worker_02")
    assert check() == (1, f"2 of 3 {where}")


def test_sigabrt_prints_the_stack_of_the_worker(environ: dict[str, str]) -> None:
    """It is the first signal of the watchdog."""
    process = subprocess.Popen(
        [sys.executable, "-m", "graphwriter", "worker", "--consumer-name", "aborted"],
        env=os.environ | environ,
        stderr=subprocess.PIPE,
        text=True,
    )
    run = Path(environ["GRAPH_WRITER_RUN_DIR"])
    until(lambda: [state.doing for state in read_all(run)] == ["reading"])
    process.send_signal(signal.SIGABRT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == -signal.SIGABRT
    assert "in run_once" in said


def test_an_idle_worker_uses_almost_no_cpu_and_little_memory(start: Start) -> None:
    """No measurable CPU and under 80 MB."""
    pool = start()
    until(lambda: all(state.doing == "reading" for state in pool.workers()))
    processes = [psutil.Process(pid) for pid in names(pool).values()]
    before = [sum(process.cpu_times()[:2]) for process in processes]
    time.sleep(3)
    used = [sum(p.cpu_times()[:2]) - b for p, b in zip(processes, before, strict=True)]
    assert max(used) < 0.1
    assert max(process.memory_info().rss for process in processes) < 80_000_000


def worker(environ: dict[str, str], name: str) -> subprocess.CompletedProcess[str]:
    """Run one worker by hand until it ends."""
    return subprocess.run(
        [sys.executable, "-m", "graphwriter", "worker", "--consumer-name", name],
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_supervisords_configuration_matches_the_settings() -> None:
    """Numbers that are written in two places are equal."""
    parsed = configparser.RawConfigParser(inline_comment_prefixes=(";",))
    parsed.read(conf())
    section, defaults = parsed["program:worker"], Config()
    assert section["stopwaitsecs"] == "%(ENV_GRAPH_WRITER_STOP_WAIT)s"
    assert int(section["startsecs"]) < SETTLED
    assert defaults.stop_wait > 2 * (defaults.timeout + defaults.retry)
    assert section["exitcodes"] == f"{EXIT_DEAD_LETTER_LIMIT},{EXIT_CONFIG}"
    assert section["autorestart"] == "unexpected"
    assert section["stopsignal"] == "TERM"
    assert parsed["unix_http_server"]["chmod"] == "0700"
    assert "inet_http_server" not in parsed
    assert parsed["program:exporter"]["autostart"] == "%(ENV_GRAPH_WRITER_EXPORTER)s"
    assert not any("environment" in parsed[name] for name in parsed)


def test_the_pool_serves_what_its_workers_do(start: Start, environ: dict[str, str]) -> None:
    """The exporter is one of its programs, and stops with it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    pool = start(GRAPH_WRITER_EXPORTER="true", GRAPH_WRITER_EXPORTER_PORT=str(port))
    publish(environ, 300)
    url = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        try:
            return bool(urllib.request.urlopen(f"{url}/readyz", timeout=5).read() == b"ok\n")
        except OSError:
            return False

    until(drained(environ), 60)
    until(ready, 60)

    def text() -> str:
        return str(urllib.request.urlopen(f"{url}/metrics", timeout=5).read().decode())

    until(lambda: 'graph_writer_workers{state="alive"} 2.0' in text())  # by its next look
    pool.stop()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{url}/healthz", timeout=5)


def test_a_password_in_the_uri_is_refused_before_it_is_logged(environ: dict[str, str]) -> None:
    """Otherwise every reader of the log would see it."""
    done = worker(environ | {"NEO4J_URI": "bolt://neo4j:planted-secret@127.0.0.1:1"}, "told")
    assert done.returncode == EXIT_CONFIG
    assert "NEO4J_PASSWORD_FILE" in done.stderr
    assert "planted-secret" not in done.stderr + done.stdout
