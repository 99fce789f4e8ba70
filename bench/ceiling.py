"""How much can Neo4j write on this machine? The raw driver in a loop over prepared rows.

The rows are those of the pipeline's own batches, the statement is the best one known, and nothing
is decoded, read or acknowledged. One to four threads. And the minimum: only bare posts are created.
"""

from __future__ import annotations

import json
import pickle
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import data
import neo4j
import rig

from graphwriter import events
from graphwriter.graph.batch import Batch, fold
from graphwriter.graph.client import statement
from graphwriter.worker.runtime import tune

BARE = "UNWIND $batch.posts AS row CREATE (p:Post {post_id: row[5]})"
THREADS = (1, 2, 4)
BATCH = 1000


def batches(lines: list[bytes], size: int = BATCH) -> Iterator[Batch]:
    """Yield the batches that workers would make of `lines`."""
    for start in range(0, len(lines), size):
        part = lines[start : start + size]
        yield fold(events.decode({b"data": line}, 2**50) for line in part)


def prepared(lines: list[bytes], folder: Path, size: int = BATCH) -> Path:
    """Write the parameters of the statement to a file, for `loop` in a process of its own."""
    file = folder / "rows.pickle"
    file.write_bytes(pickle.dumps([batch.parameter() for batch in batches(lines, size)]))
    return file


def contender(
    place: rig.Rig, rows: Path, threads: int, text: str = "write", limit: int = 0
) -> Callable[[], dict[str, Any]]:
    """Return a measurement of the raw loop."""

    def measure() -> dict[str, Any]:
        place.wipe()
        return run(place, rows, threads, text, limit)

    return measure


def run(
    place: rig.Rig, rows: Path, threads: int, text: str = "write", limit: int = 0
) -> dict[str, Any]:
    """Run the loop in a fresh process, on the graph as it is."""
    options = [place.neo4j.url, str(rows), str(threads), text, str(limit)]
    command = [sys.executable, __file__, "loop", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=rig.LIMIT)
    count, seconds, retries, cpu, times = json.loads(done.stdout)
    return {
        "rate": round(count / seconds, 1),
        "seconds": round(seconds, 4),
        "retries": retries,
        "cpu": round(cpu / count * 1e6, 2),
        "p50": round(statistics.median(times), 5),  # seconds of a transaction
        "p99": round(sorted(times)[int(0.99 * len(times))], 5),
    }


def loop(uri: str, rows: Path, threads: int, text: str, limit: int) -> None:
    """Write the rows, `limit` transactions at once (0: as many as there are threads).

    Prints how many posts, seconds, retries, seconds of CPU, and the seconds of each transaction.
    """
    gate = threading.Semaphore(limit or threads)
    waiting = iter(parts := pickle.loads(rows.read_bytes()))
    query = BARE if text == "bare" else statement(text)
    lock, tries = threading.Lock(), 0
    times: list[float] = []

    def once(tx: neo4j.ManagedTransaction, part: dict[str, Any]) -> None:
        nonlocal tries
        tries += 1
        tx.run(query, batch=part).consume()

    def work(driver: neo4j.Driver) -> None:
        while True:
            with lock:
                part = next(waiting, None)
            if part is None:
                return
            with gate, driver.session(database="neo4j") as session:
                began = time.perf_counter()
                session.execute_write(once, part)
                times.append(time.perf_counter() - began)

    with neo4j.GraphDatabase.driver(
        uri, initial_retry_delay=0.05, retry_delay_jitter_factor=0.5
    ) as driver:
        # Planned and connected before the clock runs, as a worker's is.
        driver.execute_query(query, batch=fold(()).parameter(), database_="neo4j")
        tune()
        running = [threading.Thread(target=work, args=(driver,)) for _ in range(threads)]
        start, cpu = time.perf_counter(), time.process_time()
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    count = sum(len(part["posts"]) for part in parts)
    print(json.dumps([count, seconds, tries - len(parts), cpu, times]))


def main() -> None:
    """Measure the ceiling and the floor."""
    question = __doc__.partition("\n")[0]
    options = rig.arguments(question)
    with rig.Rig() as place:
        lines = data.lines(options.events, options.seed, options.skew)
        rows = prepared(lines, place.folder)
        contenders = {
            f"raw loop, {n} thread{'s'[: n > 1]}": contender(place, rows, n) for n in THREADS
        }
        contenders["bare posts, 1 thread"] = contender(place, rows, 1, "bare")
        found = rig.interleaved(contenders, options.rounds)
    figures = {name: rig.median(found, name) for name in contenders}
    rig.save("ceiling", question, options, measurements=found, figures=figures)


if __name__ == "__main__":
    if sys.argv[1:2] == ["loop"]:
        loop(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), sys.argv[5], int(sys.argv[6]))
    else:
        main()
