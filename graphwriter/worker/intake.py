"""Entries decoded and folded: what a worker can do before it needs Neo4j."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from graphwriter import events
from graphwriter.errors import BadEvent
from graphwriter.events import Event
from graphwriter.graph.batch import Batch, fold
from graphwriter.stream import Entry

Pair = tuple[Entry, Event]


class Prepared(NamedTuple):
    """Entries as they came, and what is to be done with them."""

    entries: Sequence[Entry]
    pairs: list[Pair]
    batch: Batch  # of all pairs
    bad: list[tuple[Entry, BadEvent]]


def prepare(entries: Sequence[Entry], tenant: str | None, with_text: bool) -> Prepared:
    """Decode and fold `entries`, none of which is empty. Touches no server and raises nothing."""
    pairs: list[Pair] = []
    bad: list[tuple[Entry, BadEvent]] = []
    clock = int(time.time() * 1000)
    behind = bool(entries) and entries[-1].time > clock  # the last one is the newest
    for entry in entries:
        try:
            now = max(clock, entry.time) if behind else clock
            event = events.decode(entry.fields, now, tenant)
            pairs.append((entry, event))
        except BadEvent as error:
            # A new one: the tracebacks of that hold this frame, and so the batch, in a cycle.
            bad.append((entry, BadEvent(error.reason, error.message)))
    batch = fold((event for _, event in pairs), with_text)
    return Prepared(entries, pairs, batch, bad)
