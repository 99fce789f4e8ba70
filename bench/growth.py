"""Does it slow down as the graph grows? From empty to millions of posts, in one go.

Each step writes the next part of one long stream through workers; nothing is wiped in between. The
store on disk is measured empty and in the end, after a checkpoint, without the transaction log.
"""

from __future__ import annotations

import itertools
import sys

import data
import orjson
import rig

from graphwriter.graph import info

RECORD = 41  # bytes of a property record in the community's store format


def store(place: rig.Rig) -> dict[str, int]:
    """Stop Neo4j, which writes a checkpoint, and return its files' bytes by what they hold."""
    place.graph.close()
    place.neo4j.stop()
    folder = place.folder / "neo4j" / "data" / "databases" / "neo4j"
    found = {"indexes": 0, "properties": 0, "others": 0}
    for file in folder.rglob("*"):
        if file.is_file():
            if file.relative_to(folder).parts[0] == "schema":
                kind = "indexes"
            else:
                kind = "properties" if file.name == "neostore.propertystore.db" else "others"
            found[kind] += file.stat().st_size
    return found


def main() -> None:
    """Write the stream in steps, and relate the last to the first that was warm."""
    question = __doc__.partition("\n")[0]
    options = rig.arguments(
        question,
        events=(2_000_000, "posts in the end"),
        step=(50_000, "events of one measurement"),
        workers=(2, "workers"),
    )
    if options.events < 2 * options.step:
        sys.exit("--events has to be at least twice --step")
    steps = []
    with rig.Rig() as place:
        empty = store(place)
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
        counts, full = place.counts(), store(place)
    tenth = max(1, len(steps) // 20)
    early = sorted(step["rate"] for step in steps[1 : 2 + tenth])
    late = sorted(step["rate"] for step in steps[-1 - tenth :])
    each = {kind: (full[kind] - empty[kind]) / counts["Post"] for kind in full}
    figures = {
        f"at {options.events:,} posts / at {options.step:,}": round(
            late[len(late) // 2] / early[len(early) // 2], 3
        ),
        "bytes a post on disk": round(sum(each.values())),
        "of which indexes": round(each["indexes"]),
        "property records a post": round(each["properties"] / RECORD, 2),
        "relationships a post": round(sum(counts[link] for link in info.LINKS) / counts["Post"], 2),
        "nodes a post": round(sum(counts[x] for x in info.LABELS[1:]) / counts["Post"], 2),
    }
    rig.save("growth", question, options, steps=steps, counts=counts, store=full, figures=figures)


if __name__ == "__main__":
    main()
