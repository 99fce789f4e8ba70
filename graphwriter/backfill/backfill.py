"""The backfill: posts of PostgreSQL written to the graph as events are, by several processes.

The parent finds where the next part of the posts ends, hands parts out, and saves the checkpoint;
the processes read and write. Parts follow the order of keys, so that the checkpoint is one key and
the few open parts, however many posts there are, and any number of processes can resume from it.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from graphwriter.backfill.checkpoint import Checkpoint, Progress
from graphwriter.backfill.processes import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    Job,
    PartReport,
    Processes,
)
from graphwriter.backfill.rows import Reject, ToStream
from graphwriter.backoff import Backoff
from graphwriter.config import Config
from graphwriter.database import Database, Part
from graphwriter.errors import ConfigError, TooBig, Unavailable
from graphwriter.graph import connect, schema
from graphwriter.graph.batch import fold

log = logging.getLogger("graphwriter")

PART_LIMIT = 50_000  # posts of one part
PART_IDS_LIMIT = 2_000  # ids of one part, which the checkpoint holds
PARTS_EACH = 4  # parts of the rest for each process, so that all end at about the same time
CHECKPOINT_INTERVAL = 1.0  # seconds
LOGGED_REJECTS = 20  # rejects that are logged one by one


class Outcome(NamedTuple):
    """How a backfill ended; `stopped`: before everything was written."""

    progress: Progress
    stopped: bool


class Backfill:
    """One backfill of `job`'s selection, or of the ids in a file; resumes an earlier run of it.

    `run` blocks until everything is written or `stop` was called, waits for servers that stop
    answering meanwhile, and raises:

        Unavailable: a server does not answer at the start, or a process was killed.
        ConfigError: a setting, the query, or a server's set-up has to be changed.
        NameTaken: the same backfill already runs.
    """

    def __init__(self, job: Job, state: Path, ids: Path | None = None) -> None:
        self._job, self._ids = job, ids
        self._database = Database(source(job.config), job.selection, job.config.keep)
        self.checkpoint = Checkpoint(state, _name(job, self._database.place, ids))
        self._progress = Progress()
        self._ready: list[Part] = []  # to be handed out
        self._lines: Iterator[str] | None = None  # the ids that are not handed out yet
        self._stopping = False
        self._waiting: str | None = None  # the error of the server that it waits for
        self._backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        self._next_attempt = 0.0

    def stop(self) -> None:
        """Make `run` return after the current batches. Only sets a flag: safe in a handler."""
        self._stopping = True

    def run(self, show: Callable[[Progress], None] = lambda _progress: None) -> Outcome:
        """Write everything with `config.workers` processes; call `show` once a second."""
        with self.checkpoint, self._database:
            self._check()
            saved = self.checkpoint.load()
            self._progress = saved or Progress(total=self._count())
            self._ready = list(self._progress.open)
            if saved:
                log.info("resumes after %d of %d posts", saved.read, saved.total)
            with Processes(self._job, self._job.config.workers) as processes:
                try:
                    self._hand_out(processes, show)
                finally:
                    processes.stop()
                    for report in processes.last_reports():
                        self._add(report)
                    self._save(processes)
            stopped = bool(self._progress.open or not self._progress.ended)
            if not stopped:
                self.checkpoint.end()
            show(self._progress)
            return Outcome(self._progress, stopped)

    def _check(self) -> None:
        self._database.check()
        config = self._job.config
        if self._job.via_stream:
            ToStream(config.redis_url, config.stream).check()
        else:
            with connect(config) as graph:
                graph.check(writes=True)
                schema.apply(graph, config.keep)
                with contextlib.suppress(TooBig):  # a fresh server plans the statement for seconds
                    graph.write(fold(()))

    def _count(self) -> int:
        if self._ids is None:
            return self._database.count()
        return sum(1 for _ in _lines(self._ids))

    def _hand_out(self, processes: Processes, show: Callable[[Progress], None]) -> None:
        """Give parts to the processes and save the checkpoint until everything is written."""
        saved = 0.0
        while not self._stopping:
            self._find_parts(processes)
            for process in processes.idle:
                if self._ready:
                    processes.give(process, self._ready.pop(0))
            if not processes.open and self._progress.ended and not self._ready:
                return
            for report in processes.reports(0.2):
                self._add(report)
                if report.error is not None:
                    raise report.error
            if time.monotonic() - saved > CHECKPOINT_INTERVAL:
                self._save(processes)
                saved = time.monotonic()
                show(self._progress)

    def _find_parts(self, processes: Processes) -> None:
        """Have a part ready for each idle process, and one more."""
        while not self._progress.ended and len(self._ready) <= len(processes.idle):
            if time.monotonic() < self._next_attempt:
                time.sleep(0.05 if processes.open else 0.2)
                return
            try:
                self._ready.append(self._next())
            except Unavailable as error:
                self._wait_for(str(error))
                self._next_attempt = time.monotonic() + self._backoff.next()
                return
            self._backoff.reset()

    def _next(self) -> Part:
        progress = self._progress
        handed = sum(len(part.ids or ()) for part in self._ready)
        left = max(0, progress.total - progress.read - handed)
        size = max(self._job.config.batch_size, left // (self._job.config.workers * PARTS_EACH))
        if self._ids is None:
            part = self._database.part(min(size, PART_LIMIT), progress.walked)
            progress.walked, progress.ended = part.upto, part.upto is None
            return part
        start = int(progress.walked or 0)
        if self._lines is None:
            self._lines = islice(_lines(self._ids), start, None)
        ids = tuple(islice(self._lines, min(size, PART_IDS_LIMIT)))
        progress.walked = str(start + len(ids))
        progress.ended = start + len(ids) >= progress.total
        return Part(ids=ids)

    def _add(self, report: PartReport) -> None:
        """Add a report to the progress, the log and the rejects."""
        if report.waiting is not None:
            self._wait_for(report.waiting)
        if report.written is None:
            return
        if self._waiting is not None:
            log.info("all servers answer again")
            self._waiting = None
        _, read, written, rejects = report.written
        self.checkpoint.reject(rejects)
        self._log(rejects)
        self._progress.read += read
        self._progress.written += written
        self._progress.rejected += len(rejects)

    def _wait_for(self, error: str) -> None:
        if self._waiting is None:
            log.warning("%s; waiting, nothing is lost", error)
        self._waiting = error

    def _log(self, rejects: list[Reject]) -> None:
        logged = self._progress.rejected
        for reject in rejects[: max(0, LOGGED_REJECTS - logged)]:
            log.warning("post %s was not written: %s: %s", *reject)
        if logged < LOGGED_REJECTS <= logged + len(rejects):
            log.warning("further rejects are in %s", self.checkpoint.rejects)

    def _save(self, processes: Processes) -> None:
        self._progress.open = [*processes.open.values(), *self._ready]
        self.checkpoint.save(self._progress)


def source(config: Config) -> str:
    """Return the URL of PostgreSQL; raises ConfigError if it is not set."""
    if config.database_url is None:
        raise ConfigError(
            "DATABASE_URL is not set: it names the PostgreSQL database with the posts"
        )
    return config.database_url


def parts_of(ids: Path) -> Iterator[Part]:
    """Yield the ids in a file as parts."""
    lines = _lines(ids)
    while some := tuple(islice(lines, PART_IDS_LIMIT)):
        yield Part(ids=some)


def _name(job: Job, place: str, ids: Path | None) -> str:
    """Return a file name for a selection and its target; another pair gets another name."""
    config = job.config
    target = (config.redis_url.rpartition("@")[2], config.stream)
    if not job.via_stream:
        target = (config.neo4j_uri, config.neo4j_database)
    what = repr((place, job.selection, target, job.rewrite, config.keep, config.tenant))
    digest = blake2b(what.encode(), digest_size=6)
    if ids is not None:
        for line in _lines(ids):
            digest.update(line.encode() + b"\n")
    return f"backfill-{digest.hexdigest()}"


def _lines(file: Path) -> Iterator[str]:
    """Yield the ids in `file`, one a line; raises ConfigError."""
    try:
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                if stripped := line.strip():
                    yield stripped
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--ids-file {file}: {error}") from None
