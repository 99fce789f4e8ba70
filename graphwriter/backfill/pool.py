"""Processes that run tasks of an offline load, one at a time each.

Each is connected to its parent by a pipe: it receives a task, and sends the result. When the pipe
closes, also because the parent has died, the process exits after its task.
"""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple, Self

from graphwriter.backfill.processes import EXIT_TIME, STOP_SIGNALS, started
from graphwriter.errors import ConfigError, GraphwriterError, Unavailable


class Task(NamedTuple):
    """A method of what `make` returns, and its arguments."""

    method: str
    arguments: tuple[Any, ...] = ()


class Pool:
    """`number` processes, which run inside `with`; each calls `make(process, plan)` once."""

    def __init__(self, number: int, make: Callable[[int, Any], Any], plan: Any) -> None:
        self._number, self._make, self._plan = number, make, plan
        self._processes: list[Any] = []
        self._pipes: list[Connection] = []

    def __enter__(self) -> Self:
        self._processes, self._pipes = started(self._number, _serve, self._make, self._plan)
        return self

    def __exit__(self, *exc: object) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            if any(exc):  # its files are deleted
                process.kill()
            process.join(EXIT_TIME)
            if process.is_alive():
                process.kill()
                process.join()

    def run(
        self, tasks: Iterator[Task | None], stopping: Callable[[], bool] = lambda: False
    ) -> Iterator[Any]:
        """Yield the results of `tasks` as they come; end early if `stopping`.

        A task is taken from the iterator when a process is idle; None means that there is no task
        yet, and is not given while no task runs.

        Raises:
            GraphwriterError: a task has raised it, or a process was killed.
        """
        idle, busy, ended = list(range(self._number)), set[int](), False
        while True:
            while idle and not ended and not stopping():
                try:
                    task = next(tasks)
                except StopIteration:
                    ended = True
                    break
                if task is None:
                    break
                busy.add(idle[-1])
                self._pipes[idle.pop()].send(task)
            if not busy:
                return
            for pipe in wait([self._pipes[number] for number in busy], 0.2):
                assert isinstance(pipe, Connection)
                number = self._pipes.index(pipe)
                yield self._result(number)
                busy.remove(number)
                idle.append(number)

    def each(self, task: Task) -> Iterator[Any]:
        """Run a task in every process, and yield the results."""
        for pipe in self._pipes:
            pipe.send(task)
        for number in range(self._number):
            yield self._result(number)

    def _result(self, number: int) -> Any:
        try:
            result = self._pipes[number].recv()
        except (EOFError, OSError):
            self._processes[number].join(EXIT_TIME)
            code = self._processes[number].exitcode
            raise Unavailable(
                f"a process of the backfill was killed (exit code {code}): run the same command "
                "again"
            ) from None
        if isinstance(result, GraphwriterError):
            raise result
        return result


def _serve(pipe: Connection, number: int, make: Callable[[int, Any], Any], plan: Any) -> None:
    """Run tasks until the parent closes the pipe."""
    for stop_signal in STOP_SIGNALS:
        signal.signal(stop_signal, signal.SIG_IGN)
    gc.disable()  # what a task makes is freed by reference counts
    worker = make(number, plan)
    with pipe:
        try:
            while True:
                task = pipe.recv()
                try:
                    result = getattr(worker, task.method)(*task.arguments)
                except GraphwriterError as error:
                    result = error
                except OSError as error:
                    result = ConfigError(f"--offline {error.filename}: {error.strerror}")
                pipe.send(result)
        except (EOFError, BrokenPipeError, ConnectionError):
            pass  # the parent has closed it, or has died
