"""The loop of a worker: take entries, write them, acknowledge what is committed.

An entry ends in exactly one of three ways: written and acknowledged, kept as a dead letter and
acknowledged, or still pending for the next try. The loop waits for a server that does not answer,
for as long as it takes, and never blames an event for an outage.
"""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence

from graphwriter.backoff import Backoff, sleep
from graphwriter.errors import BadEvent, ConfigError, DeadLetterLimit, TooBig, Unavailable
from graphwriter.graph import Graph, Refused, schema
from graphwriter.graph.batch import fold
from graphwriter.graph.write import write_halving
from graphwriter.keep import NOTHING, Keep
from graphwriter.stream import Entry, Stream, Streams
from graphwriter.stream.client import Forbidden
from graphwriter.stream.deadletters import Limit
from graphwriter.stream.pause import Pause
from graphwriter.worker.counts import EVENTS, LATENCY, SECONDS, Counts
from graphwriter.worker.heartbeat import PAUSED, RETRYING, STARTING, WAITING
from graphwriter.worker.intake import Intake, Prepared

log = logging.getLogger("graphwriter")

LOGGED_LETTERS = 3  # dead letters of a batch that are logged one by one
PAUSE_STEP = 1.0  # seconds between two looks whether the group is paused
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0  # seconds between checks of a server that does not answer


