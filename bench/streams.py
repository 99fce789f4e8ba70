"""What do several streams cost a pool? Two and eight on one server beside one, by workers, skew.

They do not make Neo4j faster: the answer says what a pool pays for them, and what an uneven split
by chat does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import data
import pipeline
import rig

from graphwriter import partitions

WORKERS, SKEWS = (2, 4), (1.1, 1.5)
SETTINGS = {
    "1 stream": rig.STREAM,
    "2 streams": f"{rig.STREAM}:{{0..1}}",
    "8 streams": f"{rig.STREAM}:{{0..7}}",
}


def contender(
    place: rig.Rig, lines: list[bytes], workers: int, setting: str
) -> Callable[[], dict[str, Any]]:
    """Return a measurement of the first write of what is split over the streams of `setting`."""
    one = pipeline.contender(place, lines, workers, environ={"GRAPH_WRITER_STREAM": setting})

    def measure() -> dict[str, Any]:
        place.streams = partitions.names(setting)
        return one()

    return measure


def largest_share(lines: list[bytes], setting: str) -> float:
    """Return the share of the stream with most events."""
    streams = partitions.names(setting)
    found = [partitions.of(streams, {b"data": line}) for line in lines]
    return round(max(map(found.count, streams)) / len(found), 3)


def main() -> None:
    """Measure, and relate several streams to one."""
    question = "What do several streams cost a pool?"
    options = rig.arguments(question, skew=None)
    figures: dict[str, Any] = {}
    with rig.Rig() as place:
        contenders = {}
        for skew in SKEWS:
            lines = data.lines(options.events, options.seed, skew)
            for workers in WORKERS:
                for name, setting in SETTINGS.items():
                    contenders[f"{name}, {workers} workers, skew {skew}"] = contender(
                        place, lines, workers, setting
                    )
            figures |= {
                f"largest share of {name}, skew {skew}": largest_share(lines, setting)
                for name, setting in SETTINGS.items()
                if name != "1 stream"
            }
        found = rig.interleaved(contenders, options.rounds)
    for skew in SKEWS:
        for workers in WORKERS:
            where = f"{workers} workers, skew {skew}"
            for name in ("2 streams", "8 streams"):
                ratio = rig.ratio(found, f"{name}, {where}", f"1 stream, {where}")
                figures[f"{name} / 1 stream, {where}"] = ratio
            for name in SETTINGS:
                cpu = rig.median(found, f"{name}, {where}", "cpu")
                figures[f"{name}, {where}: CPU of workers, microseconds an event"] = cpu
    rates = {name: rig.median(found, name) for name in contenders}
    rig.save("streams", question, options, measurements=found, rates=rates, figures=figures)


if __name__ == "__main__":
    main()
