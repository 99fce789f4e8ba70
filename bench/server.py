"""Which flags and settings of Neo4j matter, and by how much? One at a time, and the best together.

Each variant is a server of its own, started afresh in every round and warmed by one discarded load.
The load is the raw loop of ceiling.py, with one, two and four writers. Everything is related to a
server with the flags that Neo4j ships with.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import ceiling
import data
import rig

from graphwriter.embedded import java

WRITERS = (1, 2, 4)
BASE = "Neo4j's own flags"
# What the embedded server has beyond the flags that Neo4j ships with: taken away for the base.
OURS = re.compile(r"-Xms|-XX:\+Use\w+GC|-XX:\+UseCompactObjectHeaders")
G1, PARALLEL, COMPACT = "-XX:+UseG1GC", "-XX:+UseParallelGC", "-XX:+UseCompactObjectHeaders"
INITIAL = "-Xms{heap}"


@dataclass(frozen=True)
class Variant:
    """What differs from the base. `log` puts the transaction log into a folder of memory."""

    flags: tuple[str, ...] = (G1,)
    settings: dict[str, str] = field(default_factory=dict)
    heap: str = rig.HEAP
    pagecache: str = rig.PAGECACHE
    log: bool = False


def _set(name: str, value: str) -> Variant:
    return Variant(settings={name: value})


VARIANTS: dict[str, Variant] = {
    BASE: Variant(),
    "heap 512m": Variant(heap="512m"),
    "heap 4g": Variant(heap="4g"),
    "-Xms as large as -Xmx": Variant((G1, INITIAL)),
    "-Xms, AlwaysPreTouch": Variant((G1, INITIAL, "-XX:+AlwaysPreTouch")),
    "compact object headers": Variant((G1, COMPACT)),
    "parallel collector": Variant((PARALLEL,)),
    "parallel collector, -Xms": Variant((PARALLEL, INITIAL)),
    "parallel, -Xms, compact headers": Variant((PARALLEL, INITIAL, COMPACT)),
    "Z collector": Variant(("-XX:+UseZGC",)),
    "page cache 64m": Variant(pagecache="64m"),
    "transaction log in memory": Variant(log=True),
    "transaction log preallocated": _set("db.tx_log.preallocate", "true"),
    "transaction log buffer 4 MB": _set("db.tx_log.buffer.size", "4194304"),
    "checkpoint every 10 s": _set("db.checkpoint.interval.time", "10s"),
    "checkpoint by volume": _set("db.checkpoint", "VOLUME"),
    "no memory tracking": _set("dbms.memory.tracking.enable", "false"),
    "dense nodes from 10 links": _set("db.relationship_grouping_threshold", "10"),
    "parallel index updates": _set("internal.dbms.parallel_index_updates_apply", "true"),
    "16 Bolt threads": _set("server.bolt.thread_pool_max_size", "16"),
    "best, log in memory": Variant((PARALLEL, INITIAL, COMPACT), log=True),
}


def main() -> None:
    """Measure each variant, round by round."""
    question = __doc__.partition("\n")[0]
    options = rig.arguments(
        question, events=(20_000, "events of one load"), only=("", "variants, separated by ;")
    )
    chosen = [name for name in options.only.split(";") if name] or list(VARIANTS)
    lines = data.lines(options.events, options.seed, options.skew)
    found: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        rows = ceiling.prepared(lines, Path(folder))
        for number in range(options.rounds):
            # In a fixed order, whoever comes after the same neighbour has the same advantage.
            turned = chosen if number % 2 == 0 else chosen[::-1]
            for name in dict.fromkeys([BASE, *turned]):
                _measure(name, rows, found)
    figures: dict[str, Any] = {}
    for name in dict.fromkeys([BASE, *chosen]):
        for writers in WRITERS:
            key, base = f"{name}, {writers} writers", f"{BASE}, {writers} writers"
            figures[f"{key} / base"] = rig.ratio(found, key, base)
            figures[f"{key}, p99 in ms"] = round(1000 * rig.median(found, key, "p99"), 1)
    rig.save("server", question, options, measurements=found, figures=figures)


def _measure(name: str, rows: Path, found: dict[str, list[dict[str, Any]]]) -> None:
    """Start a server, warm it, and measure each number of writers once."""
    with _server(VARIANTS[name]) as place:
        ceiling.run(place, rows, max(WRITERS))
        for writers in WRITERS:
            place.wipe()
            one = ceiling.run(place, rows, writers)
            found.setdefault(f"{name}, {writers} writers", []).append(one)
            said = f"{one['rate']:,.0f} posts/s, p99 {1000 * one['p99']:.0f} ms"
            print(f"  {name:34} {writers} writers  {said}", flush=True)


@contextlib.contextmanager
def _server(variant: Variant) -> Iterator[rig.Rig]:
    """Start a server with the flags and settings of a variant."""
    usual = java.flags

    def flags(version: int, heap: str) -> list[str]:
        kept = [one for one in usual(version, heap) if not OURS.match(one)]
        return kept + [one.format(heap=heap) for one in variant.flags]

    with contextlib.ExitStack() as stack:
        settings = dict(variant.settings)
        if variant.log:
            memory = stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm"))
            settings["server.directories.transaction.logs.root"] = memory
        stack.enter_context(mock.patch.object(java, "flags", flags))
        yield stack.enter_context(rig.Rig(settings, variant.heap, variant.pagecache))


if __name__ == "__main__":
    main()