class Writer:
    """Writes the events of a stream, or of several, to one graph, as one consumer of a group.

    `run` returns after `stop`; `run_once` is one step and can be called alone. Both block for at
    most the stream's block time plus the graph's timeout and retries, and raise only `ConfigError`
    and `DeadLetterLimit`. `parent` is the process id of a supervisor: `run` returns when it died.
    `progress` is called before every step, with a word for what comes next.
    """

    def __init__(
        self,
        stream: Stream | Streams,
        graph: Graph,
        *,
        batch_size: int = 1000,
        claim_idle: float = 180.0,
        tries: int = 3,
        tenant: str | None = None,
        keep: Keep = NOTHING,
        limit: Limit | None = None,
        progress: Callable[[str], None] = lambda _doing: None,
        parent: int | None = None,
    ) -> None:
        if batch_size < len(stream.parts):
            raise ConfigError(
                f"GRAPH_WRITER_BATCH_SIZE is {batch_size}, expected at least {len(stream.parts)}: "
                "there are as many streams, and a batch has room for an entry of each"
            )
        self.stream, self.graph = stream, graph
        graph.retrying = self._retry
        self.counts = Counts()
        self.error: str | None = None  # why it waits, while it waits
        self.retrying: str | None = None  # why the current batch is tried again
        self.pause: Pause | None = None  # of the group, as it was last seen
        self._next_look, self._warned = 0.0, False
        self.intake = Intake(
            stream, self.counts,
            batch_size=batch_size, claim_idle=claim_idle, tenant=tenant, keep=keep,
        )  # fmt: skip
        self._limit = limit or Limit()
        self._tries, self._keep = tries, keep
        self._progress, self._parent = progress, parent
        self._stopping = False
        self._ready = False  # both servers have answered since the last failure
        self._backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        self._alone: Entry | None = None  # the entry whose try was counted and has not ended
        self._buried: Counter[str] = Counter()  # dead letters of the current batch, by reason

    def stop(self) -> None:
        """Make `run` return after the current batch. Only sets a flag: safe in a signal handler."""
        self._stopping = True

    def run(self) -> None:
        """Write until `stop` is called or the supervisor has died; finish what was read."""
        with self.intake.ahead:
            while not self._stopping and self._supervised():
                self.run_once()
        while self.intake.ahead.started:
            self.run_once()
        self._stopping = False  # a later `run` starts fresh

    def run_once(self) -> int:
        """Take one batch, write it, acknowledge it. Return its entries, 0 for none or an outage.

        While a server does not answer nothing is read, re-read or claimed, because Redis would
        count each as a delivery.
        """
        try:
            if self._paused():
                return self._pause()
            if not self._ready:
                self._wait_for_servers()
                return 0
            self._progress("reading")
            prepared = self.intake.take()
            if prepared.size:
                self.write(prepared)
            return prepared.size
        except Unavailable as error:
            self._outage(error)
            return 0
        finally:
            self._copy_counts()

    def write(self, prepared: Prepared) -> None:
        """Write, bury and acknowledge one batch. What an error interrupts stays pending."""
        start, dead_before = time.monotonic(), self.counts.dead
        self.counts.entries += prepared.size
        self.counts.sizes.add(EVENTS, prepared.size)
        self._buried.clear()
        if prepared.trimmed:
            self._count_trimmed(prepared.trimmed)
        for entry in prepared.suspects:
            if not self._stopping:  # each may take long; the others stay pending
                self._write_alone(entry)
        self._write_events(prepared)
        self._measure(prepared.entries, time.monotonic() - start)
        dead = self.counts.dead - dead_before
        if self._limit.exceeded(len(prepared.entries), dead, time.monotonic()):
            raise DeadLetterLimit(
                f"{self.counts.dead} of {self.counts.entries} entries became dead letters: the "
                "producer must be wrong. See `graphwriter dead list`, then start the worker again"
            )

    def _write_events(self, prepared: Prepared) -> None:
        """Commit, then acknowledge; an event that can never be written becomes a dead letter."""
        for entry, error in prepared.bad:
            self._bury(entry, error)
        if not prepared.pairs:
            return
        for pairs, outcome in write_halving(
            self.graph, prepared.pairs, prepared.batch, self._keep,
            trying=lambda: self._progress("writing"),
        ):  # fmt: skip
            if isinstance(outcome, Refused):
                for entry, _ in pairs:
                    self._bury(entry, outcome)
            else:
                self.stream.done(entry for entry, _ in pairs)
                self._backoff.reset()
                self.retrying = None
                self.counts.batches += 1
                self.counts.written += len(outcome)
                self.counts.unchanged += len(pairs) - len(outcome)
            if self._stopping:
                break  # halving takes many tries; the rest stays pending

    def _write_alone(self, entry: Entry) -> None:
        """Try an entry by itself that was delivered too often. The try is counted before it is
        decoded, since decoding may be what crashes the worker."""
        self._alone = entry
        try:
            if self.stream.try_alone(entry) > self._tries:
                self._bury(entry, BadEvent("deliveries", f"ended its worker {self._tries} times"))
            else:
                self._write_events(self.intake.prepare_alone(entry))
        except ConfigError:
            self._forget_try(entry)  # the worker stops, and the entry is not to blame
            raise
        self._forget_try(entry)

    def _forget_try(self, entry: Entry) -> None:
        self.stream.tried(entry)
        self._alone = None

    def _bury(self, entry: Entry, error: BadEvent) -> None:
        """Keep `entry` as a dead letter and acknowledge it."""
        self.stream.bury(entry, error.reason, error.message)
        self.counts.dead += 1
        self.counts.reasons[error.reason] = self.counts.reasons.get(error.reason, 0) + 1
        if self._buried.total() < LOGGED_LETTERS:
            fields = {"entry": entry.id, "reason": error.reason} | self._stream_of(entry)
            log.warning("dead letter %s: %s", self._place(entry), error, extra=fields)
        self._buried[error.reason] += 1

    def _count_trimmed(self, entries: Sequence[Entry]) -> None:
        log.error("%d entries were trimmed before they were written: lost", len(entries))
        self.stream.done(entries)
        self.counts.lost += len(entries)

    def _stream_of(self, entry: Entry) -> dict[str, str]:
        """Return the field of a log line with the entry's stream, if there are several."""
        return {"stream": entry.stream} if len(self.stream.parts) > 1 else {}

    def _place(self, entry: Entry) -> str:
        """Return the entry's id for people, with its stream if there are several."""
        where = f" of {entry.stream}" if len(self.stream.parts) > 1 else ""
        return f"{entry.id.decode()}{where}"

    def _paused(self) -> bool:
        """Whether our group is paused; Redis is asked once a second."""
        if (now := time.monotonic()) < self._next_look:
            return self.pause is not None
        self._next_look = now + PAUSE_STEP
        try:
            pause = self.stream.paused()
        except Forbidden as error:  # a user of before there were pauses
            if self._warned:
                return False
            log.warning("a pause of the group is not seen: %s", error)
            self._warned, pause = True, None
        if pause and not self.pause:
            log.info("paused by %s: %s", pause.by, pause.reason or "no reason given")
        elif self.pause and not pause:
            log.info("the pause is over")
        self.pause = pause
        return pause is not None

    def _pause(self) -> int:
        """Write what was read ahead; then wait a moment."""
        prepared = self.intake.left()
        if prepared is not None and prepared.size:
            self.write(prepared)
            return prepared.size
        self._progress(PAUSED)
        sleep(PAUSE_STEP, lambda: self._stopping)
        return 0

    def _wait_for_servers(self) -> None:
        """Return when both servers answer and the graph takes writes; raise `Unavailable` else."""
        if self.error is not None:
            sleep(self._backoff.next(), lambda: self._stopping)
        self._progress(WAITING if self.error else STARTING)
        try:
            self.graph.check(writes=True)
            schema.apply(self.graph, self._keep)
            # A fresh server plans the statement for seconds: hold no entries meanwhile.
            self.graph.write(fold(()))
        except (TooBig, Refused) as error:
            raise Unavailable(f"{error}; nothing was written") from None
        if self.stream.create_group():
            log.info("created the consumer group %s on %s", self.stream.group, self.stream.name)
        if self._alone is not None:
            self._forget_try(self._alone)  # the servers failed, not the entry
        if self.error is not None:
            log.info("both servers answer again")
        self.error, self.retrying, self._ready = None, None, True

    def _retry(self, error: str) -> None:
        """Tell that Neo4j is asked again, before the graph gives up; the log gets the first."""
        if self.retrying is None and self.error is None:
            log.warning("%s; trying again", error)
        self.retrying = error
        self._progress(RETRYING)

    def _outage(self, error: Unavailable) -> None:
        self.intake.start_over()
        self._ready, self.retrying = False, None
        if self.error is None:
            log.warning("%s; waiting, nothing is lost", error)
            self.counts.outages += 1
        self.error = str(error)

    def _supervised(self) -> bool:
        if self._parent in (None, os.getppid()):
            return True
        log.warning("the supervisor has died: stopping; other workers claim what stays pending")
        return False

    def _copy_counts(self) -> None:
        self.counts.retries, self.counts.failures = self.graph.retries, self.graph.failures
        self.counts.regrouped = self.stream.regrouped
        self.intake.count_missed()

    def _measure(self, entries: Sequence[Entry], seconds: float) -> None:
        if self._buried.total() > LOGGED_LETTERS:
            reasons = ", ".join(f"{number} {reason}" for reason, number in self._buried.items())
            log.warning("%d dead letters in this batch: %s", self._buried.total(), reasons)
        self.counts.seconds.add(SECONDS, seconds)
        if entries:
            age = max(0.0, time.time() - entries[0].time / 1000)
            self.counts.latency.add(LATENCY, age)
            log.debug(
                "%s to %s: %d entries in %.3f s, %.3f s after they were added",
                self._place(entries[0]), self._place(entries[-1]), len(entries), seconds, age,
                extra={"first": entries[0].id, "last": entries[-1].id, "entries": len(entries)},
            )  # fmt: skip
