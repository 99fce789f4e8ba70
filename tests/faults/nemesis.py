"""The faults of the campaign: each strikes a running pool or its servers, and heals what it did."""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import IO, Any

import psutil
import redis
from support.names import GROUP, STREAM
from support.proxy import Proxy

from graphwriter import partitions
from graphwriter.config import load
from graphwriter.embedded import Neo4j, Valkey
from graphwriter.worker.pool import Pool

CLAIM_IDLE = 8.0  # seconds
HALF_APPENDED = "internal.dbms.tx_log.fail_on_corrupted_log_files"
HOOKS = Path(__file__).parent / "hooks"
SETTINGS = {
    "GRAPH_WRITER_WORKERS": "3",
    "GRAPH_WRITER_BATCH_SIZE": "200",
    "GRAPH_WRITER_BLOCK": "0.2",
    "GRAPH_WRITER_TIMEOUT": "2",
    "GRAPH_WRITER_RETRY": "2",
    "GRAPH_WRITER_WATCHDOG": "6",
    "GRAPH_WRITER_CLAIM_IDLE": str(CLAIM_IDLE),
    "GRAPH_WRITER_STOP_WAIT": "10",
}


@dataclass
class Field:
    """What a fault can reach: the servers, the links to them, and the pool."""

    random: Random
    neo4j: Neo4j
    valkey: Valkey
    to_neo4j: Proxy
    to_valkey: Proxy
    folder: Path
    log: IO[bytes]
    pools: list[Pool] = field(default_factory=list)
    # Stream and id of entries whose bodies a fault took away.
    deleted: set[tuple[str, bytes]] = field(default_factory=set)
    setting: str = STREAM  # the streams
    disk: Path | None = None  # a small one with Neo4j's data, where this account may mount it

    @property
    def pool(self) -> Pool:
        """The pool that runs now."""
        return self.pools[-1]

    @property
    def streams(self) -> tuple[str, ...]:
        """The names of the streams."""
        return partitions.names(self.setting)

    @property
    def clock(self) -> Path:
        """The file that says by how much the workers' clock is wrong."""
        return self.folder / "clock"

    def start_pool(self) -> None:
        """Start a pool behind the links."""
        environ = SETTINGS | {
            "REDIS_URL": self.to_valkey.url,
            "GRAPH_WRITER_STREAM": self.setting,
            "NEO4J_URI": self.to_neo4j.url,
            "GRAPH_WRITER_RUN_DIR": str(self.folder / "run"),
            "GRAPH_WRITER_EXPORTER": "false",
            "GRAPH_WRITER_ENRICH": "links,media,albums",
            "PYTHONPATH": str(HOOKS),
            "CLOCK_OFFSET": str(self.clock),
        }
        config = load(environ)
        self.pools.append(Pool(config, config.directory(), environ, self.log))
        self.pool.start(60)

    def stop_pools(self) -> None:
        """Stop every pool that is left."""
        for pool in self.pools:
            pool.stop()

    def client(self) -> redis.Redis:
        """A client of the stream's server itself, past the link."""
        return redis.Redis.from_url(self.valkey.url, socket_timeout=10)

    def worker(self) -> psutil.Process | None:
        """One of the workers."""
        found = [state.pid for state in self.pool.workers() if psutil.pid_exists(state.pid)]
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.random.choice(found)) if found else None
        return None

    def pause(self, least: float, most: float) -> None:
        """Wait some time between two bounds, in seconds."""
        time.sleep(self.random.uniform(least, most))


Fault = Callable[[Field], None]


def _signal(number: int) -> Fault:
    def strike(on: Field) -> None:
        if worker := on.worker():
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.send_signal(number)

    return strike


def kill_every_worker(on: Field) -> None:
    """As the out-of-memory killer might."""
    for state in on.pool.workers():
        with contextlib.suppress(ProcessLookupError):
            os.kill(state.pid, signal.SIGKILL)


def oversleep(on: Field) -> None:
    """A worker sleeps past the claim time, is taken for dead, and then goes on with its batch.

    The watchdog sleeps too, else it would have ended the worker first.
    """
    family = psutil.Process(on.pool.pid).children()
    sleepers = [one for one in family if "watchdog" in one.cmdline()]
    if worker := on.worker():
        sleepers.append(worker)
    with contextlib.suppress(psutil.NoSuchProcess):
        for one in sleepers:
            one.suspend()
        time.sleep(1.6 * CLAIM_IDLE)  # a sweep comes every half of it at the latest
        for one in reversed(sleepers):
            one.resume()
            time.sleep(1.0)  # the worker's heartbeat first, then the one who looks at it


def kill_supervisor(on: Field) -> None:
    """A new pool starts at once, beside the orphans of the old one."""
    os.kill(on.pool.pid, signal.SIGKILL)
    on.start_pool()


def _restart(which: str, *, kill: bool) -> Fault:
    def strike(on: Field) -> None:
        server: Neo4j | Valkey = getattr(on, which)
        if kill:
            server.kill()
        else:
            server.stop()
        on.pause(0.0, 3.0)
        server.start()

    return strike


def read_only(on: Field) -> None:
    """Neo4j comes back without taking writes, as one does whose disk is full; then as it was."""
    on.neo4j.stop()
    on.neo4j.settings["server.databases.default_to_read_only"] = "true"
    on.neo4j.start()
    on.pause(1.0, 4.0)
    on.neo4j.stop()
    del on.neo4j.settings["server.databases.default_to_read_only"]
    on.neo4j.start()


