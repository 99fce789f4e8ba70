"""The state of posts in the graph, and the deletion of links without an event."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from graphwriter.events import Address, Endpoint
from graphwriter.graph.client import Graph, statement
from graphwriter.keep import NOTHING, Keep


class PostState(NamedTuple):
    """A post in the graph. Links are lists, since a damaged graph may have too many.

    The end of a link is None if it is a node with an unexpected label. `post` has the values of
    `events.Post` after the version; `versions` are in the order of `events.Event`.
    """

    is_post: bool
    versions: tuple[Any, ...]  # of the six facets: integers or None, unless somebody changed them
    post: tuple[Any, ...]
    # date in microseconds, message id, name
    sources: Sequence[tuple[Endpoint | None, Any, Any, Any]]
    targets: Sequence[Address | None]
    replies: Sequence[tuple[Address | None, Any]]  # thread id
    authors: Sequence[tuple[Endpoint | None, Any]]  # signature
    links: Sequence[tuple[Address | str | None, Any]]  # URL as the event has it
    links_count: Any
    media: Sequence[str | None]


def read(
    graph: Graph, addresses: Iterable[Address], text: bool = False
) -> dict[Address, PostState]:
    """Return the state of each address that has a node, with one statement.

    Needs the constraint on :Message; without it every address is a scan of the graph. Raises
    Unavailable, ConfigError, or TooBig if it takes longer than one transaction may.
    """
    rows = graph.rows(statement("state"), wanted={"keys": sorted(addresses), "text": text})
    return {
        (key[0], key[1]): PostState(
            is_post,
            tuple(versions),
            tuple(values),
            [(_end(end), *more) for end, *more in sources],
            [_end(end) for end in targets],
            [(_end(end), thread) for end, thread in replies],
            [(_end(end), signature) for end, signature in authors],
            [(end if isinstance(end, str) else _end(end), url) for end, url in links],
            *rest,
        )
        for key, is_post, versions, values, sources, targets, replies, authors, links, *rest in rows
    }


def unlink(graph: Graph, addresses: Iterable[Address], keep: Keep = NOTHING) -> None:
    """Delete the links of these posts that have no event; raises as `Graph.write`.

    Types that are not kept are another service's, and stay.
    """
    ends = graph.run(
        statement("unsaid"), keys=sorted(addresses), links=keep.links, media=keep.media
    )
    if ends:
        graph.run(statement("orphans"), ids=[row["id"] for row in ends])


def _end(key: list[Any] | None) -> Any:
    return None if key is None else tuple(key)
