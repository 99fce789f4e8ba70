"""An audit: compares a source with the graph, and checks the graph's invariants.

Each step is idempotent and safe next to running workers: a difference is read twice before it is
reported, and a repair uses the statement that writes events, under the same locks, and never
overwrites a newer facet. Memory is bounded: a chunk of items, and a few examples of each kind.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from typing import Any

from graphwriter import events
from graphwriter.errors import BadEvent, ConfigError
from graphwriter.events import Address, Event
from graphwriter.graph import Graph, Refused, duplicates, info, posts, schema
from graphwriter.graph.batch import fold, newest
from graphwriter.graph.scan import ScanPage, scan
from graphwriter.graph.write import write_halving
from graphwriter.keep import NOTHING, Keep
from graphwriter.verify import compare
from graphwriter.verify.compare import Comparison, Difference, place
from graphwriter.verify.sources import Item, Source

CHUNK_SIZE = 500  # items compared together
_TWICE = (compare.IMPOSSIBLE, compare.UNSAID)  # found by the comparison and by the scan
CONSTRAINT, DUPLICATE, DOUBLED, ORPHAN = "constraint", "duplicate_node", "duplicate_link", "orphan"
# Every kind of difference, in the order of a report.
KINDS = {
    CONSTRAINT: "missing constraints",
    DUPLICATE: "keys of several nodes",
    compare.MISSING_POST: "posts of the source without a :Post",
    compare.MISSING_LINK: "missing links",
    compare.WRONG_LINK: "links with another end or other properties",
    compare.EXTRA_LINK: "links that are not in the event",
    compare.WRONG_VALUE: "properties of posts that differ",
    compare.REGRESSION: "facets with an older version, or with none",
    compare.IMPOSSIBLE: "versions that no event can have",
    compare.UNSAID: "links without an event",
    DOUBLED: "posts with several links of one kind",
    ORPHAN: "nodes without links",
}


@dataclass
class KindReport:
    """The differences of one kind: how many, how many remain, and the first few."""

    found: int = 0
    left: int = 0
    examples: list[Difference] = field(default_factory=list)


@dataclass
class AuditReport:
    """The differences that an audit found so far.

    `counts` has `events`, `undecodable`, `in_flight`, `dead`, `taken` (their post_id is another
    address's), `compared` (posts), `right` and `newer` (facets), `nodes`, `unversioned`,
    `unadopted`. `notes` are the first few facts that are no difference but should be checked.
    """

    counts: Counter[str] = field(default_factory=Counter)
    kinds: dict[str, KindReport] = field(
        default_factory=lambda: {kind: KindReport() for kind in KINDS}
    )
    notes: list[Difference] = field(default_factory=list)
    share: float = 1.0  # of posts and nodes that are checked
    compared: bool = True  # False if the graph could not be read by key
    complete: bool = False

    @property
    def found(self) -> int:
        """How many differences were found."""
        return sum(kind.found for kind in self.kinds.values())

    @property
    def left(self) -> int:
        """How many of them remain."""
        return sum(kind.left for kind in self.kinds.values())


class Audit:
    """One audit of `graph`, in three steps: `constraints`, `compare`, `scan`, in this order.

    Args:
        repair: repair the differences.
        share: of posts and nodes that are checked, chosen at random for every audit.
        keep: what the graph keeps of posts; the sources decode with the same.
        examples: how many are kept of each kind.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        repair: bool = False,
        share: float = 1.0,
        keep: Keep = NOTHING,
        examples: int = 10,
    ) -> None:
        self.report = AuditReport(share=share)
        self._graph, self._repair, self._keep = graph, repair, keep
        self._examples = examples
        self._salt = os.urandom(8)
        self._newest = 0  # highest version of the source

    def constraints(self) -> None:
        """Check for missing constraints and for duplicates that they would have prevented."""
        keep = self._keep
        missing = schema.missing(self._graph, keep)
        for name in missing:
            number = duplicates.count(self._graph, name)
            left = duplicates.merge(self._graph, name, keep) if self._repair and number else number
            detail = f"to see them: {schema.duplicates(name)}"
            if number:
                self._add(Difference(DUPLICATE, name, detail), number, left)
        still_missing = missing
        if self._repair and missing:
            try:
                schema.apply(self._graph, keep)
            except ConfigError as error:
                self._note(Difference(CONSTRAINT, "not repaired", str(error)))
            still_missing = schema.missing(self._graph, keep)
        for name in missing:
            label, properties = schema.CONSTRAINTS[name]
            detail = f"on :{label}({', '.join(properties)}): `graphwriter schema apply` creates it"
            self._add(Difference(CONSTRAINT, name, detail), 1, int(name in still_missing))
        # Without their indexes every lookup would scan the whole graph.
        self.report.compared = not {*still_missing} - {"graphwriter_post_id"}

    def compare(self, source: Source, items: Iterable[Item] | None = None) -> None:
        """Compare the source's `items` (None: all) with the graph."""
        if not self.report.compared:
            return
        left = iter(source if items is None else items)
        while chunk := list(islice(left, CHUNK_SIZE)):
            self._compare_chunk(source, [item for item in chunk if self._is_due(item)])

    def scan(self) -> Iterator[ScanPage]:
        """Check the invariants of the whole graph; yields each page."""
        counts = self.report.counts
        counts["unadopted"] = info.foreign(self._graph).number
        if not self.report.compared:
            return
        before = {kind: self.report.kinds[kind].left for kind in _TWICE}
        for page in scan(self._graph, self._latest, self.report.share, self._repair, self._keep):
            counts["nodes"] += page.nodes
            counts["unversioned"] += page.unversioned
            for rows, left, describe in zip(page.wrong, page.left, _DESCRIBE, strict=True):
                for row in rows:
                    self._add(describe(page.label, *row), 1, int(row in left))
            yield page
        if self.report.share >= 1:
            for kind, number in before.items():  # they were found twice
                self.report.kinds[kind].found -= number
                self.report.kinds[kind].left -= number

    @property
    def _latest(self) -> int:
        """The highest version that an event can have, by this clock and by the source."""
        return max(self._newest, events.latest(int(time.time() * 1000)))

    def _is_due(self, item: Item) -> bool:
        """Count an item, and return whether the graph must contain it."""
        counts = self.report.counts
        counts["events"] += 1
        if item.in_flight:
            counts["in_flight"] += 1
        elif isinstance(item.event, BadEvent):
            counts["undecodable"] += 1
            self._note(Difference("undecodable", item.place, str(item.event)))
        else:
            return self._sampled(item.event.address)
        return False

    def _sampled(self, address: Address) -> bool:
        if self.report.share >= 1:
            return True
        digest = blake2b(b"%d/%d" % address, digest_size=4, salt=self._salt).digest()
        return int.from_bytes(digest) < self.report.share * 2**32

    def _compare_chunk(self, source: Source, items: list[Item]) -> None:
        first = self._comparisons(source, items)
        wrong = [item for item in items if first[_event(item).address].differences]
        second: dict[Address, Comparison] = {}
        if wrong:
            # A worker may be writing them at this moment, so they are read again; an event that
            # became a dead letter meanwhile is known by now too.
            wrong = self._without_dead(source, wrong)
            second = self._comparisons(source, wrong)
        final = {address: one for address, one in first.items() if not one.differences} | second
        counts = self.report.counts
        counts["compared"] += len(final)
        counts["right"] += sum(comparison.right for comparison in final.values())
        counts["newer"] += sum(comparison.newer for comparison in final.values())
        bad = {address for address, comparison in second.items() if comparison.differences}
        after = second
        if bad and self._repair:
            self._write([item for item in wrong if _event(item).address in bad])
            posts.unlink(self._graph, bad, self._keep)
            after = self._comparisons(source, wrong)
        for address in bad:
            left = Counter(difference.kind for difference in after[address].differences)
            for difference in second[address].differences:
                remains = left[difference.kind] > 0
                left[difference.kind] -= 1
                self._add(difference, 1, remains)

    def _comparisons(self, source: Source, items: list[Item]) -> dict[Address, Comparison]:
        expected = newest(map(_event, items))
        held = posts.read(self._graph, expected, self._keep.text) if expected else {}
        times = (event.post.version | 2**21 - 1 for event in expected.values())  # any facet's
        self._newest = max(self._newest, max(times, default=0))
        latest, exact = self._latest, source.exact
        return {
            address: compare.compare(event, held.get(address), latest, exact=exact, keep=self._keep)
            for address, event in expected.items()
        }

    def _without_dead(self, source: Source, items: list[Item]) -> list[Item]:
        """Return the items that can be in the graph: those that are no dead letters."""
        counts = self.report.counts
        dead = source.dead({item.place for item in items})
        alive = [item for item in items if item.place not in dead]
        counts["dead"] += len(items) - len(alive)
        taken = self._graph.taken(fold(map(_event, alive)))
        rest = []
        for item in alive:
            event = _event(item)
            if (event.post.post_id, event.address) in taken:
                counts["taken"] += 1
                detail = f"another address holds its post_id {event.post.post_id}"
                self._note(Difference("taken", item.place, detail))
            else:
                rest.append(item)
        return rest

    def _write(self, items: list[Item]) -> None:
        """Write events over equal or impossible versions; note those that are refused."""
        pairs = [(item, _event(item)) for item in items]
        batch = fold((event for _, event in pairs), self._keep)
        for group, outcome in write_halving(self._graph, pairs, batch, self._keep, rewrite=True):
            if isinstance(outcome, Refused):
                for item, _ in group:
                    self._note(Difference("not repaired", item.place, str(outcome)))

    def _add(self, difference: Difference, found: int, left: int) -> None:
        entry = self.report.kinds[difference.kind]
        entry.found += found
        entry.left += left
        if len(entry.examples) < self._examples and difference not in entry.examples:
            entry.examples.append(difference)

    def _note(self, note: Difference) -> None:
        if sum(note.kind == other.kind for other in self.report.notes) < self._examples:
            self.report.notes.append(note)


def _event(item: Item) -> Event:
    assert isinstance(item.event, Event)
    return item.event


def _orphan(label: str, first: Any, second: Any, _facet: str, _id: str) -> Difference:
    return Difference(ORPHAN, f":{label} {first}/{second}", "it has no links")


def _impossible(label: str, first: Any, second: Any, facet: str, more: list[Any]) -> Difference:
    if facet == "name":
        detail = "its name_day blocks every name"
        return Difference(compare.IMPOSSIBLE, f":{label} {first}/{second}", detail)
    detail = compare.unlikely(facet, more[1])
    return Difference(compare.IMPOSSIBLE, place((first, second)), detail)


def _doubled(_label: str, first: Any, second: Any, _facet: str, kinds: list[Any]) -> Difference:
    detail = ", ".join(f"{number} {kind}" for kind, number in kinds)
    return Difference(DOUBLED, place((first, second)), detail)


def _unsaid(_label: str, first: Any, second: Any, facet: str, _more: None) -> Difference:
    return Difference(compare.UNSAID, place((first, second)), compare.unsaid(facet))


# One function for each list of `scan.Violations`, in that order.
_DESCRIBE: tuple[Callable[..., Difference], ...] = (_orphan, _impossible, _doubled, _unsaid)
