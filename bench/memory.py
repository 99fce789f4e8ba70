"""How much memory does a worker take, by batch size and by the size of an event?

Resident size at the end of a stream that it wrote alone. And what an entry takes in Redis.
"""

from __future__ import annotations

from typing import Any

import data
import orjson
import pipeline
import rig

SIZES = (100, 1000, 4000)
TEXTS = (0, 4_000)  # characters of text in every event


def main() -> None:
    """Measure batch sizes x event sizes."""
    question = __doc__.partition("\n")[0]
    options = rig.arguments(question, events=(20_000, "events of one measurement"))
    with rig.Rig() as place:
        contenders = {}
        entries = {}
        for text in TEXTS:
            lines = [
                orjson.dumps({**event, "text": "x" * text})
                for event in data.events(options.events, options.seed, options.skew)
            ]
            for batch in SIZES:
                contenders[f"batch {batch}, text {text}"] = pipeline.contender(
                    place, lines, 1, batch
                )
            place.fill(lines)
            size = sum(map(len, lines)) / len(lines)
            held = place.client.memory_usage(rig.FILLED, samples=0) / len(lines)
            entries[f"bytes of an event, text {text}"] = round(size)
            entries[f"bytes of its entry in Redis, text {text}"] = round(held)
        found = rig.interleaved(contenders, options.rounds, discard=0)
    figures: dict[str, Any] = {
        f"{name}, MB": round(rig.median(found, name, "resident") / 1e6, 1) for name in contenders
    }
    figures |= entries
    rig.save("memory", question, options, measurements=found, figures=figures)


if __name__ == "__main__":
    main()
