"""How fast are the workers? Stream to graph through real worker processes, beside the ceiling.

Workers x batch size x skew; first write, replay of a written stream, and a stream with edits. With
--enrich instead: what links, media, albums, texts and the indexes for questions cost two workers.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import ceiling
import data
import rig

from graphwriter.graph import schema

WORKERS = (1, 2, 4, 8)


def contender(
    place: rig.Rig,
    lines: list[bytes],
    workers: int,
    batch: int | None = None,
    environ: dict[str, str] | None = None,
) -> Callable[[], dict[str, Any]]:
    """Return a measurement of the pipeline's first write."""

    def measure() -> dict[str, Any]:
        place.wipe()
        place.fill(lines)
        return place.race(rig.workers(workers, batch), environ)

    return measure


def replay(place: rig.Rig, lines: list[bytes], workers: int) -> Callable[[], dict[str, Any]]:
    """Return a measurement of writing what the measurement before has written."""

    def measure() -> dict[str, Any]:
        place.fill(lines)
        return place.race(rig.workers(workers))

    return measure


def _retries(runs: list[dict[str, Any]]) -> float:
    retries, batches = (sum(run[key] for run in runs) for key in ("retries", "batches"))
    return float(round(1000 * retries / batches, 2))


def indexed(
    place: rig.Rig, measure: Callable[[], dict[str, Any]], *, fulltext: bool = False
) -> Callable[[], dict[str, Any]]:
    """Return the measurement with the indexes for questions, which are dropped after it."""

    def with_indexes() -> dict[str, Any]:
        place.wipe()
        if fulltext:
            schema.apply_fulltext(place.graph, "standard-no-stop-words")
        else:
            schema.apply_reading(place.graph)
        try:
            return measure()
        finally:
            for name in schema.reading(place.graph):
                place.graph.run(f"DROP INDEX {name}")

    return with_indexes


def enriched(options: argparse.Namespace) -> dict[str, Any]:
    """Measure what else two workers can keep of a post, and relate it to a plain run."""
    texts = {"GRAPH_WRITER_TEXT": "true"}
    links = {"GRAPH_WRITER_ENRICH": "links"}
    most = {"GRAPH_WRITER_ENRICH": "links,media,albums"}
    with rig.Rig() as place:
        lines = data.lines(options.events, options.seed, options.skew, rich=True)
        plain = contender(place, lines, 2)
        told = contender(place, lines, 2, environ=texts)
        contenders = {
            "plain": plain,
            "links": contender(place, lines, 2, environ=links),
            "links, media, albums": contender(place, lines, 2, environ=most),
            "indexes of --read": indexed(place, plain),
            "texts": told,
            "texts, index of --fulltext": indexed(place, told, fulltext=True),
        }
        found = rig.interleaved(contenders, options.rounds)
    figures = {
        f"{name} / plain": rig.ratio(found, name, "plain") for name in contenders if name != "plain"
    } | {
        "texts, index of --fulltext / texts": rig.ratio(
            found, "texts, index of --fulltext", "texts"
        )
    }
    return {
        "measurements": found,
        "rates": {name: rig.median(found, name) for name in contenders},
        "figures": figures,
    }


def main() -> None:
    """Measure, and relate the pipeline to the ceiling."""
    question = __doc__.partition("\n")[0]
    options = rig.arguments(
        question,
        batches=("", "batch sizes, such as 250,1000,4000"),
        enrich=(False, "measure what else is kept of a post, and the indexes, instead"),
    )
    if options.enrich:
        rig.save(
            "enrich",
            "What do links, media, albums, texts and indexes cost?",
            options,
            **enriched(options),
        )
        return
    sizes = [int(size) for size in options.batches.split(",") if size]
    with rig.Rig() as place:
        lines = data.lines(options.events, options.seed, options.skew)
        edited = data.lines(options.events, options.seed, options.skew, edits=0.3)
        rows = ceiling.prepared(lines, place.folder)
        contenders = {f"ceiling, {n} threads": ceiling.contender(place, rows, n) for n in (1, 2, 4)}
        contenders |= {f"{n} workers": contender(place, lines, n) for n in WORKERS}
        contenders["replay, 2 workers"] = replay(place, lines, 2)
        contenders |= {f"edits, {n} workers": contender(place, edited, n) for n in (2, 4, 8)}
        contenders |= {f"2 workers, batch {n}": contender(place, lines, 2, n) for n in sizes}
        for skew in (0.0, 1.5):
            skewed = data.lines(options.events, options.seed, skew)
            contenders[f"2 workers, skew {skew}"] = contender(place, skewed, 2)
        found = rig.interleaved(contenders, options.rounds)
    rates = {name: rig.median(found, name) for name in contenders}
    ceilings = [f"ceiling, {n} threads" for n in (1, 2, 4)]
    best = max(ceilings, key=rates.__getitem__)
    pool = max((f"{n} workers" for n in WORKERS), key=rates.__getitem__)
    few = max((f"{n} workers" for n in (1, 2, 4)), key=rates.__getitem__)
    figures = {
        "best workers": pool,
        "pipeline at its best / ceiling at its best": rig.ratio(found, pool, best),
        "one worker / ceiling with one thread": rig.ratio(found, "1 workers", ceilings[0]),
        "2 workers / 1 worker": rig.ratio(found, "2 workers", "1 workers"),
        "8 workers / best of 1, 2, 4": rig.ratio(found, "8 workers", few),
        "replay / first write": rig.ratio(found, "replay, 2 workers", "2 workers"),
        "edits, 8 workers / best of 2, 4": rig.ratio(
            found,
            "edits, 8 workers",
            max(("edits, 2 workers", "edits, 4 workers"), key=rates.__getitem__),
        ),
        "retries per 1,000 batches, 8 workers": _retries(found["8 workers"]),
        "retries per 1,000 batches, 8 workers, 30 % edits": _retries(found["edits, 8 workers"]),
        "worker's CPU, microseconds an event": rig.median(found, "2 workers", "cpu"),
        "driver's CPU in the raw loop": rig.median(found, ceilings[0], "cpu"),
        "resident bytes of a worker": rig.median(found, "2 workers", "resident"),
    }
    rig.save("pipeline", question, options, measurements=found, rates=rates, figures=figures)


if __name__ == "__main__":
    main()
