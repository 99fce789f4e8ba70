"""The backfill: posts of PostgreSQL written to the graph as events are, by several processes.

The parent looks where the next part of the posts ends, hands parts out, and keeps the checkpoint;
the processes read and write. Parts are of the order of keys, so that the checkpoint is one key and
the few parts in hand, whatever the number of posts, and any number of processes can go on from it.
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
from graphwriter.backfill.processes import PAUSES, Crew, Job, Report
from graphwriter.backfill.rows import Reject, ToStream
from graphwriter.config import Config
from graphwriter.database import Database, Part
from graphwriter.errors import ConfigError, TooBig, Unavailable
from graphwriter.graph import connect, schema
from graphwriter.graph.batch import fold

log = logging.getLogger("graphwriter")

LARGEST = 50_000  # posts of one part
LARGEST_IDS = 2_000  # ids of one part, which the checkpoint holds
SHARES = 4  # parts that each process gets of what is left, so that all end at about the same time
EVERY = 1.0  # seconds between two checkpoints
TOLD = 20  # rejects that are logged one by one


class Outcome(NamedTuple):
    """How a backfill ended; `stopped` before it was through."""

    progress: Progress
    stopped: bool


class Backfill:
    """One backfill of `job`'s selection, or of the ids in a file, resumed if it was begun before.

    `run` blocks until it is through or `stop` was called, waits for servers that go away meanwhile,
    and raises:

        Unavailable: a server does not answer at the start.
        ConfigError: a setting, the query, or a server's set-up has to be mended.
        NameTaken: the same backfill runs already.
    """

    def __init__(self, job: Job, state: Path, ids: Path | None = None) -> None:
        self._job, self._ids = job, ids
        self._database = Database(source(job.config), job.selection)
        self.checkpoint = Checkpoint(state, _name(job, self._database.place, ids))
        self._progress = Progress()
        self._ready: list[Part] = []  # to be handed out
        self._lines: Iterator[str] | None = None  # of the ids, those not handed out yet
        self._stopping = False
        self._waits: str | None = None  # what for
        self._next_look = 0.0
        self._pause = PAUSES[0]

    def stop(self) -> None:
        """Make `run` return after the batches in hand. Only sets a flag: safe in a handler."""
        self._stopping = True

    def run(self, tell: Callable[[Progress], None] = lambda _progress: None) -> Outcome:
        """Write everything, by as many processes as the settings say; `tell` how far it is."""
        with self.checkpoint, self._database:
            self._check()
            known = self.checkpoint.load()
            self._progress = known or Progress(total=self._count())
            self._ready = list(self._progress.open)
            if known:
                log.info("goes on after %d of %d posts", known.read, known.total)
            with Crew(self._job, self._job.config.workers) as crew:
                try:
                    self._lead(crew, tell)
                finally:
                    crew.stop()
                    for report in crew.last_reports():
                        self._note(report)
                    self._save(crew)
            left = bool(self._progress.open or not self._progress.ended)
            if not left:
                self.checkpoint.end()
            tell(self._progress)
            return Outcome(self._progress, left)

    def _check(self) -> None:
        self._database.check()
        config = self._job.config
        if self._job.via_stream:
            ToStream(config.redis_url, config.stream).check()
        else:
            with connect(config) as graph:
                graph.check(writes=True)
                schema.apply(graph)
                with contextlib.suppress(TooBig):  # a fresh server plans for seconds, or longer
                    graph.write(fold(()))

    def _count(self) -> int:
        if self._ids is None:
            return self._database.count()
        return sum(1 for _ in _lines(self._ids))

    def _lead(self, crew: Crew, tell: Callable[[Progress], None]) -> None:
        saved = 0.0
        while not self._stopping:
            self._prepare(crew)
            for process in crew.idle:
                if self._ready:
                    crew.give(process, self._ready.pop(0))
            if not crew.in_hand and self._progress.ended and not self._ready:
                return
            for report in crew.reports(0.2):
                self._note(report)
                if report.error is not None:
                    raise report.error
            if time.monotonic() - saved > EVERY:
                self._save(crew)
                saved = time.monotonic()
                tell(self._progress)

    def _prepare(self, crew: Crew) -> None:
        """Have a part ready for each idle process, and one more."""
        while not self._progress.ended and len(self._ready) <= len(crew.idle):
            if time.monotonic() < self._next_look:
                time.sleep(0.05 if crew.in_hand else 0.2)
                return
            try:
                self._ready.append(self._next())
            except Unavailable as error:
                self._wait_for(str(error))
                self._next_look = time.monotonic() + self._pause
                self._pause = min(self._pause * 2, PAUSES[1])
                return
            self._pause = PAUSES[0]

    def _next(self) -> Part:
        progress = self._progress
        handed = sum(len(part.ids or ()) for part in self._ready)
        left = max(0, progress.total - progress.read - handed)
        size = max(self._job.config.batch_size, left // (self._job.config.workers * SHARES))
        if self._ids is None:
            part = self._database.part(min(size, LARGEST), progress.walked)
            progress.walked, progress.ended = part.upto, part.upto is None
            return part
        start = int(progress.walked or 0)
        if self._lines is None:
            self._lines = islice(_lines(self._ids), start, None)
        ids = tuple(islice(self._lines, min(size, LARGEST_IDS)))
        progress.walked = str(start + len(ids))
        progress.ended = start + len(ids) >= progress.total
        return Part(ids=ids)

    def _note(self, report: Report) -> None:
        if report.waiting is not None:
            self._wait_for(report.waiting)
        if report.done is None:
            return
        if self._waits is not None:
            log.info("goes on")
            self._waits = None
        _, read, written, rejects = report.done
        self.checkpoint.reject(rejects)
        self._tell(rejects)
        self._progress.read += read
        self._progress.written += written
        self._progress.rejected += len(rejects)

    def _wait_for(self, error: str) -> None:
        if self._waits is None:
            log.warning("%s; waiting, nothing is lost", error)
        self._waits = error

    def _tell(self, rejects: list[Reject]) -> None:
        told = self._progress.rejected
        for reject in rejects[: max(0, TOLD - told)]:
            log.warning("post %s is not written: %s: %s", *reject)
        if told < TOLD <= told + len(rejects):
            log.warning("further ones are in %s", self.checkpoint.rejects)

    def _save(self, crew: Crew) -> None:
        self._progress.open = [*crew.in_hand.values(), *self._ready]
        self.checkpoint.save(self._progress)


def source(config: Config) -> str:
    """Return the URL of PostgreSQL; raises ConfigError where it is not set."""
    if config.database_url is None:
        raise ConfigError("DATABASE_URL is not set: the PostgreSQL with the posts")
    return config.database_url


def parts_of(ids: Path) -> Iterator[Part]:
    """Yield the posts whose ids are in a file, in parts."""
    lines = _lines(ids)
    while some := tuple(islice(lines, LARGEST_IDS)):
        yield Part(ids=some)


def _name(job: Job, place: str, ids: Path | None) -> str:
    """Return a file name for what is read and where it goes: another selection has another."""
    config = job.config
    target = (config.redis_url.rpartition("@")[2], config.stream)
    if not job.via_stream:
        target = (config.neo4j_uri, config.neo4j_database)
    what = repr((place, job.selection, target, job.rewrite, config.text, config.tenant))
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
