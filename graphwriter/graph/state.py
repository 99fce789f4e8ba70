"""What the graph holds of some posts, in the shapes of `judge`."""

from __future__ import annotations

from collections.abc import Iterable

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
            [((s[0], s[1]), *s[2:]) for s in sources],
            [(t[0], t[1]) for t in targets],
            [((r[0], r[1]), r[2]) for r in replies],
            [((a[0], a[1]), a[2]) for a in authors],
        )
        for key, is_post, versions, values, sources, targets, replies, authors in found
    }
