"""Duplicate nodes, which a missing constraint allowed: count them, and merge them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, LiteralString

from graphwriter.graph import info
from graphwriter.graph.client import Graph, statement
from graphwriter.graph.schema import CONSTRAINTS
from graphwriter.keep import NOTHING, Keep

GROUPS = 200  # keys that are merged in one transaction


def count(graph: Graph, name: str) -> int:
    """Return how many keys violate the constraint `name`; scans all nodes of the label."""
    return int(graph.rows(f"{_grouped(name)} RETURN count(*)")[0][0])


def merge(graph: Graph, name: str, keep: Keep = NOTHING) -> int:
    """Merge nodes with the same key, and return how many keys could not be merged.

    Of several posts with one post_id the post with the oldest event keeps it, as if it had been
    committed first; the others become placeholders. Raises as `Graph.write`.
    """
    types, left = info.ours(keep), -1
    while True:
        groups = graph.rows(
            f"{_grouped(name)} RETURN [n IN nodes | [elementId(n), n.tg_channel_id, "
            f"n.telegram_message_id, CASE WHEN n.version IS :: INTEGER THEN n.version END]] "
            f"LIMIT {GROUPS}"
        )
        if not groups:
            return 0
        merged, demoted = [], []
        for (nodes,) in groups:
            kept, others = _keep_one(nodes) if name == "graphwriter_post_id" else (nodes, [])
            merged.append([node[0] for node in kept])
            demoted += [node[0] for node in others]
        if demoted:
            graph.run(statement("demote"), ids=demoted, types=types)
        graph.run(statement("merge"), groups=merged, types=types)
        before, left = left, count(graph, name)
        if left == before:
            return left


def _keep_one(nodes: list[list[Any]]) -> tuple[list[list[Any]], list[list[Any]]]:
    """Return the posts with one post_id that become one post, and those that lose the post_id."""
    by_address: dict[Any, list[list[Any]]] = defaultdict(list)
    for node in nodes:
        by_address[None if None in node[1:3] else tuple(node[1:3])].append(node)
    foreign = by_address.pop(None, [])
    groups = sorted(by_address.values(), key=lambda g: min(-1 if n[3] is None else n[3] for n in g))
    first, *others = groups or [[]]
    return first + foreign, [node for group in others for node in group]


def _grouped(name: str) -> LiteralString:
    label, properties = CONSTRAINTS[name]
    present = " AND ".join(f"n.{key} IS NOT NULL" for key in properties)
    keys = ", ".join(f"n.{key} AS {key}" for key in properties)
    return (
        f"MATCH (n:{label}) WHERE {present} WITH {keys}, collect(n) AS nodes WHERE size(nodes) > 1"
    )
