"""A batch written, and where Neo4j refuses it written in halves until the event is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from graphwriter.errors import TooBig, Unavailable
from graphwriter.events import Event
from graphwriter.graph import Graph, Refused, Taken
from graphwriter.graph.batch import Batch, fold

T = TypeVar("T")  # what an event came as
Pairs = Sequence[tuple[T, Event]]


def settle(
    graph: Graph,
    pairs: Pairs[T],
    batch: Batch,
    with_text: bool,
    *,
    rewrite: bool = False,
    trying: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Pairs[T], frozenset[int] | Refused]]:
    """Write `batch`, which is that of `pairs`; yield what is settled, as soon as it is.

    Each lot comes with the posts that it changed, committed by then, or with why it can never be
    written. Who stops iterating leaves the rest unwritten. `rewrite` is that of `Graph.write`;
    `trying` is called before every transaction.

    Raises:
        Unavailable, ConfigError: as `Graph.write` does; what was not yielded may be written again.
    """
    trying()
    try:
        changed = graph.write(batch, rewrite=rewrite)
    except Taken as error:
        in_vain = [(pair[1].post.post_id, pair[1].address) in error.claims for pair in pairs]
        yield [pair for pair, vain in zip(pairs, in_vain, strict=True) if vain], error
        rests = [[pair for pair, vain in zip(pairs, in_vain, strict=True) if not vain]]
    except (TooBig, Refused) as error:
        if len(pairs) == 1 and isinstance(error, Refused):
            yield pairs, error
            return
        if len(pairs) == 1:
            raise Unavailable(f"{error}; it is one event alone") from None
        middle = len(pairs) // 2
        rests = [list(pairs[:middle]), list(pairs[middle:])]
    else:
        yield pairs, changed
        return
    for rest in filter(None, rests):
        again = fold((event for _, event in rest), with_text)
        yield from settle(graph, rest, again, with_text, rewrite=rewrite, trying=trying)
