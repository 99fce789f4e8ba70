"""Writers that run in threads of the test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from graphwriter.worker.writer import Writer


@contextmanager
def running(*writers: Writer) -> Iterator[None]:
    """Run writers, each in a thread, until the end of the block; none raises anything."""
    raised: list[BaseException] = []

    def run(writer: Writer) -> None:
        try:
            writer.run()
        except BaseException as error:  # noqa: BLE001 - looked at below
            raised.append(error)

    threads = [threading.Thread(target=run, args=(writer,), daemon=True) for writer in writers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for writer in writers:
            writer.stop()
        for thread in threads:
            thread.join(20)
    assert raised == []
    assert not any(thread.is_alive() for thread in threads)
