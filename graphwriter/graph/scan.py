"""What no graph may hold, whatever the events were: found in pages by key, and mended.

Every page is a transaction of its own, and is looked at twice before anything is said of it: a page
that a worker commits into may be seen half-way.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, LiteralString, NamedTuple

from graphwriter.graph.client import Graph, statement

PAGE = 2000  # nodes of one transaction
_FIRST = -(2**63)
SCANS: tuple[tuple[LiteralString, LiteralString, dict[str, Any]], ...] = (
    ("Message", "scan_messages", {"channel": _FIRST, "message": _FIRST}),
    ("ForwardSource", "scan_sources", {"id": "", "type": ""}),
    ("Author", "scan_authors", {"id": "", "type": ""}),
)


class Page(NamedTuple):
    """What a page of nodes of one `label` holds that is wrong; keys as the graph has them.

    `doubled` are posts with more than one link of a kind: (chat, message, [[kind, how many]]).
    `unversioned` are posts of which no event is known. `left` are the keys of what is there still.
    """

    label: str
    nodes: int
    orphans: list[tuple[Any, ...]]
    doubled: list[tuple[Any, ...]]
    unversioned: list[tuple[Any, ...]]
    left: frozenset[tuple[Any, Any]]


def scan(graph: Graph, share: float = 1.0, repair: bool = False) -> Iterator[Page]:
    """Yield every page of the graph, or about a `share` of them; blocks for a page at a time.

    Needs the constraints. `repair` deletes orphans, and of equal links all but one. Raises what
    `Graph.read` and `Graph.write` do.
    """
    for label, name, start in SCANS:
        text, at = statement(name), start
        while True:
            jump = random.uniform(0, 2) * PAGE * (1 / share - 1)  # noqa: S311 - a sample
            where: dict[str, Any] = {**at, "skip": int(jump), "size": PAGE}
            nodes, last, *found = _page(graph, text, where)
            if not nodes:
                break
            if any(found[:2]):
                again = _page(graph, text, where)[2:]
                found[:2] = [_both(*pair) for pair in zip(found[:2], again[:2], strict=True)]
            left = {tuple(key[:2]) for key in found[0] + found[1]}
            if repair and left:
                left &= _mended(graph, found[0], found[1], text, where)
            orphans, doubled, unversioned = found
            yield Page(label, nodes, orphans, doubled, unversioned, frozenset(left))
            at = dict(zip(start, last, strict=True))


def _page(graph: Graph, text: LiteralString, where: dict[str, Any]) -> list[Any]:
    (row,) = graph.rows(text, **where)
    nodes, last, orphans, *more = row
    doubled, unversioned = more or ([], [])
    return [nodes, last, orphans, doubled, unversioned]


def _both(one: list[Any], other: list[Any]) -> list[Any]:
    return [each for each in one if each in other]


def _mended(
    graph: Graph,
    orphans: list[Any],
    doubled: list[Any],
    text: LiteralString,
    where: dict[str, Any],
) -> set[tuple[Any, ...]]:
    """Mend a page, and return the keys of what is wrong on it now."""
    if doubled:
        graph.mend(statement("doubled"), keys=[key[:2] for key in doubled])
    if orphans:
        graph.mend(statement("orphans"), ids=[key[2] for key in orphans])
    _, _, orphans, doubled, _ = _page(graph, text, where)
    return {tuple(key[:2]) for key in orphans + doubled}
