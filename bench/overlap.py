"""How much do writers wait for each other? The raw loop, by number of writers and order of locks.

Three kinds of batches with the same work: in stream order, where a batch replies to the batch
before it, with all locks in one order; the same with shared nodes last, as workers write them; and
batches of which no two that are written at once have a node in common: the most that can be gained.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import ceiling
import data
import orjson
import rig

WRITERS = (1, 2, 4, 8)
APART = 3 * 10**8  # between the ids of two parts
KINDS = ("one order", "shared last", "disjoint")
PEERS = ("forward_from_peer_id", "author_peer_id")


def part(number: int, count: int, skew: float) -> Iterator[bytes]:
    """Yield events that have no chat, source or author of another part."""
    for event in data.events(count, 1 + number, skew):
        for peer in filter(None, map(event.get, PEERS)):
            peer.update({kind: bare + number * APART for kind, bare in peer.items()})
        event["tg_channel_id"] -= number * APART
        if event["forward_from_chat_id"]:
            event["forward_from_chat_id"] -= number * APART
        if event["forward_from_name"] and not event["forward_from_peer_id"]:
            event["forward_from_name"] += f" {number}"
        yield orjson.dumps(event)


def batches(kind: str, options: Any) -> list[dict[str, Any]]:
    """Return the parameters of one load."""
    if kind == "disjoint":
        count = options.events // max(WRITERS)
        parts = [
            ceiling.batches(list(part(number, count, options.skew)))
            for number in range(max(WRITERS))
        ]
        return [batch.parameter() for turn in zip(*parts, strict=True) for batch in turn]
    made = ceiling.batches(data.lines(options.events, options.seed, options.skew))
    if kind == "one order":
        return [batch.in_one_order()[0].parameter() for batch in made]
    return [batch.parameter() for batch in made]


def main() -> None:
    """Measure, and relate everything to one order with as many writers."""
    question = __doc__.partition("\n")[0]
    options = rig.arguments(question)
    with rig.Rig() as place:
        contenders = {}
        for kind in KINDS:
            rows = place.folder / f"{kind}.pickle"
            rows.write_bytes(pickle.dumps(batches(kind, options)))
            for writers in WRITERS:
                name = f"{kind}, {writers} writers"
                contenders[name] = ceiling.contender(place, rows, writers)
        found = rig.interleaved(contenders, options.rounds)
    figures: dict[str, Any] = {}
    for writers in WRITERS:
        for kind in KINDS[1:]:
            names = f"{kind}, {writers} writers", f"{KINDS[0]}, {writers} writers"
            figures[" / ".join(names)] = rig.ratio(found, *names)
        for kind in KINDS[:2]:
            name = f"{kind}, {writers} writers"
            figures[f"{name}, retries"] = sum(one["retries"] for one in found[name])
    rates = {name: rig.median(found, name) for name in contenders}
    rig.save("overlap", question, options, measurements=found, rates=rates, figures=figures)


if __name__ == "__main__":
    main()
