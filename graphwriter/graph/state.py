"""What the graph holds of some posts, in the shapes of `judge`, and what it holds too much."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from graphwriter.events import Address
from graphwriter.graph.client import Graph, statement
from graphwriter.judge import Held

_STATE = statement("state")


def read(graph: Graph, addresses: Iterable[Address], text: bool = False) -> dict[Address, Held]:
    """Return what the graph holds of each address that has a node, by one statement.

    Needs the constraint on :Message, or every address is a walk through the graph. Raises
    Unavailable, ConfigError, or TooBig where it takes longer than one transaction may.
    """
    found = graph.rows(_STATE, wanted={"keys": sorted(addresses), "text": text})
    return {
        (key[0], key[1]): Held(
            is_post,
            tuple(versions),
            tuple(values),
            [(_end(end), *more) for end, *more in sources],
            [_end(end) for end in targets],
            [(_end(end), thread) for end, thread in replies],
            [(_end(end), signature) for end, signature in authors],
        )
        for key, is_post, versions, values, sources, targets, replies, authors in found
    }


def unlink(graph: Graph, addresses: Iterable[Address]) -> None:
    """Delete the links of these posts that no event said; raises what `Graph.write` does."""
    ends = graph.mend(statement("unsaid"), keys=sorted(addresses))
    if ends:
        graph.mend(statement("orphans"), ids=[row["id"] for row in ends])


def _end(key: list[Any] | None) -> Any:
    return None if key is None else tuple(key)
