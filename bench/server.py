"""Which of Neo4j's own settings matter, and by how much? One at a time.

Each variant is a server of its own, started afresh and warmed by one discarded stream.
"""

from __future__ import annotations

import statistics
from typing import Any
from unittest import mock

import data
import pipeline
import rig

from graphwriter.embedded import java

G1 = "-XX:+UseG1GC"
VARIANTS: dict[str, dict[str, Any]] = {
    "as the bench": {},
    "heap 512m": {"heap": "512m"},
    "heap 4g": {"heap": "4g"},
    "page cache 64m": {"pagecache": "64m"},
    "parallel collector": {"collector": "-XX:+UseParallelGC"},
    "Z collector": {"collector": "-XX:+UseZGC"},
    "checkpoint every 10 s": {"settings": {"db.checkpoint.interval.time": "10s"}},
    "transaction log preallocated": {"settings": {"db.tx_log.preallocate": "true"}},
    "transaction log buffer 4 MB": {"settings": {"db.tx_log.buffer.size": "4194304"}},
    "16 Bolt threads": {"settings": {"server.bolt.thread_pool_max_size": "16"}},
}


def main() -> None:
    """Measure each variant against the bench's own, round by round."""
    question = __doc__.partition("\n")[0]
    options = rig.arguments(question, workers=(2, "workers"), rounds=(3, "rounds"))
    lines = data.lines(options.events, options.seed, options.skew)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in VARIANTS}
    for _ in range(options.rounds):
        for name, variant in VARIANTS.items():
            rest = {key: value for key, value in variant.items() if key != "collector"}
            with _collected_by(variant.get("collector", G1)), rig.Rig(**rest) as place:
                measure = pipeline.contender(place, lines, options.workers)
                measure()  # the Java machine warms up
                runs = [measure() for _ in range(3)]
            found[name].append({"rate": statistics.median(one["rate"] for one in runs)})
            print(f"  {name:34} {found[name][-1]['rate']:,.0f} events/s", flush=True)
    figures = {f"{name} / as the bench": rig.ratio(found, name, "as the bench") for name in found}
    rig.save("server", question, options, measurements=found, figures=figures)


def _collected_by(flag: str) -> Any:
    """Start Java machines with another garbage collector than the embedded server's own."""
    usual = java.flags

    def flags(version: int, heap: str) -> list[str]:
        return [flag if one == G1 else one for one in usual(version, heap)]

    return mock.patch.object(java, "flags", flags)


if __name__ == "__main__":
    main()
