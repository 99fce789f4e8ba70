"""The state of a running pipeline: read from Redis, Neo4j and the heartbeats of the workers.

`graphwriter status`, the status page and the metrics all show what is read here. The fields of the
structs are the keys of `status --json`, documented in docs/operations.md. It is long because one
reading has many fields.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from graphwriter.config import Config
from graphwriter.errors import ConfigError, GraphwriterError
from graphwriter.graph import Graph, info
from graphwriter.stream import DeadLetter, DeadLetters, pause
from graphwriter.stream import info as stream_info
from graphwriter.stream.client import Client, place
from graphwriter.stream.entry import order
from graphwriter.stream.pause import Pause
from graphwriter.stream.streams import ask, clients
from graphwriter.text import age, counted
from graphwriter.worker import heartbeat
from graphwriter.worker.counts import LATENCY, SECONDS, Counts, Spread, Spreads

T = TypeVar("T")
Parts = dict[str, stream_info.StreamFacts | GraphwriterError]
SHOWN_CONSUMERS = 100  # consumers that a reading contains
SHOWN_LETTERS = 8  # newest dead letters
TEXT_LIMIT = 300  # characters of each of their texts: other programs may have added them
PATIENCE = 2.0  # seconds to wait for a reply of Redis, twice at most
NEO4J_TIMEOUT = 5.0  # seconds; a busy Neo4j may be healthy
LETTERS_KEPT = 30.0  # seconds until dead letters are read again if their number is the same
RECENT_LETTERS = 86_400.0  # seconds during which a dead letter is a warning
BACKLOG_PERIOD = 60.0  # seconds in which a backlog has to shrink
RATE_PERIOD = 12.0  # seconds over which incoming entries are counted
POINTS = 150  # readings that are kept
SLOW = 30.0  # seconds without progress until there is a warning; a batch may take that long


class Server(msgspec.Struct):
    """Whether a server answers, how fast in seconds, or its error."""

    place: str
    up: bool = True
    seconds: float = 0.0
    error: str | None = None
    refused: bool = False  # it answers and denies access: a password, a right, its set-up

    @property
    def problem(self) -> str:
        """A few words for a server that is not up."""
        return "denies access" if self.refused else "does not answer"

    @property
    def reason(self) -> str:
        """Its address and the error, without the words of `problem`."""
        error = self.error or ""
        text = error.partition(f" at {self.place}")[2].lstrip(" ,:") or error
        for words in ("does not answer: ", "denies access: "):
            text = text.removeprefix(words)
        return f"{self.place}: {text}"


class Quantiles(msgspec.Struct):
    """Percentiles in seconds: `median` is p50."""

    median: float
    p99: float


class Worker(msgspec.Struct):
    """A worker of this machine. A killed one is listed, not `alive`, until it is started again."""

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
    stuck: bool  # alive without progress: the watchdog kills it


class Letter(msgspec.Struct):
    """The shown part of a dead letter; `time` is in seconds since 1970."""

    id: str
    source_id: str
    time: float
    reason: str
    error: str
    stream: str | UnsetType = UNSET  # only if there are several


class StreamPart(msgspec.Struct):
    """One of several streams; `error` says why nothing else of it is known."""

    stream: str
    error: str | None = None
    length: int | None = None
    added: int | None = None
    group_exists: bool | None = None
    unread: int | None = None
    trimmed_unread: int | None = None
    oldest_unread: float | None = None
    pending: int | None = None
    oldest_pending: float | None = None
    consumer_count: int | None = None
    dead: int | None = None


class Pipeline(msgspec.Struct):
    """The stream and the workers at `time`. Ages in seconds; None: not known, or no entry.

    With several streams `stream` is the setting that names them, the numbers are those of all
    together, and `streams` has a part for each.
    """

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
    consumers: list[stream_info.Consumer] = []  # of all machines, at most SHOWN_CONSUMERS
    consumer_count: int | None = None  # of all machines
    dead: int | None = None
    letters: list[Letter] = []
    workers: list[Worker] = []
    elsewhere: int = 0  # live workers of this machine that read from another Redis: left out
    totals: Counts = msgspec.field(default_factory=Counts)  # of all workers that ever ran here
    rate: float = 0.0
    kills: int = 0
    # Of the batches of the last five minutes, by the live workers of this machine.
    # End to end: from XADD to acknowledgement of a batch's oldest entry.
    latency: Quantiles | None = None
    seconds: Quantiles | None = None  # from the read of a batch to its acknowledgement
    size: float | None = None  # entries of a batch
    streams: list[StreamPart] | UnsetType = UNSET  # only if there are several
    paused: Pause | None = None  # since when and why the workers of the group read nothing


class GraphStatus(msgspec.Struct):
    """Neo4j, and its numbers of nodes by label and of links by type."""

    neo4j: Server
    nodes: dict[str, int] = {}
    links: dict[str, int] = {}


class StatusReader:
    """Reads the state of one pipeline. An outage is a result here, and raises nothing."""

    def __init__(self, config: Config, graph: Graph) -> None:
        self._config = config
        self.name, self.group, self.directory = config.stream, config.group, config.directory()
        self.patience = config.watchdog
        self._clients = clients(config.redis_url, self.name, timeout=PATIENCE, retries=1)
        self.graph = graph
        self._letters: list[Letter] = []
        # How many each stream had, and when they were read.
        self._letters_read: tuple[list[int], float] = ([], 0.0)

    def pipeline(self) -> Pipeline:
        """Read Redis and the heartbeats. Blocks for a few seconds at most."""
        parts: Parts = {}

        def read() -> stream_info.StreamFacts:
            found = ask(
                self._clients, lambda client, name: stream_info.stream(client, name, self.group)
            )
            parts.update(found)
            return stream_info.together([*found.values()])

        server, facts = _timed(place(self._clients[0][0]), read)
        if server.refused:
            self._renew()
        now = time.time()
        pipeline = Pipeline(now, self.name, self.group, server)
        if facts is not None:
            pipeline = msgspec.structs.replace(
                pipeline,
                **_numbers(facts, now),
                consumers=_shown(facts.consumers),
                letters=self._newest_letters(parts),
            )
            pipeline.paused = self._pause()
        if len(parts) > 1:
            pipeline.streams = [
                StreamPart(name, str(one))
                if isinstance(one, GraphwriterError)
                else StreamPart(name, **_numbers(one, now))
                for name, one in parts.items()
            ]
        self._add_workers(pipeline, () if facts is None else facts.consumers)
        return pipeline

    def _pause(self) -> Pause | None:
        """Read the pause of the group; None also if our user may not read it."""
        client, (name, *_) = self._clients[0]
        try:
            return pause.read(client, name, self.group)
        except GraphwriterError:
            return None

    def _renew(self) -> None:
        """Connect anew if REDIS_URL_FILE has another URL by now, for the next reading."""
        fresh = self._config.reread()
        if fresh.redis_url != self._config.redis_url:
            self._config = fresh
            for client, _ in self._clients:
                client.close()
            self._clients = clients(fresh.redis_url, self.name, timeout=PATIENCE, retries=1)

    def graph_status(self) -> GraphStatus:
        """Read Neo4j. Blocks for as long as the graph may."""
        server, agent = _timed(self.graph.uri, self.graph.check)
        if agent is None:
            return GraphStatus(server)
        # It answers; if it is too busy to count, that is no outage.
        _, counts = _timed(
            "", lambda: {kind: info.count(self.graph, kind) for kind in (*info.LABELS, *info.LINKS)}
        )
        return GraphStatus(
            server,
            {label: counts[label] for label in info.LABELS} if counts else {},
            {link: counts[link] for link in info.LINKS} if counts else {},
        )

    def _newest_letters(self, parts: Parts) -> list[Letter]:
        numbers = [one.dead for one in parts.values() if isinstance(one, stream_info.StreamFacts)]
        known, when = self._letters_read
        if numbers != known or time.monotonic() - when > LETTERS_KEPT:
            letters: list[Letter] = []
            for name, found in ask(self._clients, self._latest).items():
                letters += [
                    Letter(
                        letter.id,
                        letter.source_id[:TEXT_LIMIT],
                        letter.time,
                        letter.reason[:TEXT_LIMIT],
                        letter.error[:TEXT_LIMIT],
                        name if len(parts) > 1 else UNSET,
                    )
                    for letter in (() if isinstance(found, GraphwriterError) else found)
                ]
            letters.sort(key=lambda letter: order(letter.id), reverse=True)
            self._letters = letters[:SHOWN_LETTERS]
            self._letters_read = (numbers, time.monotonic())
        return self._letters

    def _latest(self, client: Client, name: str) -> tuple[DeadLetter, ...]:
        return DeadLetters(client, name, self.group).latest(SHOWN_LETTERS)

    def _add_workers(self, pipeline: Pipeline, consumers: Sequence[stream_info.Consumer]) -> None:
        pending = {consumer.name: consumer.pending for consumer in consumers}
        states = [
            state
            for state in heartbeat.read_all(self.directory, stopped=True)
            if (state.stream, state.group) == (pipeline.stream, pipeline.group)
        ]
        own = (None, pipeline.redis.place)  # None: a worker of an earlier release
        others = [state for state in states if state.redis not in own]
        states = [state for state in states if state.redis in own]
        pipeline.elsewhere = len({state.consumer for state in others if state.there})
        for state in states:
            pipeline.totals = pipeline.totals.plus(state.total)
        recent = Spreads()
        newest = heartbeat.newest(state for state in states if state.doing != heartbeat.STOPPED)
        for name, state in sorted(newest.items()):
            alive = state.there
            recent = recent.plus(state.recent) if alive else recent
            pipeline.workers.append(
                Worker(
                    consumer=name,
                    pid=state.pid,
                    alive=alive,
                    doing=state.doing,
                    progress_age=round(max(0.0, pipeline.time - state.progress), 1),
                    rate=round(state.rate(pipeline.time), 1) if alive else 0.0,
                    pending=pending.get(name),
                    counts=state.counts,
                    error=state.error,
                    last_error=state.last_error,
                    stuck=alive and state.stuck(self.patience),
                )
            )
        pipeline.latency = _quantiles(recent.latency, LATENCY)
        pipeline.seconds = _quantiles(recent.seconds, SECONDS)
        pipeline.size = recent.sizes.sum / recent.sizes.count if recent.sizes.count else None
        pipeline.rate = sum(worker.rate for worker in pipeline.workers)
        pipeline.kills = heartbeat.kills(self.directory)


def _numbers(facts: stream_info.StreamFacts, now: float) -> dict[str, Any]:
    """Return what `Pipeline` and `StreamPart` have in common."""
    return {
        "length": facts.length,
        "added": facts.added,
        "group_exists": facts.group_exists,
        "unread": facts.unread,
        "trimmed_unread": facts.trimmed_unread,
        "oldest_unread": _age(now, facts.oldest_unread),
        "pending": facts.pending,
        "oldest_pending": _age(now, facts.oldest_pending),
        "consumer_count": len(facts.consumers),
        "dead": facts.dead,
    }


def _shown(consumers: Sequence[stream_info.Consumer]) -> list[stream_info.Consumer]:
    """Return the consumers with the most pending entries, then those seen last, by name."""
    first = sorted(consumers, key=lambda one: (-one.pending, one.idle))[:SHOWN_CONSUMERS]
    return sorted(first, key=lambda consumer: consumer.name)


def _timed(where: str, read: Callable[[], T]) -> tuple[Server, T | None]:
    start = time.monotonic()
    try:
        result = read()
    except GraphwriterError as error:
        refused = isinstance(error, ConfigError)
        return Server(where, False, time.monotonic() - start, str(error), refused), None
    return Server(where, True, time.monotonic() - start), result


def _quantiles(spread: Spread, bounds: Sequence[float]) -> Quantiles | None:
    median, most = spread.quantile(bounds, 0.5), spread.quantile(bounds, 0.99)
    return None if median is None or most is None else Quantiles(median, most)


def _age(now: float, then: float | None) -> float | None:
    return None if then is None else max(0.0, now - then)


def problems(pipeline: Pipeline, graph: GraphStatus) -> list[str]:
    """Return a line for everything that keeps events from being written; none if healthy."""
    lines = [
        f"{name} {server.problem}: {server.reason}"
        for name, server in (("Redis", pipeline.redis), ("Neo4j", graph.neo4j))
        if not server.up
    ]
    if not any(worker.alive for worker in pipeline.workers):
        lines.append("no worker is alive on this machine")
    elif all(worker.stuck for worker in pipeline.workers if worker.alive):
        lines.append("no local worker is making progress")
    return lines


def warnings(pipeline: Pipeline) -> list[str]:
    """Return a line for everything that a person should check."""
    lines = []
    if pipeline.paused:
        lines.append(f"paused {paused(pipeline.paused, pipeline.time)}")
    if pipeline.elsewhere:
        lines.append(
            f"{counted(pipeline.elsewhere, 'worker')} of this run directory left out: another Redis"
        )
    for worker in pipeline.workers:
        if not worker.alive:
            lines.append(f"{worker.consumer} has ended")
        elif worker.progress_age > SLOW:
            lines.append(f"{worker.consumer} made no progress for {worker.progress_age:.0f} s")
    if pipeline.trimmed_unread:
        lines.append(f"{pipeline.trimmed_unread:,} entries were trimmed before they were read")
    if pipeline.totals.lost:
        lines.append(f"{pipeline.totals.lost:,} entries were lost before they were written")
    newest = max((order(letter.id)[0] / 1000 for letter in pipeline.letters), default=pipeline.time)
    if pipeline.dead and pipeline.time - newest < RECENT_LETTERS:
        lines.append(counted(pipeline.dead, "dead letter"))
    return lines


def paused(found: Pause, now: float) -> str:
    """Return since when, by whom and why a group is paused."""
    who = f" by {found.by}" if found.by else ""
    why = f": {found.reason}" if found.reason else ""
    return f"for {age(max(0.0, now - found.since))}{who}{why}"


class Summary(msgspec.Struct):
    """What only several readings show."""

    incoming: float | None = None  # entries per second that producers add
    behind: bool = False  # there is an old lag, and it did not fall within a minute
    rates: list[float] = []  # events per second at each reading, oldest first


class Trend:
    """Keeps the last readings."""

    def __init__(self) -> None:
        self._points: deque[Pipeline] = deque(maxlen=POINTS)

    def add(self, pipeline: Pipeline) -> Summary:
        """Add a reading, and return what all of them show."""
        self._points.append(pipeline)
        return Summary(
            self._incoming(pipeline),
            self._behind(pipeline),
            [point.rate for point in self._points],
        )

    def _incoming(self, last: Pipeline) -> float | None:
        for point in self._points:
            if point.added is not None and 0 < last.time - point.time <= RATE_PERIOD:
                now = last.added
                return None if now is None else max(0, now - point.added) / (last.time - point.time)
        return None

    def _behind(self, last: Pipeline) -> bool:
        if last.unread is None or (last.oldest_unread or 0.0) < BACKLOG_PERIOD:
            return False
        before = [point for point in self._points if last.time - point.time >= BACKLOG_PERIOD]
        return bool(before) and before[-1].unread is not None and before[-1].unread <= last.unread


def as_json(pipeline: Pipeline, graph: GraphStatus, summary: Summary) -> dict[str, Any]:
    """Return one object for JSON with the keys of all three."""
    parts = map(msgspec.to_builtins, (pipeline, graph, summary))
    return {name: value for part in parts for name, value in part.items()}
