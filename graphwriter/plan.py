"""What a pipeline needs in machines, memory and disk, reckoned from what was measured.

The arithmetic is plain on purpose: each figure is a measured one times what is asked for, and the
answer says how far that is from where it was measured.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from graphwriter.errors import ConfigError

SAFE = 0.7  # share of the measured best to plan with: an outage of an hour is caught up in 2 h 20
SPARE = 1.3  # memory and disk beyond what the arithmetic gives: fragments, replicas' buffers, peaks
LOG = 2 * 2**30  # bytes of Neo4j's transaction log, by its default retention
SYSTEM = 2 * 2**30  # bytes that the system and Neo4j's own buffers take beside heap and page cache
PROPERTIES = 2**36  # property records that a database in the community's store format can have
LEAST = 2  # workers: one that dies must not stop the stream
FASTER = "a faster machine for Neo4j alone"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SIZES = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def _figure(default: Any, script: str) -> Any:
    return field(default=default, metadata={"command": f"python bench/{script}.py"})


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the plan rests on, each with the command that measures it. Bytes, microseconds."""

    machine: str = _figure("Intel Xeon, 2 cores, with Redis, Neo4j and workers on them", "pipeline")
    # (workers, events a second)
    rates: tuple[tuple[int, float], ...] = _figure(
        ((1, 11460.0), (2, 12697.0), (4, 11931.0), (8, 11393.0)), "pipeline"
    )
    rates_posts: int = _figure(30_000, "pipeline")  # posts in the graph at the end of it
    worker_cpu: float = _figure(22.7, "pipeline")
    server_cpu: float = _figure(87.7, "pipeline")
    worker_memory: int = _figure(68_100_000, "pipeline")
    event_bytes: int = _figure(776, "memory")
    entry_extra: int = _figure(24, "memory")  # of an entry in Redis, beside the event
    post_bytes: int = _figure(744, "growth")  # on disk, with all that belongs to a post
    index_bytes: int = _figure(157, "growth")  # of those
    post_properties: float = _figure(11.87, "growth")  # property records
    growth_posts: int = _figure(2_000_000, "growth")  # posts in the graph at the end of it

    @property
    def best(self) -> tuple[int, float]:
        """The number of workers with the best rate, and the rate."""
        return max(self.rates, key=lambda one: one[1])


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is asked for, and the largest machines to be had. Seconds, bytes; events a second."""

    rate: float  # on average: it decides how many posts are kept
    retention: float
    peak: float | None = None  # the rate that has to be written; None: the average
    outage: float = 3600.0  # how long Neo4j may be away before the stream outgrows its Redis
    event_bytes: int | None = None  # of an event as JSON; None: as measured
    cores: float = 2  # of a machine for workers
    neo4j_memory: int = 64 * 2**30
    neo4j_heap: int = 8 * 2**30
    neo4j_disk: int = 2 * 2**40
    redis_memory: int = 16 * 2**30

    @property
    def highest(self) -> float:
        """The rate at the peak."""
        return self.rate if self.peak is None else self.peak


@dataclass(frozen=True)
class Resource:
    """One thing that can end: how much is needed of how much there is, and what to do then."""

    name: str
    needed: float
    limit: float
    unit: str
    next_step: str

    @property
    def share(self) -> float:
        """How much of it is taken; above 1 it does not suffice."""
        return self.needed / self.limit


@dataclass(frozen=True)
class Plan:
    """The answer."""

    workers: int
    worker_machines: int
    worker_memory: int  # bytes, of all workers
    neo4j_cores: int  # that the writes keep busy at the peak; questions need more
    one_machine: bool  # whether the measured one's cores, shared by all, carry it
    posts: int
    catch_up: float | None  # seconds to write an outage's backlog; None: never
    page_cache_best: int  # bytes with which nothing is read from disk
    resources: list[Resource]  # the one that ends first comes first
    sureness: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        shown = [asdict(one) | {"share": round(one.share, 4)} for one in self.resources]
        return asdict(self) | {"resources": shown, "ends_first": self.resources[0].name}


def plan(wanted: Wanted, measured: Measured) -> Plan:
    """Return what `wanted` takes.

    Raises:
        ConfigError: Neo4j's memory has no room for a page cache beside its heap, or the peak is
            below the average.
    """
    if wanted.highest < wanted.rate:
        raise ConfigError(
            f"--peak is {wanted.highest:g}: it has to be at least --rate, which is {wanted.rate:g}"
        )
    if wanted.neo4j_memory <= (least := wanted.neo4j_heap + SYSTEM):
        raise ConfigError(
            f"--neo4j-memory is {_size(wanted.neo4j_memory)}: it has to be above {_size(least)}, "
            f"--neo4j-heap ({_size(wanted.neo4j_heap)}) and {_size(SYSTEM)} for the system"
        )
    _, best = measured.best
    enough = [one for one in sorted(measured.rates) if SAFE * one[1] >= wanted.highest]
    workers, written = enough[0] if enough else measured.best
    cores = wanted.highest * measured.worker_cpu / 1e6 / SAFE
    workers = max(LEAST, workers, math.ceil(cores))  # none takes more than a core
    posts = math.ceil(wanted.rate * wanted.retention)
    store = posts * measured.post_bytes
    resources, left = _resources(wanted, measured, best, posts), written - wanted.highest
    caught_up = wanted.highest * wanted.outage / left if left > 0 else None
    return Plan(
        workers=workers,
        worker_memory=workers * measured.worker_memory,
        worker_machines=math.ceil(cores / wanted.cores),
        neo4j_cores=math.ceil(wanted.highest * measured.server_cpu / 1e6 / SAFE),
        one_machine=bool(enough) and all(one.share <= 1 for one in resources),
        posts=posts,
        catch_up=caught_up,
        page_cache_best=math.ceil(store * 1.1),
        resources=sorted(resources, key=lambda one: -one.share),
        sureness=_certainty(wanted, measured, posts),
    )


def _resources(wanted: Wanted, measured: Measured, best: float, posts: int) -> list[Resource]:
    entry = (wanted.event_bytes or measured.event_bytes) + measured.entry_extra
    backlog = wanted.highest * wanted.outage * entry * SPARE
    disk = posts * measured.post_bytes * SPARE + LOG
    # The index on post_id is met at random places by every new post, so it has to be in memory; of
    # the rest only the newest is.
    cache = posts * measured.index_bytes * SPARE
    room = wanted.neo4j_memory - wanted.neo4j_heap - SYSTEM
    writes, size = wanted.highest / (SAFE * best), disk / wanted.neo4j_disk
    properties = posts * measured.post_properties
    return [
        Resource(
            "Neo4j writes",
            wanted.highest,
            round(SAFE * best, 1),
            "events/s",
            _shards(writes, FASTER),
        ),
        Resource("Neo4j disk", disk, wanted.neo4j_disk, "bytes", _shards(size)),
        Resource("Neo4j page cache", cache, room, "bytes", _shards(cache / room)),
        Resource(
            "Neo4j property records",
            properties,
            PROPERTIES,
            "records",
            _shards(properties / PROPERTIES),
        ),
        Resource(
            "Redis memory",
            backlog,
            wanted.redis_memory,
            "bytes",
            f"a Redis Cluster with {_number(backlog / wanted.redis_memory)} streams, since one "
            "stream is on one node: GRAPH_WRITER_STREAM names them, and one pool reads them all; "
            "or a shorter outage",
        ),
    ]


def _shards(share: float, first: str = "a larger machine or a shorter retention") -> str:
    return (
        f"{first}; then sharding by channel over {_number(share)} databases, each with its own "
        "server, stream and workers; a Neo4j cluster adds readers and survives the loss "
        "of a server, but does not write faster or store more, since one member leads and each has "
        "all data"
    )


def _number(share: float) -> int:
    return max(2, math.ceil(share))


def _certainty(wanted: Wanted, measured: Measured, posts: int) -> list[str]:
    _, best = measured.best
    size = wanted.event_bytes or measured.event_bytes
    return [
        f"rates were measured on: {measured.machine}; for another machine: make bench",
        f"{wanted.highest:,g} events/s is {wanted.highest / best:.0%} of the best measured rate",
        f"rates were measured up to {measured.rates_posts:,} posts: "
        + _distance(posts / measured.rates_posts),
        f"bytes per post were measured up to {measured.growth_posts:,} posts: "
        + _distance(posts / measured.growth_posts),
        f"events of {size:,} bytes; measured: {measured.event_bytes:,}",
        "every event counts as a new post: edits need less",
        *(["the average is taken for the peak, too: give --peak"] if wanted.peak is None else []),
    ]


def _distance(times: float) -> str:
    if times <= 1:
        return "the plan is within this range"
    guess = "" if times <= 10 else ", a guess without a measurement"
    return f"extrapolated {times:,.0f} times{guess}"


def improved(measured: Measured, answer: Mapping[str, Any]) -> Measured:
    """Return `measured` with the figures of a result of pipeline, growth or memory.

    Raises:
        ConfigError: it is not such a result, or lacks figures.
    """
    try:
        figures, options = answer["figures"], answer["options"]
        if "rates" in answer and "best workers" in figures:
            return _from_pipeline(measured, answer)
        if "bytes a post on disk" in figures:
            return replace(
                measured,
                post_bytes=int(figures["bytes a post on disk"]),
                index_bytes=int(figures["of which indexes"]),
                post_properties=float(figures["property records a post"]),
                growth_posts=int(options["events"]),
            )
        if "bytes of an event, text 0" in figures:
            size = int(figures["bytes of an event, text 0"])
            entry = int(figures["bytes of its entry in Redis, text 0"])
            return replace(measured, event_bytes=size, entry_extra=entry - size)
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
        raise ConfigError(f"lacks a figure, or has an invalid one: {error}") from None
    raise ConfigError("is not a result of bench/pipeline.py, growth.py or memory.py")


def _from_pipeline(measured: Measured, answer: Mapping[str, Any]) -> Measured:
    figures, machine = answer["figures"], answer["machine"]
    rates = tuple(
        (int(name.split()[0]), float(each))
        for name, each in answer["rates"].items()
        if re.fullmatch(r"\d+ workers", name)
    )
    runs = answer["measurements"]["2 workers"]
    if not rates or min(each for _, each in rates) <= 0:
        raise ValueError("rates of workers")
    return replace(
        measured,
        machine=f"{machine['cpu']}, {machine['cores']} cores, with all processes on them",
        rates=rates,
        rates_posts=int(answer["options"]["events"]),
        worker_cpu=float(figures["worker's CPU, microseconds an event"]),
        server_cpu=sum(float(run["server_cpu"]) for run in runs) / len(runs),
        worker_memory=int(figures["resident bytes of a worker"]),
    )


def duration(name: str, text: str) -> float:
    """Return the seconds of a time such as `30d`, `12h`, `90m` or `45s`.

    Raises:
        ConfigError: it is something else.
    """
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smhdw])", text.strip().lower())
    seconds = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if not seconds:
        raise ConfigError(f"{name} is {text!r}: give a time above zero such as 30d, 12h, 90m, 45s")
    return seconds


def size(name: str, text: str) -> int:
    """Return the bytes of a size such as `800`, `512m`, `64g` or `2t`.

    Raises:
        ConfigError: it is something else.
    """
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,9})?)([kmgt]?)b?", text.strip().lower())
    count = int(float(found[1]) * _SIZES[found[2]]) if found else 0
    if not count:
        raise ConfigError(f"{name} is {text!r}: give a size above zero such as 800, 512m, 64g, 2t")
    return count


def _size(count: int) -> str:
    """Return bytes in the form that `size` reads."""
    unit = next((one for one in "tgmk" if count >= _SIZES[one]), "")
    return f"{count / _SIZES[unit]:g}{unit}"


def number(name: str, text: str) -> float:
    """Return a number above zero.

    Raises:
        ConfigError: it is not.
    """
    value = float(text) if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text.strip()) else 0.0
    if not value:
        raise ConfigError(f"{name} is {text!r}: give a number above zero")
    return value
