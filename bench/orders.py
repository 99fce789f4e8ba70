"""Does it matter in which order events come? Stream order, shuffled, and newest first.

Locks and the page cache see them differently; a backfill often comes newest first.
"""

from __future__ import annotations

import data
import pipeline
import rig


def main() -> None:
    """Measure the three orders, with edits in them."""
    question = __doc__.partition("\n")[0]
    options = rig.arguments(question, workers=(2, "workers"), edits=(0.1, "share of edits"))
    with rig.Rig() as place:
        found = rig.interleaved(
            {
                order: pipeline.contender(
                    place,
                    data.lines(options.events, options.seed, options.skew, options.edits, order),
                    options.workers,
                )
                for order in data.ORDERS
            },
            options.rounds,
        )
    figures = {
        f"{order} / stream": rig.ratio(found, order, data.ORDERS[0]) for order in data.ORDERS[1:]
    }
    rig.save("orders", question, options, measurements=found, figures=figures)


if __name__ == "__main__":
    main()
