"""An audit: a source of truth held against the graph, and the graph against its own contract.

Each step is safe beside running workers and again: what is compared is looked at twice, what is
mended goes through the statement that writes events, under the same locks, and only where the
graph holds nothing newer. Memory is that of a chunk and of a few examples a kind.
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
from graphwriter.graph import Graph, Refused, duplicates, posts, schema
from graphwriter.graph.batch import fold, newest
from graphwriter.graph.scan import Page, scan
from graphwriter.graph.write import settle
from graphwriter.verify import compare
from graphwriter.verify.compare import Finding, Judgement, place
from graphwriter.verify.sources import Item, Source

CHUNK = 500  # items compared at once
_TWICE = (compare.IMPOSSIBLE, compare.UNSAID)  # found when compared and by the scan
CONSTRAINT, DUPLICATE, DOUBLED, ORPHAN = "constraint", "duplicate_node", "duplicate_link", "orphan"
# Every kind of difference, in the order of a report.
KINDS = {
    CONSTRAINT: "constraints that the graph lacks",
    DUPLICATE: "keys that several nodes have",
    compare.MISSING_POST: "posts of the source that are no :Post",
    compare.MISSING_LINK: "links that are not there",
    compare.WRONG_LINK: "links with another end or other properties",
    compare.EXTRA_LINK: "links that no event says",
    compare.WRONG_VALUE: "properties of posts that differ",
    compare.REGRESSION: "facets of an older version, or of none",
    compare.IMPOSSIBLE: "versions that no event can have",
    compare.UNSAID: "links of facets that no event spoke of",
    DOUBLED: "posts with several links of one kind",
    ORPHAN: "nodes that nothing is attached to",
}


@dataclass
class Found:
    """Differences of one kind: how many, how many of them are still there, and the first few."""

    found: int = 0
    left: int = 0
    examples: list[Finding] = field(default_factory=list)


@dataclass
class Report:
    """What an audit found so far.

    `counts` has `events`, `undecodable`, `in_flight`, `dead`, `taken` (their post_id is another
    address's), `compared` (posts), `right` and `newer` (facets), `nodes`, `unversioned`,
    `unadopted`. `notes` are the first few of what is no difference and may be worth a look.
    """

    counts: Counter[str] = field(default_factory=Counter)
    kinds: dict[str, Found] = field(default_factory=lambda: {kind: Found() for kind in KINDS})
    notes: list[Finding] = field(default_factory=list)
    share: float = 1.0  # of posts and nodes that were looked at
    compared: bool = True  # False where the graph could not be read by key
    complete: bool = False

    @property
    def found(self) -> int:
        """How many differences there were."""
        return sum(kind.found for kind in self.kinds.values())

    @property
    def left(self) -> int:
        """How many there still are."""
        return sum(kind.left for kind in self.kinds.values())


class Audit:
    """One audit of `graph`, in three steps: `constraints`, `compare`, `scan`, in this order.

    Args:
        repair: mend what is found.
        share: of posts and nodes that are looked at, chosen anew by every audit.
        text: the graph keeps texts.
        examples: kept of each kind, at most.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        repair: bool = False,
        share: float = 1.0,
        text: bool = False,
        examples: int = 10,
    ) -> None:
        self.report = Report(share=share)
        self._graph, self._repair, self._text = graph, repair, text
        self._examples = examples
        self._salt = os.urandom(8)
        self._newest = 0  # version of the source

    def constraints(self) -> None:
        """Look for missing constraints and for what they would have kept out."""
        missing = schema.missing(self._graph)
        for name in missing:
            twice = duplicates.count(self._graph, name)
            left = duplicates.mend(self._graph, name) if self._repair and twice else twice
            detail = f"to see them: {schema.duplicates(name)}"
            if twice:
                self._note(Finding(DUPLICATE, name, detail), twice, left)
        lacking = missing
        if self._repair and missing:
            try:
                schema.apply(self._graph)
            except ConfigError as error:
                self._remember(Finding(CONSTRAINT, "not mended", str(error)))
            lacking = schema.missing(self._graph)
        for name in missing:
            label, properties = schema.CONSTRAINTS[name]
            detail = f"on :{label}({', '.join(properties)}): `graphwriter schema apply` makes it"
            self._note(Finding(CONSTRAINT, name, detail), 1, int(name in lacking))
        # Without their indexes every look-up would be a walk through the whole graph.
        self.report.compared = not {*lacking} - {"graphwriter_post_id"}

    def compare(self, source: Source, items: Iterable[Item] | None = None) -> None:
        """Hold the source's `items` (None: all of them) against the graph."""
        if not self.report.compared:
            return
        left = iter(source if items is None else items)
        while chunk := list(islice(left, CHUNK)):
            self._chunk(source, [item for item in chunk if self._is_due(item)])

    def scan(self) -> Iterator[Page]:
        """Look through the graph for what it may not hold whatever the events; yields each page."""
        counts = self.report.counts
        counts["unadopted"] = schema.unadopted(self._graph)
        if not self.report.compared:
            return
        before = {kind: self.report.kinds[kind].left for kind in _TWICE}
        for page in scan(self._graph, self._latest, self.report.share, self._repair):
            counts["nodes"] += page.nodes
            counts["unversioned"] += page.unversioned
            for rows, left, told in zip(page.wrong, page.left, _TOLD, strict=True):
                for row in rows:
                    self._note(told(page.label, *row), 1, int(row in left))
            yield page
        if self.report.share >= 1:
            for kind, number in before.items():  # found once more
                self.report.kinds[kind].found -= number
                self.report.kinds[kind].left -= number

    @property
    def _latest(self) -> int:
        """The highest version that an event can have, by our clock and by the source."""
        return max(self._newest, events.latest(int(time.time() * 1000)))

    def _is_due(self, item: Item) -> bool:
        """Count an item, and return whether the graph has to hold it."""
        counts = self.report.counts
        counts["events"] += 1
        if item.in_flight:
            counts["in_flight"] += 1
        elif isinstance(item.event, BadEvent):
            counts["undecodable"] += 1
            self._remember(Finding("undecodable", item.place, str(item.event)))
        else:
            return self._sampled(item.event.address)
        return False

    def _sampled(self, address: Address) -> bool:
        if self.report.share >= 1:
            return True
        digest = blake2b(b"%d/%d" % address, digest_size=4, salt=self._salt).digest()
        return int.from_bytes(digest) < self.report.share * 2**32

    def _chunk(self, source: Source, items: list[Item]) -> None:
        first = self._judged(source, items)
        wrong = [item for item in items if first[_event(item).address].findings]
        second: dict[Address, Judgement] = {}
        if wrong:
            # A worker may have been at them a moment ago, so they are looked at again; what became
            # a dead letter since is known by now, too.
            wrong = self._alive(source, wrong)
            second = self._judged(source, wrong)
        known = {address: one for address, one in first.items() if not one.findings} | second
        counts = self.report.counts
        counts["compared"] += len(known)
        counts["right"] += sum(one.right for one in known.values())
        counts["newer"] += sum(one.newer for one in known.values())
        bad = {address for address, one in second.items() if one.findings}
        after = second
        if bad and self._repair:
            self._mend([item for item in wrong if _event(item).address in bad])
            posts.unlink(self._graph, bad)
            after = self._judged(source, wrong)
        for address in bad:
            left = Counter(found.kind for found in after[address].findings)
            for found in second[address].findings:
                still = left[found.kind] > 0
                left[found.kind] -= 1
                self._note(found, 1, still)

    def _judged(self, source: Source, items: list[Item]) -> dict[Address, Judgement]:
        said = newest(map(_event, items))
        held = posts.read(self._graph, said, self._text) if said else {}
        times = (one.post.version | 2**21 - 1 for one in said.values())  # of all the facets
        self._newest = max(self._newest, max(times, default=0))
        latest, exact = self._latest, source.exact
        return {
            address: compare.judge(event, held.get(address), latest, exact=exact, text=self._text)
            for address, event in said.items()
        }

    def _alive(self, source: Source, items: list[Item]) -> list[Item]:
        """Return the items without those that cannot be in the graph: dead letters."""
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
                self._remember(Finding("taken", item.place, detail))
            else:
                rest.append(item)
        return rest

    def _mend(self, items: list[Item]) -> None:
        """Write events whatever is there, but nothing newer; what is refused stays as it is."""
        pairs = [(item, _event(item)) for item in items]
        batch = fold((event for _, event in pairs), self._text)
        for settled, outcome in settle(self._graph, pairs, batch, self._text, rewrite=True):
            if isinstance(outcome, Refused):
                for item, _ in settled:
                    self._remember(Finding("not mended", item.place, str(outcome)))

    def _note(self, finding: Finding, found: int, left: int) -> None:
        entry = self.report.kinds[finding.kind]
        entry.found += found
        entry.left += left
        if len(entry.examples) < self._examples and finding not in entry.examples:
            entry.examples.append(finding)

    def _remember(self, note: Finding) -> None:
        if sum(note.kind == one.kind for one in self.report.notes) < self._examples:
            self.report.notes.append(note)


def _event(item: Item) -> Event:
    assert isinstance(item.event, Event)
    return item.event


def _orphan(label: str, one: Any, other: Any, _facet: str, _id: str) -> Finding:
    return Finding(ORPHAN, f":{label} {one}/{other}", "nothing is attached to it")


def _impossible(label: str, one: Any, other: Any, facet: str, more: list[Any]) -> Finding:
    if facet == "name":
        detail = "its name_day keeps every name out"
        return Finding(compare.IMPOSSIBLE, f":{label} {one}/{other}", detail)
    return Finding(compare.IMPOSSIBLE, place((one, other)), compare.unlikely(facet, more[1]))


def _doubled(_label: str, one: Any, other: Any, _facet: str, kinds: list[Any]) -> Finding:
    detail = ", ".join(f"{number} {kind}" for kind, number in kinds)
    return Finding(DOUBLED, place((one, other)), detail)


def _unsaid(_label: str, one: Any, other: Any, facet: str, _more: None) -> Finding:
    return Finding(compare.UNSAID, place((one, other)), compare.unsaid(facet))


# What to tell of each row of `scan.Wrong`.
_TOLD: tuple[Callable[..., Finding], ...] = (_orphan, _impossible, _doubled, _unsaid)
