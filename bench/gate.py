"""Does a limit of concurrent writers help, with 1, 2, 4 and 8 workers?

The ceiling's raw loop, with a semaphore around each transaction. A limit across processes
would also cost a round trip to Redis, so what does not help here does not help anywhere.
"""

from __future__ import annotations

import ceiling
import data
import rig

THREADS = (1, 2, 4, 8)
LIMITS = (1, 2)


def main() -> None:
    """Measure threads x limits."""
    question = __doc__.partition("\n")[0]
    options = rig.arguments(question)
    with rig.Rig() as place:
        lines = data.lines(options.events, options.seed, options.skew)
        rows = ceiling.prepared(lines, place.folder)
        contenders = {}
        for threads in THREADS:
            contenders[_name(threads, 0)] = ceiling.contender(place, rows, threads)
            for limit in LIMITS:
                if limit < threads:  # else it limits nothing
                    measure = ceiling.contender(place, rows, threads, limit=limit)
                    contenders[_name(threads, limit)] = measure
        found = rig.interleaved(contenders, options.rounds)
    figures: dict[str, object] = {}
    for threads in THREADS[1:]:
        limited = [_name(threads, limit) for limit in LIMITS if limit < threads]
        best = max(limited, key=lambda name: rig.median(found, name))
        figures[f"{best} / no limit"] = rig.ratio(found, best, _name(threads, 0))
    rates = {name: rig.median(found, name) for name in found}
    rig.save("gate", question, options, measurements=found, rates=rates, figures=figures)


def _name(threads: int, limit: int) -> str:
    return f"{threads} threads, {f'{limit} at once' if limit else 'no limit'}"


if __name__ == "__main__":
    main()
