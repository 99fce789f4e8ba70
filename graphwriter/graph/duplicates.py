"""Nodes that a missing constraint let in twice, and how they become one again."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, LiteralString

from graphwriter.graph.client import Graph, statement
from graphwriter.graph.schema import CONSTRAINTS

GROUPS = 200  # mended in one transaction


def count(graph: Graph, name: str) -> int:
    """Return how many keys constraint `name` would forbid; one walk through the label's nodes."""
    return int(graph.rows(f"{_grouped(name)} RETURN count(*)")[0][0])


def mend(graph: Graph, name: str) -> int:
    """Make one node of those that share a key, and return how many keys could not be mended.

    Of several posts with one post_id the one whose event is the oldest keeps it, as if it had been
    the first to commit; the others become placeholders. Raises what `Graph.write` does.
    """
    left = -1
    while True:
        groups = graph.rows(
            f"{_grouped(name)} RETURN [n IN nodes | [elementId(n), n.tg_channel_id, "
            f"n.telegram_message_id, CASE WHEN n.version IS :: INTEGER THEN n.version END]] "
            f"LIMIT {GROUPS}"
        )
        if not groups:
            return 0
        together, demoted = [], []
        for (nodes,) in groups:
            more, less = _settled(nodes) if name == "graphwriter_post_id" else (nodes, [])
            together.append([each[0] for each in more])
            demoted += [each[0] for each in less]
        if demoted:
            graph.mend(statement("demote"), ids=demoted)
        graph.mend(statement("merge"), groups=together)
        before, left = left, count(graph, name)
        if left == before:
            return left


def _settled(nodes: list[list[Any]]) -> tuple[list[list[Any]], list[list[Any]]]:
    """Return the posts with one post_id that become one, and those that give it up."""
    by_address: dict[Any, list[list[Any]]] = defaultdict(list)
    for each in nodes:
        by_address[None if None in each[1:3] else tuple(each[1:3])].append(each)
    foreign = by_address.pop(None, [])
    groups = sorted(by_address.values(), key=lambda g: min(-1 if n[3] is None else n[3] for n in g))
    first, *others = groups or [[]]
    return first + foreign, [each for group in others for each in group]


def _grouped(name: str) -> LiteralString:
    label, properties = CONSTRAINTS[name]
    there = " AND ".join(f"n.{key} IS NOT NULL" for key in properties)
    keys = ", ".join(f"n.{key} AS {key}" for key in properties)
    return f"MATCH (n:{label}) WHERE {there} WITH {keys}, collect(n) AS nodes WHERE size(nodes) > 1"
