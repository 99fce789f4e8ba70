"""Prepare the next batch in a second thread while the current one is written."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class ReadAhead(Generic[T]):
    """One call at a time in a thread of its own; its result waits until it is taken.

    The thread exists only inside `with`. Leaving the block waits for a call in progress and keeps
    its result, so that nothing that was read is forgotten, also when the block raised.
    """

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None
        self._next: Future[T] | None = None

    def __enter__(self) -> Self:
        self._executor = ThreadPoolExecutor(1, "read-ahead")
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._executor is not None
        executor, self._executor = self._executor, None
        executor.shutdown()

    @property
    def idle(self) -> bool:
        """Whether a call can be started: there is a thread, and no result waits."""
        return self._executor is not None and self._next is None

    @property
    def started(self) -> bool:
        """Whether a call was started whose result was not taken yet."""
        return self._next is not None

    def start(self, call: Callable[[], T]) -> None:
        """Run `call` in the thread. Only while `idle`."""
        assert self._executor is not None
        assert self._next is None
        self._next = self._executor.submit(call)

    def take(self) -> T:
        """Wait for the call, and return its result or raise its error. Only while `started`."""
        assert self._next is not None
        future, self._next = self._next, None
        return future.result()

    def drop(self) -> None:
        """Wait for a call that was started, and forget its result or error."""
        if self._next is not None:
            wait([self._next])
            self._next = None
