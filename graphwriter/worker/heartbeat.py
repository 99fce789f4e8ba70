"""What a worker shows of itself: its heartbeat, one small file.

The time in it is the progress of the loop, never a timer's, so an old one means a stuck worker.
`status`, the exporter and the watchdog read the file; systemd, if it started the worker, is told
at the same moments. The file stays after its worker, and the next worker of the name continues its
counters. The files are in the run directory, which belongs to our account alone.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import msgspec

from graphwriter import files
from graphwriter.errors import GraphwriterError, NameTaken
from graphwriter.urls import safe
from graphwriter.worker import runtime
from graphwriter.worker.counts import Count, Counts, Spreads

log = logging.getLogger("graphwriter")

HEARTBEAT_INTERVAL = 0.5  # seconds between two writes at least, so that progress costs nothing
# `doing` of a worker that waits for its servers: for the first time, while Neo4j may still plan the
# write, or after an outage; of one that asks Neo4j again for its batch; of one whose group is
# paused; and of one that stopped normally.
STARTING, WAITING, RETRYING = "starting", "waiting", "retrying"
PAUSED, STOPPED = "paused", "stopped"
FILES_KEPT = 64  # files of workers that have exited; the counters of older ones are added up in one
TRACK_LENGTH, TRACK_INTERVAL = 6, 2.0  # points of `track`, and seconds between two at least
MARKS_LENGTH, MARKS_INTERVAL = 3, 100.0  # and of `marks`, which reach back up to five minutes


class WorkerState(msgspec.Struct):
    """A worker as its file shows it; times in seconds since 1970, except `clock`."""

    consumer: str
    stream: str
    group: str
    pid: Count
    started: float
    progress: float
    clock: float  # also the last progress, in seconds of this machine's monotonic clock
    doing: str
    counts: Counts  # since the start
    error: str | None = None  # why it waits or ended
    before: Counts = msgspec.field(default_factory=Counts)  # counted by earlier workers of the name
    last_error: tuple[float, str] | None = None  # its time and text
    track: list[tuple[float, int]] = []  # recent times, each with the events done until then
    marks: list[tuple[float, Spreads]] = []  # recent times, each with the spreads until then
    pool: Count | None = None  # number of workers that its supervisor keeps
    redis: str | None = None  # the server that it reads from, without secrets
    born: str | None = None  # start time of the process: tells it from a later one with its id

    @classmethod
    def starting(
        cls, consumer: str, stream: str, group: str, pool: int | None, redis: str | None = None
    ) -> WorkerState:
        """Return the state of a worker that starts in this process."""
        now, pid = time.time(), os.getpid()
        return cls(
            consumer, stream, group, pid, now, now, 0.0, STARTING, Counts(),
            pool=pool, redis=redis, born=runtime.born(pid),
        )  # fmt: skip

    @property
    def total(self) -> Counts:
        """All that workers of this name have counted."""
        return self.before.plus(self.counts)

    @property
    def there(self) -> bool:
        """Whether its process runs, and not another one that got its id."""
        born = runtime.born(self.pid)
        return born is not None and self.born in (None, born)

    def stuck(self, patience: float) -> bool:
        """Whether it made no progress for `patience` seconds, by the monotonic clock."""
        return time.monotonic() - self.clock >= patience

    def rate(self, now: float) -> float:
        """Events per second over about the last ten seconds before `now`; 0 without progress."""
        recent = (one for one in self.track if now - one[0] <= TRACK_LENGTH * TRACK_INTERVAL)
        since, done = next(recent, (now, 0))
        return max(0, self.counts.done - done) / (now - since) if now > since else 0.0

    @property
    def recent(self) -> Spreads:
        """Spreads of the batches of the last five minutes, or since the start."""
        spreads = Spreads.of(self.counts)
        return spreads.plus(self.marks[0][1], -1) if self.marks else spreads


def key(consumer: str, url: str, stream: str, group: str) -> str:
    """Return a file name for a consumer that another Redis, stream or group does not share.

    It does not depend on the password, which may be rotated.
    """
    where = repr((safe(url), stream, group, consumer))
    shown = "".join(c if c.isalnum() or c in "-_." else "_" for c in consumer)[:60]
    return f"{shown}-{blake2b(where.encode(), digest_size=6).hexdigest()}"


class Heartbeat:
    """Writes a worker's `WorkerState` to its file, at most every half second unless `now`.

    Continues the counters that an earlier worker of the name left in it: hold the lock on the name.
    A file that cannot be written (a full disk, a deleted directory) is warned of once, and the
    worker goes on: heartbeats are bookkeeping.
    """

    def __init__(self, path: Path, state: WorkerState) -> None:
        self.path, self.state = path, state
        self._last = 0.0
        self._failing = False
        self.left = 0.0  # time of the earlier worker's last progress
        if (left := _read(path)) is not None:
            self.left = left.progress
            state.before, state.last_error = left.total, left.last_error

    def beat(self, doing: str, *, now: bool = False) -> None:
        """Record progress of the loop, and what it does next."""
        moment = time.monotonic()
        if not now and moment - self._last < HEARTBEAT_INTERVAL and doing == self.state.doing:
            return
        state = self.state
        self._last = state.clock = moment
        state.progress = time.time()
        state.doing = doing
        if state.error is not None:
            state.last_error = (state.progress, state.error)
        if not state.track or state.progress - state.track[-1][0] >= TRACK_INTERVAL:
            point = state.progress, state.counts.done
            state.track = [*state.track[1 - TRACK_LENGTH :], point]
        if not state.marks or state.progress - state.marks[-1][0] >= MARKS_INTERVAL:
            mark = state.progress, Spreads.of(state.counts)
            state.marks = [*state.marks[1 - MARKS_LENGTH :], mark]
        self._write()
        runtime.notify_systemd(WATCHDOG=1, STATUS=doing)

    def _write(self) -> None:
        try:
            if self._failing:  # the directory may have been deleted
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(self.path, self.state)
        except OSError as error:
            if not self._failing:
                log.warning(
                    "the heartbeat %s cannot be written: %s; the worker goes on, and is not shown "
                    "in `status` until it can",
                    self.path,
                    error.strerror,
                )
            self._failing = True
            with suppress(OSError):
                self.path.with_suffix(f".{os.getpid()}").unlink(missing_ok=True)
        else:
            if self._failing:
                log.info("the heartbeat is written again")
            self._failing = False

    def fail(self, error: GraphwriterError) -> None:
        """Record the error that ends this worker."""
        self.state.error = str(error)
        self.beat(self.state.doing, now=True)

    def end(self) -> None:
        """Record that this worker stopped normally."""
        self.beat(STOPPED, now=True)


def _read(path: Path) -> WorkerState | None:
    try:
        return msgspec.json.decode(files.read(path), type=WorkerState)
    except (OSError, ValueError, RecursionError):
        return None  # it was just replaced, or another program wrote it


def _write(path: Path, state: WorkerState) -> None:
    files.replace(path, msgspec.json.encode(state))


def read_all(directory: Path, *, stopped: bool = False) -> Iterator[WorkerState]:
    """Yield the state of every worker in `directory`, by name; with `stopped` also stopped ones."""
    for path in sorted(directory.glob("*.json")):
        state = _read(path)
        if state is not None and (stopped or state.doing != STOPPED):
            yield state


def newest(states: Iterable[WorkerState]) -> dict[str, WorkerState]:
    """Return the newest state of each consumer, by name; a killed worker may have left another."""
    by_name: dict[str, WorkerState] = {}
    for state in states:
        known = by_name.get(state.consumer)
        if known is None or known.progress <= state.progress:
            by_name[state.consumer] = state
    return by_name


def tidy(directory: Path) -> None:
    """Merge the counters of workers that exited long ago, so that files do not pile up.

    The newest 64 files of such workers stay as they are.
    """
    ended = sorted(
        (state.progress, path)
        for path in directory.glob("*.json")
        if (state := _read(path)) is not None and state.consumer and not state.there
    )
    if len(ended) <= FILES_KEPT:
        return
    with suppress(NameTaken), files.Lock(directory / "tidy.lock"):
        for _, path in ended[:-FILES_KEPT]:
            with suppress(NameTaken), files.Lock(path.with_suffix(".lock")):
                _merge(directory, path)


def _merge(directory: Path, path: Path) -> None:
    if (state := _read(path)) is None:
        return
    merged_path = directory / f"{key('', '', state.stream, state.group)}.json"
    merged = _read(merged_path) or WorkerState(
        "", state.stream, state.group, 0, 0, 0, 0, STOPPED, Counts()
    )
    merged.before = merged.before.plus(state.total)
    _write(merged_path, merged)  # a kill after this line counts them twice, but loses nothing
    path.unlink(missing_ok=True)


def kills(directory: Path) -> int:
    """Return how many stuck workers the watchdog of `directory` has ended."""
    try:
        return msgspec.json.decode(files.read(directory / "watchdog.kills"), type=Count)
    except (OSError, ValueError, RecursionError):
        return 0


def add_kills(directory: Path, number: int) -> None:
    """Count workers that were ended; only the watchdog calls it."""
    files.replace(directory / "watchdog.kills", b"%d" % (kills(directory) + number))
