"""Heartbeat files of another release, damaged ones, and those of processes that have exited."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from support.names import GROUP, STREAM

from graphwriter import files
from graphwriter.errors import NameTaken
from graphwriter.stream import Stream
from graphwriter.worker import heartbeat, runtime, watchdog
from graphwriter.worker.counts import SECONDS, Counts, Spread
from graphwriter.worker.process import forget_consumers

PYTHON = (sys.executable, "-c", "import time; time.sleep(60)")


def told(name: str = "w", **more: Any) -> heartbeat.WorkerState:
    """The state of a worker that is this process and makes progress."""
    now = time.time()
    one = heartbeat.WorkerState(
        name, "s", "g", os.getpid(), now, now, time.monotonic(), "reading", Counts(),
        born=runtime.born(os.getpid()),
    )  # fmt: skip
    return msgspec.structs.replace(one, **more)


def leave(directory: Path, one: heartbeat.WorkerState, **odd: Any) -> Path:
    """Write a worker's file, with odd values in place of some."""
    file = directory / f"{one.consumer}.json"
    file.write_bytes(msgspec.json.encode(msgspec.to_builtins(one) | odd))
    return file


def deep(file: Path) -> None:
    file.write_text('{"a":' + "[" * 100_000 + "]" * 100_000 + "}")


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: leave(file.parent, told(), pid=1_099_511_627_776_000_000),
        lambda file: leave(file.parent, told(), pid=-1),
        lambda file: leave(file.parent, told(), counts={"written": 2**63 - 1}),
        lambda file: leave(file.parent, told(), counts={"reasons": {"x": -5}}),
        lambda file: file.write_bytes(b"\xff"),
        lambda file: file.write_bytes(file.read_bytes() + b" " * (2 << 20)),
        deep,
        pipe,
        directory,
    ],
)
def test_a_file_that_no_worker_wrote_is_ignored(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    """Reading it neither fails nor hangs; the other workers are shown."""
    leave(tmp_path, told("other"))
    spoil(leave(tmp_path, told()))
    assert [one.consumer for one in heartbeat.read_all(tmp_path)] == ["other"]
    heartbeat.tidy(tmp_path)
    assert watchdog.wrong(tmp_path, 90.0, 1, time.monotonic()) == []


@pytest.mark.timeout(30)
@pytest.mark.parametrize("spoil", [deep, pipe, lambda file: file.write_text("9" * 4000)])
def test_a_count_of_kills_that_no_watchdog_wrote_is_zero(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    heartbeat.add_kills(tmp_path, 2)
    spoil(tmp_path / "watchdog.kills")
    assert heartbeat.kills(tmp_path) == 0


def test_a_process_id_beyond_all_processes_is_a_worker_that_has_ended(tmp_path: Path) -> None:
    leave(tmp_path, told(), pid=2**40)
    (one,) = heartbeat.read_all(tmp_path)
    assert not one.there


def test_histograms_of_a_release_with_other_bounds_are_dropped(tmp_path: Path) -> None:
    """Only the histograms; the counters stay."""
    old = {"buckets": [1, 2, 3], "sum": 1.0}
    now = Spread()
    now.add(SECONDS, 0.2)
    leave(
        tmp_path, told("old"), counts={"written": 7, "latency": old, "sizes": old, "seconds": old}
    )
    marks = [(1.0, {"latency": old, "seconds": old})]
    leave(tmp_path, told("new", counts=Counts(written=1, seconds=now)), marks=marks)
    total = Counts()
    for one in heartbeat.read_all(tmp_path):
        total = total.plus(one.total)
        assert one.recent.plus(one.recent).seconds.buckets in ([], now.plus(now).buckets)
    assert total == Counts(written=8, seconds=now)


@pytest.mark.parametrize("born", [runtime.born, runtime.from_ps])
def test_a_process_is_distinguished_from_a_later_one_with_its_pid(
    born: Callable[[int], str | None],
) -> None:
    """With /proc and, as on a Mac, with ps. A zombie counts as ended."""
    process = subprocess.Popen(PYTHON)
    try:
        first = born(process.pid)
        assert first
        assert first == born(process.pid)
        assert first != born(1)
    finally:
        process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert born(process.pid) is None
    process.wait()
    assert born(process.pid) is None
    assert born(2**40) is born(-1) is None


def test_a_worker_whose_pid_another_process_got_has_ended(tmp_path: Path) -> None:
    """The process is not mistaken for the worker, and the watchdog does not kill it."""
    process = subprocess.Popen(PYTHON)
    try:
        leave(tmp_path, told(pid=process.pid))
        (one,) = heartbeat.read_all(tmp_path)
        assert not one.there
        later = time.monotonic() + 1000
        assert watchdog.sweep(tmp_path, 90.0, {process.pid}, later) == []
        assert watchdog.wrong(tmp_path, 90.0, 1, later) == [
            f"0 of 1 workers are alive in {tmp_path}"
        ]
        assert process.poll() is None
        leave(tmp_path, told(pid=process.pid, born=None))  # an older release's
        (one,) = heartbeat.read_all(tmp_path)
        assert one.there
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory on a file system of 64 KiB."""
    path = tmp_path / "disk"
    path.mkdir(mode=0o700)
    command = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", str(path)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this account may not mount a file system")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def fill(disk: Path) -> None:
    with suppress(OSError), (disk / "filler").open("wb", buffering=0) as file:
        for _ in range(100):
            file.write(bytes(4096))


def test_a_full_disk_is_warned_of_once_and_the_worker_goes_on(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And it is shown again as soon as there is space."""
    state = heartbeat.WorkerState.starting("w", "s", "g", pool=None)
    beats = heartbeat.Heartbeat(small_disk / "w.json", state)
    beats.beat("reading", now=True)
    fill(small_disk)
    assert files.problem(small_disk) == "No space left on device"
    beats.beat("writing", now=True)
    beats.beat("reading", now=True)
    assert caplog.text.count("cannot be written: No space left on device") == 1
    (small_disk / "filler").unlink()
    beats.beat("writing", now=True)
    assert [each.doing for each in heartbeat.read_all(small_disk)] == ["writing"]


def test_the_watchdog_ends_no_worker_whose_heartbeat_cannot_be_written(small_disk: Path) -> None:
    state = heartbeat.WorkerState.starting("w", "s", "g", pool=None)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        born = runtime.born(process.pid)
        state = msgspec.structs.replace(state, pid=process.pid, born=born, clock=0.0)
        (small_disk / "w.json").write_bytes(msgspec.json.encode(state))
        fill(small_disk)
        assert watchdog.sweep(small_disk, 10.0, {process.pid}, time.monotonic() + 100) == []
        assert process.poll() is None
        (small_disk / "filler").unlink()
        assert watchdog.sweep(small_disk, 10.0, {process.pid}, time.monotonic() + 100) == [
            process.pid
        ]


def test_a_deleted_directory_is_made_again_with_the_lock_in_it(tmp_path: Path) -> None:
    """So no second worker can take the name."""
    run = tmp_path / "run"
    run.mkdir(mode=0o700)
    beats = heartbeat.Heartbeat(
        run / "w.json", heartbeat.WorkerState.starting("w", "s", "g", pool=None)
    )
    with files.Lock(run / "w.lock") as lock:
        shutil.rmtree(run)
        for _ in range(2):
            beats.beat("reading", now=True)
            lock.restore()
        assert [each.doing for each in heartbeat.read_all(run)] == ["reading"]
        with pytest.raises(NameTaken):
            files.Lock(run / "w.lock").take()


def test_a_worker_deletes_consumers_that_are_gone(
    redis_client: redis.Redis, valkey_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a group, or without Redis, it only goes on."""
    caplog.set_level("DEBUG")
    stream = Stream(valkey_url, STREAM, GROUP, "me")
    forget_consumers(stream, 0.1)
    assert "consumers were not deleted" in caplog.text
    stream.create_group()
    for number in range(1200):  # more than one call deletes
        redis_client.xgroup_createconsumer(STREAM, GROUP, f"pod-{number}")
    time.sleep(0.2)
    forget_consumers(stream, 0.1)
    assert redis_client.xinfo_consumers(STREAM, GROUP) == []
    assert "deleted 1200 consumers" in caplog.text
    stream.close()
