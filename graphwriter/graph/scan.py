"""What no graph may hold, whatever the events were: found in pages by key, and mended.

Every page is a transaction of its own, and is looked at twice before anything is said of it: a page
that a worker commits into may be seen half-way.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, LiteralString, NamedTuple

from graphwriter.events import day
from graphwriter.graph import posts
from graphwriter.graph.client import Graph, statement

PAGE = 2000  # nodes of one transaction
_FIRST = -(2**63)
SCANS: tuple[tuple[LiteralString, LiteralString, dict[str, Any]], ...] = (
    ("Message", "scan_messages", {"channel": _FIRST, "message": _FIRST}),
    ("ForwardSource", "scan_sources", {"id": "", "type": ""}),
    ("Author", "scan_authors", {"id": "", "type": ""}),
)
_Row = list[Any]  # a key's two parts, the facet or "", and more, as the statements say


class Wrong(NamedTuple):
    """What is wrong on a page."""

    orphans: list[_Row]
    impossible: list[_Row]
    doubled: list[_Row]
    unsaid: list[_Row]


class Page(NamedTuple):
    """A page of nodes of one `label`: how many, and how many posts no event is known of.

    `wrong` is what no graph may hold, `left` what of it is there still.
    """

    label: str
    nodes: int
    unversioned: int
    wrong: Wrong
    left: Wrong


def scan(graph: Graph, latest: int, share: float = 1.0, repair: bool = False) -> Iterator[Page]:
    """Yield every page of the graph, or about a `share` of them; blocks for a page at a time.

    Needs the constraints. No event can have a version above `latest`. `repair` deletes orphans, and
    of equal links all but one, and those of a placeholder, and takes impossible versions away.
    Raises what `Graph.read` and `Graph.write` do.
    """
    for label, name, start in SCANS:
        text, at = statement(name), start
        limits = {"size": PAGE, "latest": latest, "day": day(latest)}
        while True:
            jump = random.uniform(0, 2) * PAGE * (1 / share - 1)  # noqa: S311 - a sample
            where: dict[str, Any] = {**at, **limits, "skip": int(jump)}
            nodes, last, unversioned, wrong = _page(graph, text, where)
            if not nodes:
                break
            if any(wrong):
                wrong = _both(wrong, _page(graph, text, where)[3])
            left = wrong
            if repair and any(wrong):
                _mend(graph, wrong, limits)
                left = _both(wrong, _page(graph, text, where)[3])
            yield Page(label, nodes, unversioned, wrong, left)
            at = dict(zip(start, last, strict=True))


def _page(graph: Graph, text: LiteralString, where: dict[str, Any]) -> tuple[int, Any, int, Wrong]:
    (row,) = graph.rows(text, **where)
    nodes, last, unversioned, orphans, impossible, *more = row
    return nodes, last, unversioned, Wrong(orphans, impossible, *(more or ([], [])))


def _both(one: Wrong, other: Wrong) -> Wrong:
    """Return what of `one` is in `other`, too, whatever more is said of it."""
    again = [[row[:3] for row in rows] for rows in other]
    return Wrong(*([r for r in a if r[:3] in b] for a, b in zip(one, again, strict=True)))


def _mend(graph: Graph, wrong: Wrong, limits: dict[str, int]) -> None:
    """Mend what needs no event to say what is right."""
    if wrong.impossible:
        ids = [row[3][0] for row in wrong.impossible]
        graph.mend(statement("impossible"), ids=ids, **limits)
    if placeholders := [(row[0], row[1]) for row in wrong.unsaid if not row[2]]:
        posts.unlink(graph, placeholders)
    if wrong.doubled:
        graph.mend(statement("doubled"), keys=[row[:2] for row in wrong.doubled])
    if wrong.orphans:
        graph.mend(statement("orphans"), ids=[row[3] for row in wrong.orphans])
