"""Write a batch; if Neo4j refuses it, write halves until the bad event is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from graphwriter.errors import TooBig, Unavailable
from graphwriter.events import Event
from graphwriter.graph import Graph, Refused, Taken
from graphwriter.graph.batch import Batch, fold
from graphwriter.keep import Keep

T = TypeVar("T")  # an entry or a row that an event was decoded from
Pairs = Sequence[tuple[T, Event]]


def write_halving(
    graph: Graph,
    pairs: Pairs[T],
    batch: Batch,
    keep: Keep,
    *,
    rewrite: bool = False,
    trying: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Pairs[T], frozenset[int] | Refused]]:
    """Write `batch`, the rows of `pairs`; yield groups of pairs as soon as their outcome is known.

    A group comes with the positions of the posts that it changed, which are committed, or with the
    reason why it can never be written. Stopping the iteration leaves the rest unwritten. `rewrite`
    is passed to `Graph.write`; `trying` is called before every transaction.

    Raises:
        Unavailable, ConfigError: as `Graph.write`; pairs that were not yielded can be retried.
    """
    trying()
    try:
        changed = graph.write(batch, rewrite=rewrite)
    except Taken as error:
        refused = [(pair[1].post.post_id, pair[1].address) in error.claims for pair in pairs]
        yield [pair for pair, taken in zip(pairs, refused, strict=True) if taken], error
        rests = [[pair for pair, taken in zip(pairs, refused, strict=True) if not taken]]
    except (TooBig, Refused) as error:
        if len(pairs) == 1 and isinstance(error, Refused):
            yield pairs, error
            return
        if len(pairs) == 1:
            raise Unavailable(f"{error}; the batch is a single event") from None
        middle = len(pairs) // 2
        rests = [list(pairs[:middle]), list(pairs[middle:])]
    else:
        yield pairs, changed
        return
    for rest in filter(None, rests):
        again = fold((event for _, event in rest), keep)
        yield from write_halving(graph, rest, again, keep, rewrite=rewrite, trying=trying)
