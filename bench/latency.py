"""How long from XADD to commit, at a steady rate, beside one raw write transaction?

A publisher in this process adds events at the rate, by the clock and not by the answers; a
watcher notes when the group has acknowledged them, which is after the commit: the entry's own id
tells when it was added. The raw figure is one event's rows in a transaction of the driver's own,
one after another, on the same server before and after.
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

RATES = (10, 100, 500, 1000, 2000)


def quantiles(seconds: list[float]) -> dict[str, float]:
    """Return p50, p95 and p99 in milliseconds."""
    cut = statistics.quantiles(seconds, n=100)
    return {f"p{q}": round(cut[q - 1] * 1000, 2) for q in (50, 95, 99)}


def raw(place: rig.Rig, lines: list[bytes], number: int = 300) -> list[float]:
    """Return the seconds of single write transactions, each of one event."""
    took = []
    for batch in ceiling.batches(lines[:number], 1):
        start = time.perf_counter()
        place.graph.write(batch)
        took.append(time.perf_counter() - start)
    return took


def steady(place: rig.Rig, lines: list[bytes], rate: int) -> list[float]:
    """Return each event's seconds from being added to being acknowledged."""
    start = time.perf_counter()
    added: list[tuple[bytes, float]] = []
    took: list[float] = []
    done = 0
    while done < len(lines):
        now = time.perf_counter()
        due = min(len(lines), int((now - start) * rate) + 1)
        if due > len(added):
            pipe = place.client.pipeline(transaction=False)
            for line in lines[len(added) : due]:
                pipe.xadd(rig.STREAM, {"data": line})
            moment = time.perf_counter()
            added += [(key, moment) for key in pipe.execute()]
        waiting = place.client.xpending(rig.STREAM, rig.GROUP)
        (group,) = place.client.xinfo_groups(rig.STREAM)
        now = time.perf_counter()
        # What lies before both the oldest pending and what was delivered is written.
        reached = _id(group["last-delivered-id"])
        oldest = _id(waiting["min"]) if waiting["min"] else None
        while done < len(added):
            key = _id(added[done][0])
            if key > reached or (oldest is not None and key >= oldest):
                break
            took.append(now - added[done][1])
            done += 1
        time.sleep(0.0005)
    return took


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
            before = raw(place, lines)
            found = steady(place, lines[300 : 300 + max(200, rate * 10)], rate)
            after = raw(place, lines[-300:])
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
    options = rig.arguments(question, workers=(2, "workers"))
    with rig.Rig() as place:
        lines = data.lines(max(RATES) * 10 + 1000, options.seed, options.skew)
        found = rig.interleaved(
            {f"{rate} events/s": contender(place, lines, rate, options.workers) for rate in RATES},
            options.rounds,
        )
    figures: dict[str, Any] = {}
    for name, runs in found.items():
        for q in ("p50", "p95", "p99"):
            figures[f"{name}, {q}, ms"] = statistics.median(one["pipeline"][q] for one in runs)
    figures["p99 at 500 events/s / p99 of a raw transaction"] = round(
        statistics.median(
            one["pipeline"]["p99"] / one["raw"]["p99"] for one in found["500 events/s"]
        ),
        2,
    )
    rig.save("latency", question, options, measurements=found, figures=figures)


if __name__ == "__main__":
    main()
