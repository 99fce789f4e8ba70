"""What there is to know about a running pipeline: of Redis, of Neo4j, of the workers' files.

`graphwriter status`, the status page and the metrics all show what is collected here.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from graphwriter.config import Config
from graphwriter.errors import ConfigError, GraphwriterError
from graphwriter.graph import Graph, info
from graphwriter.stream import DeadLetters, Stream, connect, looking
from graphwriter.stream.client import order, place
from graphwriter.text import counted
from graphwriter.worker import heartbeat
from graphwriter.worker.counts import LATENCY, SECONDS, Counts, Spread, Spreads

T = TypeVar("T")
LETTERS = 8  # of the newest dead letters that are shown
SHOWN = 300  # characters of each of their texts: others may have added them
PATIENCE = 2.0  # seconds to wait for an answer of Redis, twice at most
BUSY = 5.0  # and of Neo4j, which may be at its limit and well
KEPT = 30.0  # seconds that they are shown for while their number stays the same
NEWS = 86_400.0  # seconds for which a dead letter is news; an older one is known
PERIOD = 60.0  # seconds in which a backlog has to shrink
RECENT = 12.0  # seconds that rates are told of
POINTS = 150  # looks that are remembered
SLOW = 30.0  # seconds without progress that are worth a look; a batch may take that long


class Server(msgspec.Struct):
    """Whether a server answers what it is asked, how fast in seconds, and what it says instead."""

    place: str
    up: bool = True
    seconds: float = 0.0
    error: str | None = None
    refused: bool = False  # it is there, and refuses us: a password, a right, a set-up

    @property
    def how(self) -> str:
        """A word or two for one that is not up."""
        return "refuses us" if self.refused else "is away"

    @property
    def said(self) -> str:
        """Where it is and what happened, without what `how` says already."""
        error = self.error or ""
        text = error.partition(f" at {self.place}")[2].lstrip(" ,:") or error
        for known in ("does not answer: ", "refuses us: "):
            text = text.removeprefix(known)
        return f"{self.place}: {text}"


class Quantiles(msgspec.Struct):
    """In seconds: half of the batches took up to `median`, 99 in 100 up to `p99`."""

    median: float
    p99: float


class Worker(msgspec.Struct):
    """A worker of this machine. One that was killed is there, not `alive`, until its next start."""

    consumer: str
    pid: int
    alive: bool
    doing: str
    progress_age: float
    rate: float  # events a second
    pending: int | None
    counts: Counts  # since its start
    error: str | None
    last_error: tuple[float, str] | None
    stuck: bool  # it is alive, and does not get on: the watchdog ends it


class Letter(msgspec.Struct):
    """What is shown of a dead letter; `time` is in seconds since 1970."""

    id: str
    source_id: str
    time: float
    reason: str
    error: str


class Pipeline(msgspec.Struct):
    """The stream and the workers at `time`. Ages in seconds; None: not known, or nothing there."""

    time: float
    stream: str
    group: str
    redis: Server
    length: int | None = None
    added: int | None = None
    group_exists: bool | None = None
    unread: int | None = None
    trimmed_unread: int | None = None
    oldest_unread: float | None = None
    pending: int | None = None
    oldest_pending: float | None = None
    consumers: list[looking.Consumer] = []  # of all machines
    dead: int | None = None
    letters: list[Letter] = []
    workers: list[Worker] = []
    totals: Counts = msgspec.field(default_factory=Counts)  # of all workers that ever were here
    rate: float = 0.0
    kills: int = 0
    # Of the batches of the last five minutes, by the workers that are alive here.
    latency: Quantiles | None = None  # from XADD to acknowledgement, of a batch's oldest entry
    seconds: Quantiles | None = None  # from a batch in hand to its acknowledgement
    size: float | None = None  # entries of a batch


class Base(msgspec.Struct):
    """Neo4j, and how many of each label and type it holds."""

    neo4j: Server
    nodes: dict[str, int] = {}
    links: dict[str, int] = {}


class Looker:
    """Looks at one pipeline. An outage is an answer here, and raises nothing."""

    def __init__(self, config: Config, graph: Graph) -> None:
        self.name, self.group, self.directory = config.stream, config.group, config.directory()
        self.patience = config.watchdog
        self.client = connect(config.redis_url, self.name, timeout=PATIENCE, retries=1)
        self.graph = graph
        self._letters: list[Letter] = []
        self._letters_of = (-1, 0.0)  # how many there were, and when

    def pipeline(self) -> Pipeline:
        """Look at Redis and the workers. Blocks for a few seconds at most."""
        server, seen = _asked(
            place(self.client), lambda: looking.look(self.client, self.name, self.group)
        )
        now = time.time()
        told = Pipeline(now, self.name, self.group, server)
        if seen is not None:
            for name in looking.Seen._fields:
                setattr(told, name, getattr(seen, name))
            told.consumers = sorted(seen.consumers, key=lambda one: one.name)
            told.oldest_unread = _age(now, seen.oldest_unread)
            told.oldest_pending = _age(now, seen.oldest_pending)
            told.letters = self._newest(seen.dead)
        self._add_workers(told)
        return told

    def base(self) -> Base:
        """Look at Neo4j. Blocks for as long as the graph does."""

        server, agent = _asked(self.graph.uri, self.graph.check)
        if agent is None:
            return Base(server)
        # It answers; that it is too busy to count is no outage.
        _, found = _asked(
            "",
            lambda: {
                name: self.graph.read(text)[0]["number"] for name, text in info.COUNTS.items()
            },
        )
        return Base(
            server,
            {name: number for name, number in (found or {}).items() if name in info.LABELS},
            {name: number for name, number in (found or {}).items() if name not in info.LABELS},
        )

    def _newest(self, number: int) -> list[Letter]:
        known, when = self._letters_of
        if number != known or time.monotonic() - when > KEPT:
            dead = DeadLetters(self.client, self.name, self.group)
            _, found = _asked("", lambda: dead.latest(LETTERS))
            self._letters = [
                Letter(
                    one.id, one.source_id[:SHOWN], one.time, one.reason[:SHOWN], one.error[:SHOWN]
                )
                for one in found or ()
            ]
            self._letters_of = (number, time.monotonic())
        return self._letters

    def _add_workers(self, told: Pipeline) -> None:
        pending = {one.name: one.pending for one in told.consumers}
        found = [
            one
            for one in heartbeat.read_all(self.directory, stopped=True)
            if (one.stream, one.group) == (told.stream, told.group)
        ]
        for one in found:
            told.totals = told.totals.plus(one.total)
        recent = Spreads()
        newest = heartbeat.newest(one for one in found if one.doing != heartbeat.STOPPED)
        for name, one in sorted(newest.items()):
            alive = one.there
            recent = recent.plus(one.recent) if alive else recent
            told.workers.append(
                Worker(
                    name, one.pid, alive, one.doing, round(max(0.0, told.time - one.progress), 1),
                    round(one.rate(told.time), 1) if alive else 0.0, pending.get(name), one.counts,
                    one.error, one.last_error, alive and one.stuck(self.patience),
                )
            )  # fmt: skip
        told.latency = _quantiles(recent.latency, LATENCY)
        told.seconds = _quantiles(recent.seconds, SECONDS)
        told.size = recent.sizes.sum / recent.sizes.count if recent.sizes.count else None
        told.rate = sum(worker.rate for worker in told.workers)
        told.kills = heartbeat.kills(self.directory)


def _asked(where: str, ask: Callable[[], T]) -> tuple[Server, T | None]:
    start = time.monotonic()
    try:
        found = ask()
    except GraphwriterError as error:
        refused = isinstance(error, ConfigError)
        return Server(where, False, time.monotonic() - start, str(error), refused), None
    return Server(where, True, time.monotonic() - start), found


def _quantiles(spread: Spread, bounds: Sequence[float]) -> Quantiles | None:
    median, most = spread.quantile(bounds, 0.5), spread.quantile(bounds, 0.99)
    return None if median is None or most is None else Quantiles(median, most)


def _age(now: float, then: float | None) -> float | None:
    return None if then is None else max(0.0, now - then)


def troubles(pipeline: Pipeline, base: Base) -> list[str]:
    """Return what keeps events from being written, each in a line; nothing where all is well."""
    found = [
        f"{name} {server.how}: {server.said}"
        for name, server in (("Redis", pipeline.redis), ("Neo4j", base.neo4j))
        if not server.up
    ]
    if not any(worker.alive for worker in pipeline.workers):
        found.append("no worker is alive on this machine")
    elif all(worker.stuck for worker in pipeline.workers if worker.alive):
        found.append("no worker of this machine gets on")
    return found


def worries(pipeline: Pipeline) -> list[str]:
    """Return what a person should look at, each in a line."""
    found = []
    for worker in pipeline.workers:
        if not worker.alive:
            found.append(f"{worker.consumer} has ended")
        elif worker.progress_age > SLOW:
            found.append(f"{worker.consumer} has not got on for {worker.progress_age:.0f} s")
    if pipeline.trimmed_unread:
        found.append(f"{pipeline.trimmed_unread:,} entries were trimmed before they were read")
    if pipeline.totals.lost:
        found.append(f"{pipeline.totals.lost:,} entries went before they were written: lost")
    newest = max((order(one.id)[0] / 1000 for one in pipeline.letters), default=pipeline.time)
    if pipeline.dead and pipeline.time - newest < NEWS:
        found.append(counted(pipeline.dead, "dead letter"))
    return found


def drained(stream: Stream) -> bool:
    """Return whether the group has read and acknowledged every entry of the stream.

    By ids and pending entries: `lag` is an estimate, and unknown after some deletions.
    """
    for row in stream.groups():
        if row["name"] == stream.group:
            return not row["pending"] and order(row["last-delivered-id"]) >= order(stream.last_id())
    return False


class Summary(msgspec.Struct):
    """What several looks tell that one cannot."""

    incoming: float | None = None  # entries a second that producers add
    behind: bool = False  # old entries are unread, and no fewer than a minute ago
    rates: list[float] = []  # events a second at each look, the oldest first


class Trend:
    """Remembers looks."""

    def __init__(self) -> None:
        self._points: deque[Pipeline] = deque(maxlen=POINTS)

    def add(self, pipeline: Pipeline) -> Summary:
        """Remember a look, and return what it tells together with those before."""
        self._points.append(pipeline)
        return Summary(
            self._incoming(pipeline),
            self._behind(pipeline),
            [point.rate for point in self._points],
        )

    def _incoming(self, last: Pipeline) -> float | None:
        for point in self._points:
            if point.added is not None and 0 < last.time - point.time <= RECENT:
                now = last.added
                return None if now is None else max(0, now - point.added) / (last.time - point.time)
        return None

    def _behind(self, last: Pipeline) -> bool:
        if last.unread is None or (last.oldest_unread or 0.0) < PERIOD:
            return False
        before = [one for one in self._points if last.time - one.time >= PERIOD]
        return bool(before) and before[-1].unread is not None and before[-1].unread <= last.unread


def told(pipeline: Pipeline, base: Base, summary: Summary) -> dict[str, Any]:
    """Return it all as JSON can hold it."""
    parts = map(msgspec.to_builtins, (pipeline, base, summary))
    return {name: value for part in parts for name, value in part.items()}
