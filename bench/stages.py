"""Where does a worker's time go? Read, decode, fold, encode, server, ack, for each event.

One worker's own steps in this process, one after another, over a stream: wall time and processor
time of this process, and memory blocks that a step leaves allocated. `encode` is the driver's
packing alone, which `write` repeats: the rest of `write` is sending, and waiting for the server.
The server's work is counted in db hits by PROFILE, which do not depend on the machine.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import data
import rig
from neo4j._codec.packstream import v1

from graphwriter import events
from graphwriter.graph.batch import fold
from graphwriter.graph.client import statement
from graphwriter.stream import Stream
from graphwriter.worker.runtime import tune

STEPS = ("read", "decode", "fold", "encode", "write", "ack")


def encode(parameters: dict[str, Any]) -> None:
    """Pack the statement's parameters as the driver does before it sends them."""
    driver: Any = v1  # which is the driver's own affair, and has no types
    driver.Packer(driver.PackableBuffer()).pack(parameters)


class Clock:
    """Adds up what each step takes."""

    def __init__(self) -> None:
        self.wall: defaultdict[str, float] = defaultdict(float)
        self.cpu: defaultdict[str, float] = defaultdict(float)
        self.blocks: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time one step."""
        blocks = sys.getallocatedblocks()
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall[name] += time.perf_counter() - wall
        self.cpu[name] += time.process_time() - cpu
        self.blocks[name] += sys.getallocatedblocks() - blocks

    def per_event(self, count: int) -> dict[str, dict[str, float]]:
        """Return microseconds and blocks an event."""
        return {
            name: {
                "wall": round(self.wall[name] / count * 1e6, 2),
                "cpu": round(self.cpu[name] / count * 1e6, 2),
                "blocks": round(self.blocks[name] / count, 2),
            }
            for name in STEPS
        }


def measure(place: rig.Rig, lines: list[bytes], batch: int) -> dict[str, Any]:
    """Run a worker's steps over the stream; return what each took."""
    place.wipe()
    place.fill(lines)
    place.client.rename(rig.FILLED, rig.STREAM)
    stream = Stream(place.valkey.url, rig.STREAM, rig.GROUP, "stages")
    clock = Clock()
    count = 0
    place.graph.write(fold(()))
    tune()
    while True:
        with clock.step("read"):
            entries = stream.read(batch)
        if not entries:
            break
        count += len(entries)
        with clock.step("decode"):
            decoded = [events.decode(entry.fields, 2**50) for entry in entries]
        with clock.step("fold"):
            rows = fold(decoded)
        with clock.step("encode"):
            encode(rows.parameter())
        with clock.step("write"):
            place.graph.write(rows)
        with clock.step("ack"):
            stream.ack(entry.id for entry in entries)
    clock.wall["read"] -= stream.block  # the last one waited for what never came
    stream.close()
    return {"rate": count / sum(clock.wall.values()), "stages": clock.per_event(count)}


def db_hits(place: rig.Rig, lines: list[bytes], batch: int) -> float:
    """Return the db hits of one event in a batch of new posts."""
    place.wipe()
    rows = fold(events.decode({b"data": line}, 2**50) for line in lines[:batch])
    query: Any = "PROFILE " + statement("write")
    done = place.graph.driver.execute_query(query, batch=rows.parameter(), database_="neo4j")
    assert done.summary.profile is not None

    def hits(plan: dict[str, Any]) -> int:
        return int(plan.get("dbHits", 0)) + sum(hits(child) for child in plan.get("children", []))

    return round(hits(done.summary.profile) / batch, 2)


def main() -> None:
    """Measure the stages, and the db hits."""
    question = __doc__.partition("\n")[0]
    options = rig.arguments(question, batch=(1000, "events of a batch"))
    with rig.Rig() as place:
        lines = data.lines(options.events, options.seed, options.skew)
        found = rig.interleaved(
            {"one worker": lambda: measure(place, lines, options.batch)}, options.rounds
        )
        hits = db_hits(place, lines, options.batch)
    figures: dict[str, Any] = {}
    for name in STEPS:
        for kind in ("wall", "cpu", "blocks"):
            values = [one["stages"][name][kind] for one in found["one worker"]]
            figures[f"{name}, {kind} an event"] = statistics.median(values)
    figures["db hits a new post"] = hits
    figures["round trips a batch"] = "3: BEGIN, RUN with PULL, COMMIT"
    rig.save("stages", question, options, measurements=found, figures=figures)


if __name__ == "__main__":
    main()
