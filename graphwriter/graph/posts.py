"""What the graph holds of some posts, and what it holds too much."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from graphwriter.events import Address, Endpoint
from graphwriter.graph.client import Graph, statement


class PostState(NamedTuple):
    """A post as the graph holds it: links as lists, since a broken graph may have too many.

    The end of a link is None where it is a node of another kind. `post` has the values of
    `events.Post` after its version; `versions` those of the four facets.
    """

    is_post: bool
    versions: tuple[Any, Any, Any, Any]  # None, or an integer if people left them alone
    post: tuple[Any, ...]
    # date in microseconds, message id, name
    sources: Sequence[tuple[Endpoint | None, Any, Any, Any]]
    targets: Sequence[Address | None]
    replies: Sequence[tuple[Address | None, Any]]  # thread id
    authors: Sequence[tuple[Endpoint | None, Any]]  # signature


_STATE = statement("state")


def read(
    graph: Graph, addresses: Iterable[Address], text: bool = False
) -> dict[Address, PostState]:
    """Return what the graph holds of each address that has a node, by one statement.

    Needs the constraint on :Message, or every address is a walk through the graph. Raises
    Unavailable, ConfigError, or TooBig where it takes longer than one transaction may.
    """
    found = graph.rows(_STATE, wanted={"keys": sorted(addresses), "text": text})
    return {
        (key[0], key[1]): PostState(
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