def fill_disk(on: Field) -> None:
    """Neo4j's disk is full until a person makes room and starts it again.

    It stops its database at the first append to the log that fails, and does not open it again by
    itself where that append got half way: the setting has recovery drop what was never committed.
    """
    if on.disk is None:
        read_only(on)
        return
    filler = on.disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(1 << 20)) == 1 << 20:
            pass
    on.pause(2.0, 5.0)
    on.neo4j.stop()
    filler.unlink()
    on.neo4j.settings[HALF_APPENDED] = "false"
    on.neo4j.start()
    del on.neo4j.settings[HALF_APPENDED]


def set_clock(on: Field) -> None:
    """The workers' clock is set wrong, up to ten years ahead or back, and then right again."""
    wrong = on.random.choice((-1, 1)) * 10 ** on.random.uniform(1, 8.5)
    with on.clock.open("r+b", buffering=0) as file:  # in place: workers have it mapped
        for seconds in (wrong, 0.0):
            file.seek(0)
            file.write(struct.pack("d", seconds))
            on.pause(1.0, 5.0)


def _freeze(which: str) -> Fault:
    def strike(on: Field) -> None:
        server = psutil.Process(getattr(on, which).pid)
        server.suspend()
        try:
            on.pause(0.5, 5.0)
        finally:
            server.resume()

    return strike


def _link(which: str, what: str, value: Any) -> Fault:
    def strike(on: Field) -> None:
        proxy: Proxy = getattr(on, which)
        if what == "cut":
            proxy.cut()
            return
        before = getattr(proxy, what)
        setattr(proxy, what, value)
        if what == "refuse":
            proxy.cut()
        on.pause(0.5, 4.0)
        setattr(proxy, what, before)

    return strike


def _lost(which: str, when: Callable[[bytes], bool], *, half: bool = False) -> Fault:
    def strike(on: Field) -> None:
        proxy: Proxy = getattr(on, which)
        if not proxy.drop_next_reply(when, half=half).wait(5):
            proxy.drop_nothing()  # there was nothing to lose

    return strike


def _of_commit(piece: bytes) -> bool:
    return b"bookmark" in piece


def _of_read(piece: bytes) -> bool:
    return STREAM.encode() in piece[:80]  # every stream's name begins with it


def _of_ack(piece: bytes) -> bool:
    return piece.startswith(b":")


def _any(_piece: bytes) -> bool:
    return True


def kill_clients(on: Field) -> None:
    """CLIENT KILL of every connection but this one."""
    with on.client() as client:
        client.client_kill_filter(_type="normal", skipme=True)


def destroy_group(on: Field) -> None:
    """Everything in a stream is delivered once more."""
    with on.client() as client:
        client.xgroup_destroy(on.random.choice(on.streams), GROUP)


def delete_bodies(on: Field) -> None:
    """Entries are given to a consumer that dies with them, and are deleted: lost, and known."""
    stream = on.random.choice(on.streams)
    with on.client() as client, contextlib.suppress(redis.ResponseError):
        reply: Any = client.xreadgroup(GROUP, "ghost", {stream: ">"}, count=5)
        ids = {key for _, entries in reply or [] for key, _ in entries}
        if ids:
            on.deleted |= {(stream, key) for key in ids}
            client.xdel(stream, *ids)


# How often each comes, and what it does. Long ones are rare.
FAULTS: dict[str, tuple[int, Fault]] = {
    "worker killed": (6, _signal(signal.SIGKILL)),
    "worker told to stop": (3, _signal(signal.SIGTERM)),
    "worker aborted": (1, _signal(signal.SIGABRT)),
    "every worker killed": (2, kill_every_worker),
    "worker oversleeps the claim": (1, oversleep),
    "supervisor killed": (2, kill_supervisor),
    "valkey restarted": (3, _restart("valkey", kill=False)),
    "valkey killed": (3, _restart("valkey", kill=True)),
    "neo4j restarted": (2, _restart("neo4j", kill=False)),
    "neo4j killed": (3, _restart("neo4j", kill=True)),
    "neo4j read-only": (1, read_only),
    "neo4j's disk full": (1, fill_disk),
    "clock set": (2, set_clock),
    "valkey frozen": (2, _freeze("valkey")),
    "neo4j frozen": (2, _freeze("neo4j")),
    "link to neo4j cut": (4, _link("to_neo4j", "cut", None)),
    "link to valkey cut": (4, _link("to_valkey", "cut", None)),
    "link to neo4j refused": (2, _link("to_neo4j", "refuse", True)),
    "link to valkey refused": (2, _link("to_valkey", "refuse", True)),
    "link to neo4j deaf": (2, _link("to_neo4j", "deaf", True)),
    "link to valkey deaf": (2, _link("to_valkey", "deaf", True)),
    "link to neo4j slow": (2, _link("to_neo4j", "delay", 0.3)),
    "link to valkey slow": (2, _link("to_valkey", "delay", 0.3)),
    "answer to COMMIT lost": (6, _lost("to_neo4j", _of_commit)),
    "answer to XREADGROUP lost": (6, _lost("to_valkey", _of_read)),
    "answer to XREADGROUP halved": (3, _lost("to_valkey", _of_read, half=True)),
    "answer to XACK lost": (6, _lost("to_valkey", _of_ack)),
    "answer of neo4j halved": (3, _lost("to_neo4j", _any, half=True)),
    "clients killed": (3, kill_clients),
    "group destroyed": (1, destroy_group),
    "bodies deleted": (3, delete_bodies),
}


def schedule(random: Random, count: int) -> list[str]:
    """Return the names of `count` faults: each once, if there is room, then by weight."""
    names = list(FAULTS)
    weights = [weight for weight, _ in FAULTS.values()]
    chosen = (
        names[:count]
        if count < len(names)
        else names + random.choices(names, weights, k=count - len(names))
    )
    random.shuffle(chosen)
    return chosen
