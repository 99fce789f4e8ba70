"""Does it slow down as the graph grows? From empty to millions of posts, in one go.

Each step writes the next part of one long stream through workers; nothing is wiped in between.
"""

from __future__ import annotations

import itertools

import data
import orjson
import rig


def main() -> None:
    """Write the stream in steps, and relate the last to the first that was warm."""
    question = __doc__.partition("\n")[0]
    options = rig.arguments(
        question,
        events=(2_000_000, "posts in the end"),
        step=(50_000, "events of one measurement"),
        workers=(2, "workers"),
    )
    steps = []
    with rig.Rig() as place:
        stream = data.events(options.events, options.seed, options.skew)
        for number in itertools.count(1):
            lines = [orjson.dumps(one) for one in itertools.islice(stream, options.step)]
            if not lines:
                break
            place.client.flushdb()
            place.fill(lines)
            found = place.race(rig.workers(options.workers))
            steps.append({"posts": number * options.step, **found})
            print(
                f"  {number * options.step:>10,} posts {found['rate']:>10,.0f} events/s", flush=True
            )
        counts = place.counts()
    tenth = max(1, len(steps) // 20)
    early = sorted(step["rate"] for step in steps[1 : 2 + tenth])
    late = sorted(step["rate"] for step in steps[-1 - tenth :])
    figures = {
        f"at {options.events:,} posts / at {options.step:,}": round(
            late[len(late) // 2] / early[len(early) // 2], 3
        )
    }
    rig.save("growth", question, options, steps=steps, counts=counts, figures=figures)


if __name__ == "__main__":
    main()
