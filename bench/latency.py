"""How long from XADD to commit, at a steady rate, beside one raw write transaction?

A publisher in this process adds events at the rate, by the clock and not by the answers; a
watcher notes when the group has acknowledged them, which is after the commit. The raw figure is
one event's rows in a transaction of the driver's own, one after another, on the same server before
and after.
"""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable
from typing import Any

import ceiling
import data
import rig

RATES = "10,100,500,1000,2000"
SINGLE = 100  # raw transactions before, and as many after
PAUSE = 0.002  # seconds between two looks: the watcher must leave the processor to the watched


def quantiles(seconds: list[float]) -> dict[str, float]:
    """Return p50, p95 and p99 in milliseconds."""
    cut = statistics.quantiles(seconds, n=100)
    return {f"p{q}": round(cut[q - 1] * 1000, 2) for q in (50, 95, 99)}


def raw(place: rig.Rig, lines: list[bytes]) -> list[float]:
    """Return the seconds of single write transactions, each of one event."""
    took = []
    for batch in ceiling.batches(lines, 1):
        start = time.perf_counter()
        place.graph.write(batch)
        took.append(time.perf_counter() - start)
    return took


def steady(place: rig.Rig, lines: list[bytes], rate: int) -> list[float]:
    """Return each event's seconds from being added to being acknowledged."""
    start = time.perf_counter()
    waiting: dict[bytes, float] = {}  # id -> when it was added
    took: list[float] = []
    added = 0
    while len(took) < len(lines):
        now = time.perf_counter()
        due = min(len(lines), int((now - start) * rate) + 1)
        if due > added:
            pipe = place.client.pipeline(transaction=False)
            for line in lines[added:due]:
                pipe.xadd(rig.STREAM, {"data": line})
            moment = time.perf_counter()
            waiting |= dict.fromkeys(pipe.execute(), moment)
            added = due
        reached, pending = look(place)
        now = time.perf_counter()
        written = [key for key in waiting if _id(key) <= reached and key not in pending]
        took += [now - waiting.pop(key) for key in written]
        time.sleep(PAUSE)
    return took


def look(place: rig.Rig) -> tuple[tuple[int, ...], set[bytes]]:
    """Return the last id that was delivered, and which ids are not acknowledged, of one moment."""
    pipe = place.client.pipeline(transaction=True)
    pipe.xinfo_groups(rig.STREAM)
    pipe.xpending_range(rig.STREAM, rig.GROUP, "-", "+", 100_000)
    (group,), pending = pipe.execute()
    return _id(group["last-delivered-id"]), {one["message_id"] for one in pending}


def _id(raw_id: bytes) -> tuple[int, ...]:
    return tuple(map(int, raw_id.split(b"-")))


def contender(
    place: rig.Rig, lines: list[bytes], rate: int, workers: int
) -> Callable[[], dict[str, Any]]:
    """Return a measurement at one rate."""

    def measure() -> dict[str, Any]:
        place.wipe()
        place.client.xgroup_create(rig.STREAM, rig.GROUP, id="0", mkstream=True)
        environ = place.environ(place.folder / "run")
        processes = [
            subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)
            for command in rig.workers(workers)
        ]
        try:
            while place.reading() < workers:
                time.sleep(0.01)
            before = raw(place, lines[:SINGLE])
            found = steady(place, lines[SINGLE:-SINGLE], rate)
            after = raw(place, lines[-SINGLE:])
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(60)
        return {"pipeline": quantiles(found), "raw": quantiles(before + after)}

    return measure


def main() -> None:
    """Measure every rate."""
    question = __doc__.partition("\n")[0]
    options = rig.arguments(
        question,
        events=None,
        rates=(RATES, "events a second, with commas"),
        seconds=(10, "seconds at each rate, and 200 events at least"),
        workers=(2, "workers"),
    )
    rates = [int(rate) for rate in options.rates.split(",")]
    most = max(200, max(rates) * options.seconds) + 2 * SINGLE
    with rig.Rig() as place:
        lines = data.lines(most, options.seed, options.skew)
        contenders = {}
        for rate in rates:
            part = lines[: max(200, rate * options.seconds) + 2 * SINGLE]
            contenders[f"{rate} events/s"] = contender(place, part, rate, options.workers)
        rig.interleaved({"warm": contenders[f"{max(rates)} events/s"]}, 0)
        found = rig.interleaved(contenders, options.rounds, discard=0)
    figures: dict[str, Any] = {}
    for name, runs in found.items():
        for kind in ("pipeline", "raw"):
            for q in ("p50", "p95", "p99"):
                value = statistics.median(one[kind][q] for one in runs)
                figures[f"{name}, {kind}, {q}, ms"] = value
    if "500 events/s" in found:
        for q in ("p50", "p99"):
            figures[f"{q} at 500 events/s / {q} of a raw transaction"] = round(
                statistics.median(
                    one["pipeline"][q] / one["raw"][q] for one in found["500 events/s"]
                ),
                2,
            )
    rig.save("latency", question, options, measurements=found, figures=figures)


if __name__ == "__main__":
    main()
