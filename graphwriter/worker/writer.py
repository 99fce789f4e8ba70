"""The loop: take entries, write them, acknowledge what is committed.

An entry ends in exactly one of three ways: written and acknowledged, kept as a dead letter and
acknowledged, or still pending for the next try. The loop never gives up on a server that is away,
and never blames an event for it.
"""

from __future__ import annotations

import logging
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from graphwriter.errors import BadEvent, ConfigError, DeadLetterLimit, TooBig, Unavailable
from graphwriter.graph import Graph, Refused, schema
from graphwriter.graph.batch import Batch, fold
from graphwriter.graph.write import settle
from graphwriter.stream import DeadLetters, Entry, Stream
from graphwriter.stream.consumer import SUSPECT
from graphwriter.stream.deadletters import Limit
from graphwriter.worker.counts import EVENTS, LATENCY, SECONDS, Counts
from graphwriter.worker.intake import Pair, Prepared, prepare

log = logging.getLogger("graphwriter")

TOLD = 3  # dead letters of a batch that are logged one by one
PAUSES = (0.2, 2.0)  # seconds between looks at a server that is away, growing from, up to


class Writer:
    """One worker's loop over one stream and one graph.

    `run` returns after `stop`; `run_once` is one step and can be called alone. Both block for at
    most the stream's block plus the graph's timeout and retries, and raise `ConfigError` and
    `DeadLetterLimit` only.
    """

    def __init__(
        self,
        stream: Stream,
        graph: Graph,
        *,
        batch_size: int = 1000,
        claim_idle: float = 180.0,
        tries: int = 3,
        tenant: str | None = None,
        text: bool = False,
        limit: Limit | None = None,
        progress: Callable[[str], None] = lambda _doing: None,
        parent: int | None = None,
    ) -> None:
        self.stream, self.graph = stream, graph
        self.dead = DeadLetters(stream.client, stream.name, stream.group, stream.consumer)
        self.counts = Counts()
        self.error: str | None = None  # why it waits, while it waits
        self._batch_size, self._claim_idle, self._tries = batch_size, claim_idle, tries
        self._tenant, self._text = tenant, text
        self._limit = limit or Limit()
        self._progress = progress
        self._stopping = False
        self._ready = False  # both servers answered since the last failure
        self._own_first = True  # entries that we were given and may not have finished
        self._alone: Entry | None = None  # the entry whose try is counted and not over
        self._helper: ThreadPoolExecutor | None = None  # reads ahead, while `run` runs
        self._ahead: Future[Prepared] | None = None
        self._prepared: Prepared | None = None  # what was read ahead and is in hand now
        self._buried: Counter[str] = Counter()  # dead letters of the batch, by reason
        self._cursor = b"0-0"
        self._next_sweep = 0.0
        self._pause = PAUSES[0]
        self._missed = 0  # entries that went unread, as far as they are counted
        self._parent = parent  # process id of the supervisor that we leave with

    def stop(self) -> None:
        """Make `run` return after the batch in hand. Only sets a flag: safe in a signal handler."""
        self._stopping = True

    def run(self) -> None:
        """Write until `stop` is called, or the supervisor that is our parent is gone."""
        with ThreadPoolExecutor(1, "read-ahead") as self._helper:
            while not self._stopping:
                if self._parent not in (None, os.getppid()):
                    log.warning("the supervisor is gone: leaving, what is pending comes later")
                    break
                self.run_once()
            self._helper = None
            while self._ahead is not None:  # what was read is finished too
                self.run_once()
        self._stopping = False  # it was heard: another `run` goes on

    def run_once(self) -> int:
        """Take and finish one read's worth of entries; return how many, 0 when there was nothing.

        While a server does not answer nothing is read, re-read or claimed: Redis would count each
        as a delivery.
        """
        try:
            if not self._ready:
                self._wait_for_servers()
                return 0
            self._progress("reading")
            entries = self._take()
            if entries:
                self._read_ahead(entries)
                self._handle(entries)
            return len(entries)
        except Unavailable as error:
            self._drop_ahead()
            self._ready, self._own_first = False, True
            if self.error is None:
                log.warning("%s; waiting, nothing is lost", error)
                self.counts.outages += 1
            self.error = str(error)
            return 0
        finally:
            self.counts.retries, self.counts.failures = self.graph.retries, self.graph.failures
            self.counts.regrouped = self.stream.regrouped
            self._tell_missed()

    def _tell_missed(self) -> None:
        gone, self._missed = self.stream.missed - self._missed, self.stream.missed
        if gone:
            log.error("%d entries were trimmed or deleted before they were read: lost", gone)
            self.counts.lost += gone

    def _wait_for_servers(self) -> None:
        if self.error is not None:  # pauses grow until something is written again
            self._sleep(self._pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            self._pause = min(self._pause * 2, PAUSES[1])
        self._progress("waiting" if self.error else "starting")
        try:
            self.graph.check(writes=True)
            schema.apply(self.graph)
            # Planning takes seconds on a fresh server: hold no entries then.
            self.graph.write(fold(()))
        except (TooBig, Refused) as error:
            raise Unavailable(f"{error}; nothing was written") from None
        if self.stream.create_group():
            log.info("made the consumer group %s on %s", self.stream.group, self.stream.name)
        if self._alone is not None:
            self._forget_try(self._alone)  # it was the servers' failure, not the entry's
        if self.error is not None:
            log.info("both servers answer again")
        self.error, self._ready = None, True

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._stopping and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))

    def _take(self) -> Sequence[Entry]:
        """Return our own unfinished entries first, then those of the dead, then new ones."""
        if self._own_first:
            entries = self.stream.pending(self._batch_size)
            self._own_first = bool(entries)
            if entries:
                return entries
        if time.monotonic() >= self._next_sweep:
            self._cursor, entries = self.stream.claim(
                self._claim_idle, self._batch_size, self._cursor
            )
            if self._cursor == b"0-0":
                jittered = self._claim_idle * random.uniform(0.25, 0.5)  # noqa: S311
                self._next_sweep = time.monotonic() + jittered
            if entries:
                log.info("took over %d entries that were pending too long", len(entries))
                self.counts.claimed += len(entries)
                return entries
        if self._ahead is not None:
            ahead, self._ahead = self._ahead, None
            self._prepared = ahead.result()
            return self._prepared.entries
        return self.stream.read(self._batch_size)

    def _read_ahead(self, entries: Sequence[Entry]) -> None:
        """Read, decode and fold the next batch while Neo4j works on this one.

        Only where this one was full and new: at less load the next one would be taken before it
        has gathered, and what came back before may be what ends workers.
        """
        full = len(entries) == self._batch_size and entries[0].deliveries == 1
        if self._helper is not None and self._ahead is None and full:
            self._ahead = self._helper.submit(
                lambda: self._prepare(self.stream.read(self._batch_size))
            )

    def _drop_ahead(self) -> None:
        """Forget what was read ahead: it is pending, and comes again with our other entries."""
        if self._ahead is not None:
            wait([self._ahead])
            self._ahead = None
        self._prepared = None

    def _handle(self, entries: Sequence[Entry]) -> None:
        dead, start = self.counts.dead, time.monotonic()
        self.counts.entries += len(entries)
        self.counts.sizes.add(EVENTS, len(entries))
        lost = [entry.id for entry in entries if not entry.fields]
        if lost:
            log.error("%d entries were trimmed before they were written: lost", len(lost))
            self.stream.ack(lost)
            self.counts.lost += len(lost)
            entries = [entry for entry in entries if entry.fields]
        if any(entry.deliveries > SUSPECT for entry in entries):
            for entry in entries:
                if not self._stopping:  # each may take long; the rest stays pending
                    self._write_alone(entry)
        else:
            self._write(entries)
        if self._buried.total() > TOLD:
            reasons = ", ".join(f"{number} {reason}" for reason, number in self._buried.items())
            log.warning("%d dead letters in this batch: %s", self._buried.total(), reasons)
        self._buried.clear()
        self._measure(entries, time.monotonic() - start)
        if self._limit.exceeded(len(entries), self.counts.dead - dead, time.monotonic()):
            raise DeadLetterLimit(
                f"{self.counts.dead} of {self.counts.entries} entries became dead letters: the "
                f"producer must be wrong. Look at `graphwriter dead list`, then start again"
            )

    def _measure(self, entries: Sequence[Entry], took: float) -> None:
        self.counts.seconds.add(SECONDS, took)
        if entries:
            age = max(0.0, time.time() - entries[0].time / 1000)
            self.counts.latency.add(LATENCY, age)
            log.debug(
                "%s to %s: %d entries in %.3f s, %.3f s after they were added",
                entries[0].id.decode(), entries[-1].id.decode(), len(entries), took, age,
                extra={"first": entries[0].id, "last": entries[-1].id, "entries": len(entries)},
            )  # fmt: skip

    def _write_alone(self, entry: Entry) -> None:
        """Write an entry that came back too often; its tries are counted before it is looked at."""
        self._alone = entry
        try:
            if self.stream.try_alone(entry) > self._tries:
                self._bury(entry, BadEvent("deliveries", f"ended its worker {self._tries} times"))
            else:
                self._write([entry])
        except ConfigError:
            self._forget_try(entry)  # ends the worker, and is not the entry's fault either
            raise
        self._forget_try(entry)

    def _forget_try(self, entry: Entry) -> None:
        self.stream.tried(entry)
        self._alone = None

    def _write(self, entries: Sequence[Entry]) -> None:
        prepared, self._prepared = self._prepared, None
        if prepared is None or prepared.entries is not entries:
            prepared = self._prepare(entries)
        for entry, error in prepared.bad:
            self._bury(entry, error)
        if prepared.pairs:
            self._commit(prepared.pairs, prepared.batch)

    def _prepare(self, entries: Sequence[Entry]) -> Prepared:
        return prepare(entries, self._tenant, self._text)

    def _commit(self, pairs: Sequence[Pair], batch: Batch) -> None:
        """Write and acknowledge `pairs`; where Neo4j refuses, the one becomes a dead letter."""

        def trying() -> None:
            self._progress("writing")

        for settled, outcome in settle(self.graph, pairs, batch, self._text, trying=trying):
            if isinstance(outcome, BadEvent):
                for entry, _ in settled:
                    self._bury(entry, outcome)
            else:
                self.stream.ack(entry.id for entry, _ in settled)
                self._pause = PAUSES[0]
                self.counts.batches += 1
                self.counts.written += len(outcome)
                self.counts.unchanged += len(settled) - len(outcome)
            if self._stopping:
                break  # halving takes many tries; the rest stays pending

    def _bury(self, entry: Entry, error: BadEvent) -> None:
        self.dead.add(entry, error.reason, error.message)
        self.counts.dead += 1
        self.counts.reasons[error.reason] = self.counts.reasons.get(error.reason, 0) + 1
        if self._buried.total() < TOLD:
            named = {"entry": entry.id, "reason": error.reason}
            log.warning("dead letter %s: %s", entry.id.decode(), error, extra=named)
        self._buried[error.reason] += 1
