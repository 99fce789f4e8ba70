"""Processes that fill the graph side by side, each with one part of the posts in hand.

They hear from their parent through a pipe and nothing else: a part, or None to stop. A parent that
is gone closes it, which stops them too.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import random
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple, Self

from graphwriter.backfill.rows import Done, Target, ToGraph, ToStream, fill
from graphwriter.config import Config
from graphwriter.database import Database, Part, Selection
from graphwriter.errors import GraphwriterError, Unavailable
from graphwriter.graph import connect
from graphwriter.worker import runtime

OURS = (signal.SIGINT, signal.SIGTERM)  # for the parent: a terminal sends them to all
PAUSES = (0.2, 5.0)  # seconds between looks at a server that is away, growing from, up to
LEAVE = 10.0  # seconds until a process that closed its pipe has ended


class Job(NamedTuple):
    """What every process of a backfill has to know."""

    config: Config
    selection: Selection
    via_stream: bool = False
    rewrite: bool = False


class Report(NamedTuple):
    """What a process says of the part it has in hand: done, waiting for a server, or failed."""

    process: int
    done: Done | None = None
    ended: bool = False  # the part is finished
    waiting: str | None = None
    error: GraphwriterError | None = None


class Crew:
    """`workers` processes. Without `with` none of them runs."""

    def __init__(self, job: Job, workers: int) -> None:
        self._job, self._number = job, workers
        self._processes: list[Any] = []
        self._pipes: list[Connection] = []
        self.in_hand: dict[int, Part] = {}  # by process, what is left of it

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("spawn")  # threads and connections are not inherited
        resource_tracker.ensure_running()  # which unblocks signals when it is started
        with _blocked():
            for number in range(self._number):
                ours, theirs = context.Pipe()
                arguments = theirs, number, self._job
                process = context.Process(target=_serve, args=arguments, daemon=True)
                process.start()
                theirs.close()
                self._processes.append(process)
                self._pipes.append(ours)
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(self._job.config.stop_wait)  # the batch in hand
            if process.is_alive():
                process.kill()
                process.join()

    @property
    def idle(self) -> list[int]:
        """The processes without a part."""
        return [number for number in range(self._number) if number not in self.in_hand]

    def give(self, process: int, part: Part) -> None:
        """Hand a part to an idle process."""
        self.in_hand[process] = part
        self._send(process, part)

    def stop(self) -> None:
        """Let every process finish its batch and leave. Safe to call twice."""
        for process in range(len(self._pipes)):
            self._send(process, None)

    def last_reports(self) -> Iterator[Report]:
        """Yield what the processes say while they stop, until the last has left."""
        for number in list(self.in_hand):
            with contextlib.suppress(EOFError, OSError):
                while self._pipes[number].poll(self._job.config.stop_wait):
                    yield self._heard(number)

    def _send(self, process: int, part: Part | None) -> None:
        with contextlib.suppress(OSError):  # it is gone: `reports` says so
            self._pipes[process].send(part)

    def reports(self, seconds: float) -> Iterator[Report]:
        """Yield what the processes have said, waiting up to `seconds` for the first.

        Raises:
            Unavailable: a process was killed with a part in hand.
        """
        pipes = [self._pipes[number] for number in self.in_hand]
        for pipe in wait(pipes, seconds):
            assert isinstance(pipe, Connection)
            number = self._pipes.index(pipe)
            try:
                report = self._heard(number)
            except (EOFError, OSError):
                self._processes[number].join(LEAVE)
                code = self._processes[number].exitcode
                raise Unavailable(
                    f"a process of the backfill was ended (exit code {code}): start it again, it "
                    "goes on at its checkpoint"
                ) from None
            yield report

    def _heard(self, number: int) -> Report:
        report: Report = self._pipes[number].recv()
        if report.done is not None:
            self.in_hand[number] = report.done.rest
        if report.ended:
            del self.in_hand[number]
        return report


@contextlib.contextmanager
def _blocked() -> Iterator[None]:
    """Let what is started meanwhile be deaf to Ctrl-C until it says what it does about it.

    A process inherits what is blocked, and imports for a second before it gets to `_serve`.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, OURS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Connection, number: int, job: Job) -> None:
    """Fill one part after another until told to stop, or until the parent is gone."""
    for one in OURS:
        signal.signal(one, signal.SIG_IGN)  # a terminal sends them to us too; our parent decides
    logging.getLogger("neo4j").setLevel(logging.ERROR)
    with ExitStack() as stack:
        stack.callback(pipe.close)
        assert job.config.database_url is not None
        database = stack.enter_context(Database(job.config.database_url, job.selection))
        try:
            target = _target(job, stack)
            runtime.tune()
            while (part := pipe.recv()) is not None:
                _fill(pipe, number, job, database, target, part)
        except GraphwriterError as error:
            pipe.send(Report(number, error=error))
        except (EOFError, OSError):
            pass  # the parent is gone


def _target(job: Job, stack: ExitStack) -> Target:
    if job.via_stream:
        target = ToStream(job.config.redis_url, job.config.stream)
        stack.callback(target.close)
        return target
    graph = stack.enter_context(connect(job.config))
    return ToGraph(graph, job.config.text, job.rewrite)


def _fill(
    pipe: Connection, number: int, job: Job, database: Database, target: Target, part: Part
) -> None:
    """Fill `part`; a server that is away is waited for. Returns early when there is word for us."""
    pause = PAUSES[0]
    while True:
        try:
            for done in fill(
                database,
                target,
                part,
                batch_size=job.config.batch_size,
                tenant=job.config.tenant,
                stopping=pipe.poll,
            ):
                part, pause = done.rest, PAUSES[0]
                pipe.send(Report(number, done))
        except Unavailable as error:
            pipe.send(Report(number, waiting=str(error)))
            if pipe.poll(pause * random.uniform(0.5, 1.0)):  # noqa: S311 - jitter
                return
            pause = min(pause * 2, PAUSES[1])
        else:
            break
    if not pipe.poll():
        pipe.send(Report(number, ended=True))
