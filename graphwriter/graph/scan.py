"""Scans the whole graph, page by page, for violations of its invariants, and repairs them.

Every page is read in its own transaction, and read again before a violation is reported: the first
read may have seen a half of what a worker just committed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, LiteralString, NamedTuple

from graphwriter.events import day
from graphwriter.graph import info, posts
from graphwriter.graph.client import Graph, statement
from graphwriter.keep import NOTHING, Keep

PAGE_SIZE = 2000  # nodes that one transaction reads
_FIRST = -(2**63)
SCANS: tuple[tuple[LiteralString, LiteralString, dict[str, Any]], ...] = (
    ("Message", "scan_messages", {"channel": _FIRST, "message": _FIRST}),
    ("ForwardSource", "scan_sources", {"id": "", "type": ""}),
    ("Author", "scan_authors", {"id": "", "type": ""}),
    ("Link", "scan_links", {"key": ""}),
    ("Media", "scan_media", {"key": ""}),
)
_Row = list[Any]  # the two parts of a key, the facet or "", and more; see scan_*.cypher


class Violations(NamedTuple):
    """The violations on a page, by invariant; verify's kinds explain them."""

    orphans: list[_Row]
    impossible: list[_Row]
    doubled: list[_Row]
    unsaid: list[_Row]


class ScanPage(NamedTuple):
    """A page of nodes with one `label`: how many, and how many posts have no known event.

    `wrong` are the violations, `left` those that remain after a repair.
    """

    label: str
    nodes: int
    unversioned: int
    wrong: Violations
    left: Violations


def scan(
    graph: Graph,
    latest: int,
    share: float = 1.0,
    repair: bool = False,
    keep: Keep = NOTHING,
) -> Iterator[ScanPage]:
    """Yield every page of the graph, or about a `share` of the pages; blocks for one page.

    Needs the constraints. No event can have a version above `latest`. `repair` deletes orphans,
    all but one of equal links, links of placeholders, and impossible versions. Raises as
    `Graph.read` and `Graph.write`.
    """
    kept = {"Link": keep.links, "Media": keep.media}  # else the label may be another service's
    for label, name, start in SCANS:
        if not kept.get(label, True):
            continue
        text, at = statement(name), start
        limits = {"size": PAGE_SIZE, "latest": latest, "day": day(latest)}
        limits |= {"links": keep.links, "media": keep.media}
        while True:
            jump = random.uniform(0, 2) * PAGE_SIZE * (1 / share - 1)  # noqa: S311 - a sample
            where: dict[str, Any] = {**at, **limits, "skip": int(jump)}
            nodes, last, unversioned, wrong = _page(graph, text, where)
            if not nodes:
                break
            if any(wrong):
                wrong = _in_both(wrong, _page(graph, text, where)[3])
            left = wrong
            if repair and any(wrong):
                _repair(graph, wrong, limits, keep)
                left = _in_both(wrong, _page(graph, text, where)[3])
            yield ScanPage(label, nodes, unversioned, wrong, left)
            at = dict(zip(start, last, strict=True))


def _page(
    graph: Graph, text: LiteralString, where: dict[str, Any]
) -> tuple[int, Any, int, Violations]:
    (row,) = graph.rows(text, **where)
    nodes, last, unversioned, orphans, impossible, *more = row
    return nodes, last, unversioned, Violations(orphans, impossible, *(more or ([], [])))


def _in_both(first: Violations, second: Violations) -> Violations:
    """Return the violations of `first` that are in `second` too, compared by key and facet."""
    again = [[row[:3] for row in rows] for rows in second]
    return Violations(*([r for r in a if r[:3] in b] for a, b in zip(first, again, strict=True)))


def _repair(graph: Graph, wrong: Violations, limits: dict[str, int], keep: Keep) -> None:
    """Repair the violations for which no event is needed."""
    if wrong.impossible:
        ids = [row[3][0] for row in wrong.impossible]
        graph.run(statement("impossible"), ids=ids, **limits)
    if placeholders := [(row[0], row[1]) for row in wrong.unsaid if not row[2]]:
        posts.unlink(graph, placeholders, keep)
    if wrong.doubled:
        graph.run(
            statement("doubled"), keys=[row[:2] for row in wrong.doubled], types=info.ours(keep)
        )
    if wrong.orphans:
        graph.run(statement("orphans"), ids=[row[3] for row in wrong.orphans])
