"""The processes of a backfill, each with one part of the posts at a time.

Each is connected to its parent by a pipe: it receives a part, or None to stop, and sends reports.
When the parent dies the pipe closes, and the process stops.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple, Self

from graphwriter.backfill.rows import Target, ToGraph, ToStream, Written, write_part
from graphwriter.backoff import Backoff
from graphwriter.config import Config
from graphwriter.database import Database, Part, Selection
from graphwriter.errors import GraphwriterError, Unavailable
from graphwriter.graph import connect
from graphwriter.worker import runtime

# A terminal sends them to all processes; the parent decides.
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0  # seconds between attempts on a server that does not answer
EXIT_TIME = 10.0  # seconds that a process which closed its pipe needs to exit


class Job(NamedTuple):
    """What every process of a backfill has to know."""

    config: Config
    selection: Selection
    via_stream: bool = False
    rewrite: bool = False


class PartReport(NamedTuple):
    """What a process reports of its part: a batch written, finished, waiting, or failed."""

    process: int
    written: Written | None = None
    finished: bool = False
    waiting: str | None = None  # the error of the server that it waits for
    error: GraphwriterError | None = None


def started(
    number: int, serve: Callable[..., None], *arguments: Any
) -> tuple[list[Any], list[Connection]]:
    """Start processes that run `serve(pipe, NUMBER, *arguments)`; return them and their pipes."""
    processes: list[Any] = []
    pipes: list[Connection] = []
    context = multiprocessing.get_context("spawn")  # inherits no threads and no connections
    resource_tracker.ensure_running()  # now: its start would unblock the signals
    with _signals_blocked():
        for one in range(number):
            pipe, child_pipe = context.Pipe()
            process = context.Process(target=serve, args=(child_pipe, one, *arguments), daemon=True)
            process.start()
            child_pipe.close()
            processes.append(process)
            pipes.append(pipe)
    return processes, pipes


class Processes:
    """`number` processes, which run inside `with`."""

    def __init__(self, job: Job, number: int) -> None:
        self._job, self._number = job, number
        self._processes: list[Any] = []
        self._pipes: list[Connection] = []
        self.open: dict[int, Part] = {}  # by process, what is left of its part

    def __enter__(self) -> Self:
        self._processes, self._pipes = started(self._number, _serve, self._job)
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(self._job.config.stop_wait)  # it finishes its batch
            if process.is_alive():
                process.kill()
                process.join()

    @property
    def idle(self) -> list[int]:
        """The processes without a part."""
        return [number for number in range(self._number) if number not in self.open]

    def give(self, process: int, part: Part) -> None:
        """Give a part to an idle process."""
        self.open[process] = part
        self._send(process, part)

    def stop(self) -> None:
        """Let every process finish its batch and exit. Safe to call twice."""
        for process in range(len(self._pipes)):
            self._send(process, None)

    def last_reports(self) -> Iterator[PartReport]:
        """Yield what the processes report while they stop, until the last has exited."""
        for number in list(self.open):
            with contextlib.suppress(EOFError, OSError):
                while self._pipes[number].poll(self._job.config.stop_wait):
                    yield self._receive(number)

    def _send(self, process: int, part: Part | None) -> None:
        with contextlib.suppress(OSError):  # it has exited: `reports` raises
            self._pipes[process].send(part)

    def reports(self, seconds: float) -> Iterator[PartReport]:
        """Yield what the processes have reported, waiting up to `seconds` for the first report.

        Raises:
            Unavailable: a process was killed before it finished its part.
        """
        pipes = [self._pipes[number] for number in self.open]
        for pipe in wait(pipes, seconds):
            assert isinstance(pipe, Connection)
            number = self._pipes.index(pipe)
            try:
                report = self._receive(number)
            except (EOFError, OSError):
                self._processes[number].join(EXIT_TIME)
                code = self._processes[number].exitcode
                raise Unavailable(
                    f"a process of the backfill was killed (exit code {code}): run the same "
                    "command again, it resumes at its checkpoint"
                ) from None
            yield report

    def _receive(self, number: int) -> PartReport:
        report: PartReport = self._pipes[number].recv()
        if report.written is not None:
            self.open[number] = report.written.rest
        if report.finished:
            del self.open[number]
        return report


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block Ctrl-C in processes that are started meanwhile, until `_serve` ignores it.

    A process inherits what is blocked, and imports modules for a second before it runs `_serve`.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Connection, number: int, job: Job) -> None:
    """Write one part after another until told to stop, or until the parent has died."""
    for stop_signal in STOP_SIGNALS:
        signal.signal(stop_signal, signal.SIG_IGN)
    logging.getLogger("neo4j").setLevel(logging.ERROR)
    with ExitStack() as stack:
        stack.callback(pipe.close)
        assert job.config.database_url is not None
        database = stack.enter_context(
            Database(job.config.database_url, job.selection, job.config.keep)
        )
        try:
            target = _target(job, stack)
            runtime.tune()
            while (part := pipe.recv()) is not None:
                _write(pipe, number, job, database, target, part)
        except GraphwriterError as error:
            pipe.send(PartReport(number, error=error))
        except (EOFError, OSError):
            pass  # the parent has died


def _target(job: Job, stack: ExitStack) -> Target:
    if job.via_stream:
        target = ToStream(job.config.redis_url, job.config.stream)
        stack.callback(target.close)
        return target
    graph = stack.enter_context(connect(job.config))
    return ToGraph(graph, job.config.keep, job.rewrite)


def _write(
    pipe: Connection, number: int, job: Job, database: Database, target: Target, part: Part
) -> None:
    """Write `part`, waiting for servers that do not answer. Returns early on a message to stop."""
    backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
    while True:
        try:
            for written in write_part(
                database,
                target,
                part,
                batch_size=job.config.batch_size,
                tenant=job.config.tenant,
                stopping=pipe.poll,
            ):
                part = written.rest
                backoff.reset()
                pipe.send(PartReport(number, written))
        except Unavailable as error:
            pipe.send(PartReport(number, waiting=str(error)))
            if pipe.poll(backoff.next()):
                return
        else:
            break
    if not pipe.poll():
        pipe.send(PartReport(number, finished=True))
