"""What a backfill would write, without writing it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from graphwriter.backfill.rows import Reject, fill
from graphwriter.database import Database, Part, Row
from graphwriter.graph import Refused
from graphwriter.graph.batch import Batch, fold
from graphwriter.graph.write import Pairs

SHOWN = 3  # events, and as many rejects


class Rehearsal:
    """Reads everything that is selected, as a backfill does, and counts what it would write."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(("read", "rejected", "posts", "forwards", "replies"), 0)
        self.counts["authors"] = 0
        self.events: list[dict[str, Any]] = []
        self.rejects: list[Reject] = []

    def fold(self, pairs: Pairs[Row]) -> Batch:
        """Prepare events as the graph would get them."""
        return fold(event for _, event in pairs)

    def put(self, pairs: Pairs[Row], batch: Batch) -> Iterator[tuple[Pairs[Row], int | Refused]]:
        """Count instead of writing."""
        shown = pairs[: SHOWN - len(self.events)]
        self.events += [msgspec.json.decode(row.data) for row, _ in shown]
        self.counts["posts"] += len(batch.posts)
        self.counts["forwards"] += len(batch.forwards)
        self.counts["replies"] += len(batch.replies)
        self.counts["authors"] += len(batch.authored)
        yield pairs, len(pairs)

    def run(self, database: Database, part: Part, tenant: str | None) -> Iterator[int]:
        """Read `part`; yield how many were read after each batch. Errors are those of `fill`."""
        for done in fill(database, self, part, tenant=tenant):
            self.counts["read"] += done.read
            self.counts["rejected"] += len(done.rejects)
            self.rejects += done.rejects[: SHOWN - len(self.rejects)]
            yield self.counts["read"]
