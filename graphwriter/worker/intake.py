"""Which entries a worker takes next: decoded, folded and ready to be written."""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from graphwriter import events
from graphwriter.errors import BadEvent
from graphwriter.events import Event
from graphwriter.graph.batch import Batch, fold
from graphwriter.keep import NOTHING, Keep
from graphwriter.stream import Entry, Stream, Streams
from graphwriter.stream.consumer import SUSPECT
from graphwriter.worker.counts import Counts
from graphwriter.worker.readahead import ReadAhead

log = logging.getLogger("graphwriter")


class Prepared(NamedTuple):
    """The entries of one read, sorted by what has to be done with them."""

    entries: Sequence[Entry]  # all that were read and still have their fields
    pairs: Sequence[tuple[Entry, Event]]  # to be written
    batch: Batch  # the rows of all pairs
    bad: Sequence[tuple[Entry, BadEvent]]  # dead letters
    suspects: Sequence[Entry] = ()  # to be tried alone, not decoded: that may crash the worker
    trimmed: Sequence[Entry] = ()  # they were trimmed or deleted while pending

    @property
    def size(self) -> int:
        """How many entries were read."""
        return len(self.entries) + len(self.trimmed)


def prepare(
    entries: Sequence[Entry], tenant: str | None, keep: Keep, *, alone: bool = False
) -> Prepared:
    """Decode and fold `entries`; asks no server and raises nothing.

    Where one of them was delivered too often none is decoded: each is a suspect, unless `alone`.
    """
    trimmed = [entry for entry in entries if not entry.fields]
    if trimmed:
        entries = [entry for entry in entries if entry.fields]
    if not alone and any(entry.deliveries > SUSPECT for entry in entries):
        return Prepared(entries, (), fold(()), (), entries, trimmed)
    pairs: list[tuple[Entry, Event]] = []
    bad: list[tuple[Entry, BadEvent]] = []
    clock = int(time.time() * 1000)
    behind = bool(entries) and entries[-1].time > clock  # the last entry is the newest
    for entry in entries:
        try:
            now = max(clock, entry.time) if behind else clock
            pairs.append((entry, events.decode(entry.fields, now, tenant, keep)))
        except BadEvent as error:
            # A new one: the old one's traceback keeps this frame, and the whole batch, alive.
            bad.append((entry, BadEvent(error.reason, error.message)))
    batch = fold((event for _, event in pairs), keep)
    return Prepared(entries, pairs, batch, bad, (), trimmed)


class Intake:
    """Takes entries from the stream in this order: our own pending ones, dead consumers', new ones.

    Inside `with intake.ahead` the next batch is read, decoded and folded by a second thread while
    the current one is written. `take` blocks for at most the stream's block time and raises what
    `Stream.read` raises; after an error call `start_over`.
    """

    def __init__(
        self,
        stream: Stream | Streams,
        counts: Counts,
        *,
        batch_size: int = 1000,
        claim_idle: float = 180.0,
        tenant: str | None = None,
        keep: Keep = NOTHING,
    ) -> None:
        self.ahead: ReadAhead[Prepared] = ReadAhead()
        self._stream, self._counts = stream, counts
        self._batch_size, self._claim_idle = batch_size, claim_idle
        self._tenant, self._keep = tenant, keep
        self._own_first = True  # entries delivered to us before, maybe not finished
        self._cursor = b"0-0"  # of the sweep for entries of dead consumers
        self._next_sweep = 0.0
        self._missed: Counter[str] = Counter()  # what is counted already, by stream

    def take(self) -> Prepared:
        """Return the next entries, decoded and folded; maybe none."""
        if entries := self._own_pending() or self._claimed():
            return self._prepare(entries)
        prepared = self.ahead.take() if self.ahead.started else self._read()
        # Only after a full batch. At lower load this would take entries too early, in small ones.
        if prepared.size == self._batch_size and self.ahead.idle:
            self.ahead.start(self._read)
        return prepared

    def left(self) -> Prepared | None:
        """Return what was read ahead, without reading more."""
        return self.ahead.take() if self.ahead.started else None

    def start_over(self) -> None:
        """Begin with our own pending entries: what was read ahead is among them again."""
        self.ahead.drop()
        self._own_first = True

    def count_missed(self) -> None:
        """Count and log the entries that were trimmed or deleted before they were read."""
        for part in self._stream.parts:
            missed = part.missed - self._missed[part.name]
            if missed:
                where = f" of {part.name}" if len(self._stream.parts) > 1 else ""
                text = "%d entries%s were trimmed or deleted before they were read: lost"
                log.error(text, missed, where)
                self._missed[part.name] += missed
                self._counts.lost += missed

    def prepare_alone(self, entry: Entry) -> Prepared:
        """Decode an entry that `take` left undecoded as a suspect."""
        return prepare([entry], self._tenant, self._keep, alone=True)

    def _prepare(self, entries: Sequence[Entry]) -> Prepared:
        return prepare(entries, self._tenant, self._keep)

    def _read(self) -> Prepared:
        return self._prepare(self._stream.read(self._batch_size))

    def _own_pending(self) -> Sequence[Entry]:
        if not self._own_first:
            return ()
        entries = self._stream.pending(self._batch_size)
        self._own_first = bool(entries)
        return entries

    def _claimed(self) -> Sequence[Entry]:
        """Return one step of a sweep: entries that were pending too long with any consumer."""
        if time.monotonic() < self._next_sweep:
            return ()
        self._cursor, entries = self._stream.claim(self._claim_idle, self._batch_size, self._cursor)
        if self._cursor == b"0-0":  # the sweep is over; the next one is jittered
            pause = self._claim_idle * random.uniform(0.25, 0.5)  # noqa: S311 - jitter
            self._next_sweep = time.monotonic() + pause
        if entries:
            log.info("claimed %d entries that were pending too long", len(entries))
            self._counts.claimed += len(entries)
        return entries
