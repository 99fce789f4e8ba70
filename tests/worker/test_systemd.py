"""systemd: the units are valid, a worker notifies it of progress, and its journal can be used."""

from __future__ import annotations

import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.cases import BASE
from support.proxy import Proxy
from support.waits import until

from graphwriter.config import Config
from graphwriter.errors import EXIT_CONFIG, EXIT_DEAD_LETTER_LIMIT, EXIT_USAGE
from graphwriter.producers.publisher import EventPublisher
from graphwriter.worker.pool import conf
from graphwriter.worker.watchdog import GRACE

UNITS = sorted(conf().parent.glob("graphwriter*"))
PROGRAMS = Path(sys.executable).parent
Told = tuple[socket.socket, "subprocess.Popen[bytes]"]


def service(name: str) -> dict[str, list[str]]:
    """The settings of a unit's [Service] section, each with all its values."""
    found: dict[str, list[str]] = defaultdict(list)
    text = (conf().parent / name).read_text().partition("[Service]")[2].partition("[Install]")[0]
    for line in text.splitlines():
        if line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found[key].append(value)
    return found


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """Verified as loaded, with the programs of this environment."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on this machine")
    assert len(UNITS) == 6
    for path in UNITS:
        text = path.read_text().replace("/opt/graphwriter/bin", str(PROGRAMS))
        (tmp_path / path.name.replace("@", "@00")).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", *sorted(tmp_path.iterdir())],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_units_match_the_settings() -> None:
    """Numbers in two places match, and exit codes that need a person cause no restart."""
    defaults = Config()
    worker, pool = service("graphwriter-worker@.service"), service("graphwriter-pool.service")
    assert worker["WatchdogSec"] == [f"{defaults.watchdog:g}"]
    assert float(worker["TimeoutAbortSec"][0]) == GRACE
    assert float(worker["TimeoutStopSec"][0]) > defaults.stop_wait
    assert float(pool["TimeoutStopSec"][0]) > math.ceil(defaults.stop_wait) + 10  # as Pool.stop
    for unit in (worker, pool):
        person = {int(code) for code in unit["RestartPreventExitStatus"][0].split()}
        assert {EXIT_USAGE, EXIT_CONFIG} <= person
        assert unit["Restart"] == ["always"]
    assert str(EXIT_DEAD_LETTER_LIMIT) in worker["RestartPreventExitStatus"][0]


def test_the_units_of_one_machine_share_user_files_and_sandbox() -> None:
    """All have the same hardening; they differ only in what they run."""
    own = {"Type", "ExecStart", "KillMode", "TasksMax", "MemoryMax", "RuntimeDirectoryPreserve"}
    own |= {"WatchdogSec", "TimeoutAbortSec", "TimeoutStopSec", "RestartSec"}
    own |= {"RestartPreventExitStatus", "Restart"}
    shared = [
        {key: value for key, value in service(path.name).items() if key not in own}
        for path in UNITS
        if path.suffix == ".service"
    ]
    assert shared[0]["ProtectSystem"] == ["strict"]
    assert len(shared) == 4
    assert shared[1:] == shared[:1] * 3


def test_the_timer_trims_and_keeps_the_run_directory_of_the_workers() -> None:
    """Without systemd a line for cron does the same."""
    trim = service("graphwriter-trim.service")
    assert trim["ExecStart"] == ["/opt/graphwriter/bin/graphwriter trim"]
    assert trim["RuntimeDirectoryPreserve"] == ["yes"]
    assert "OnCalendar=*:0/10" in (conf().parent / "graphwriter-trim.timer").read_text()
    page = (conf().parent.parent / "docs" / "deployment.md").read_text()
    (line,) = [line for line in page.splitlines() if line.strip().startswith("*/10 * * * * ")]
    assert line.endswith(f"{trim['ExecStart'][0]} >/dev/null")


@contextmanager
def told(environ: dict[str, str], folder: Path) -> Iterator[Told]:
    """A worker started as by systemd, and the socket of its notifications."""
    path = folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind(str(path))
        notices.setblocking(False)
        worker = subprocess.Popen(
            [str(PROGRAMS / "graphwriter-worker"), "--consumer-name", "told"],
            env=os.environ | environ | {"NOTIFY_SOCKET": str(path)},
        )
        try:
            yield notices, worker
        finally:
            worker.terminate()
            worker.wait(30)


def heard(notices: socket.socket) -> list[str]:
    """The notifications since the last call, line by line."""
    lines: list[str] = []
    try:
        while True:
            lines += notices.recv(4096).decode().splitlines()
    except BlockingIOError:
        return lines


def test_a_worker_notifies_systemd_when_ready_and_only_while_it_makes_progress(
    pool_environ: dict[str, str], proxy: Callable[[str], Proxy], tmp_path: Path
) -> None:
    """The watchdog's time comes from the setting; a hanging write sends no notification."""
    link = proxy(pool_environ["NEO4J_URI"])
    environ = pool_environ | {"NEO4J_URI": link.url, "GRAPH_WRITER_WATCHDOG": "77"}
    with told(environ, tmp_path) as (notices, worker):
        until(lambda: {"READY=1", "WATCHDOG_USEC=77000000"} <= set(heard(notices)))
        until(lambda: {"WATCHDOG=1", "STATUS=reading"} <= set(heard(notices)))
        link.deaf = True
        with EventPublisher(pool_environ["REDIS_URL"]) as publisher:
            publisher.publish(BASE)
        until(lambda: "STATUS=writing" in heard(notices))
        time.sleep(2)
        assert heard(notices) == []
        link.deaf = False
        until(lambda: "WATCHDOG=1" in heard(notices))
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0


def test_the_pool_logs_to_a_journal(pool_environ: dict[str, str]) -> None:
    """systemd passes a socket as standard output, which supervisord cannot open by name."""
    ours, its = socket.socketpair()
    with ours, its:
        pool = subprocess.Popen(
            [str(PROGRAMS / "graphwriter"), "up", "--workers", "1"],
            env=os.environ | pool_environ,
            stdout=its.fileno(),
            stderr=its.fileno(),
        )
        its.close()
        ours.settimeout(60)
        said = b""
        while b"Pool     1 worker" not in said or b" writes stream:posts:parsed to " not in said:
            piece = ours.recv(65536)
            assert piece, said.decode()
            said += piece
        pool.terminate()
        while piece := ours.recv(65536):
            said += piece
        assert pool.wait(30) == 0
    assert b"stopping: the current batches are finished first" in said
    assert b" stops: 0 entries, nothing left pending" in said
