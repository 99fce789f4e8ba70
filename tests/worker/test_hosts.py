"""Several machines in one group, each a network namespace linked to that of the servers."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import neo4j
import pytest
import redis
from support.model import Model, assert_same, read_graph
from support.names import GROUP, STREAM
from support.product import digest
from support.proxy import carry
from support.waits import until

from graphwriter.producers.demo.demo import Demo
from graphwriter.producers.publisher import EventPublisher
from graphwriter.stream import DeadLetters, Stream, info
from graphwriter.worker.heartbeat import WorkerState, read_all

NETWORK = "198.18.77"  # of those that are for tests between networks (RFC 2544)
PROGRAMS = Path(sys.executable).parent

# As tight as they may be: claim idle > watchdog > timeout + retry.
TIMES = {
    "GRAPH_WRITER_TIMEOUT": "2",
    "GRAPH_WRITER_RETRY": "1",
    "GRAPH_WRITER_WATCHDOG": "4",
    "GRAPH_WRITER_CLAIM_IDLE": "5",
    "GRAPH_WRITER_STOP_WAIT": "7",
    "GRAPH_WRITER_WORKERS": "1",
    "GRAPH_WRITER_BATCH_SIZE": "50",
    "GRAPH_WRITER_EXPORTER": "false",
}


def run(*command: str) -> None:
    """Run a command that has to succeed; a failure shows its output."""
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=20)


class Relay:
    """Carries what comes to an address of the servers' machine to a server that listens inside it.

    What a host that is cut off had open stays open towards the server, as it does in life.
    """

    def __init__(self, address: str, url: str) -> None:
        self._parts = urlsplit(url)
        self._listener = socket.create_server((address, 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """The server's URL with this address in it."""
        host, port = self._listener.getsockname()
        account, at, _ = self._parts.netloc.rpartition("@")
        return self._parts._replace(netloc=f"{account}{at}{host}:{port}").geturl()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection((self._parts.hostname or "", self._parts.port or 0))
            for pair in ((client, server), (server, client)):
                threading.Thread(target=carry, args=pair, daemon=True).start()

    def close(self) -> None:
        """Take no more."""
        self._listener.close()


class Host:
    """A machine: namespaces for network and name, a link to the servers' one, and a pool on it.

    They go with the last process in them, so that nothing is left behind.
    """

    def __init__(self, number: int, folder: Path) -> None:
        self.name = f"host{number}"
        self.run_dir = folder / self.name
        self._link, self._address = (
            f"gw{os.getpid() % 10**6}-{number}",
            f"{NETWORK}.{4 * number + 1}",
        )
        self._own = f"{NETWORK}.{4 * number + 2}"
        self._log = (folder / f"{self.name}.log").open("wb")
        self._pool: subprocess.Popen[bytes] | None = None
        self._keeper = subprocess.Popen(["unshare", "--net", "--uts", "sleep", "infinity"])

    def __enter__(self) -> Self:
        until(
            lambda: (
                Path(f"/proc/{self._keeper.pid}/ns/net").readlink()
                != Path("/proc/self/ns/net").readlink()
            )
        )
        run(
            "ip",
            "link",
            "add",
            self._link,
            "type",
            "veth",
            "peer",
            "eth0",
            "netns",
            str(self._keeper.pid),
        )
        run("ip", "address", "add", f"{self._address}/30", "dev", self._link)
        self.plug(True)
        for command in (
            f"hostname {self.name}",
            "ip link set lo up",
            f"ip address add {self._own}/30 dev eth0",
            "ip link set eth0 up",
        ):
            run(*self._inside(), *command.split())
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            os.killpg(self._pool.pid, signal.SIGTERM)
            try:
                self._pool.wait(30)
            finally:
                self._end()
        self._end()

    def _end(self) -> None:
        self._keeper.kill()
        self._keeper.wait()
        self._log.close()

    def _inside(self) -> list[str]:
        return ["nsenter", "--target", str(self._keeper.pid), "--net", "--uts", "--"]

    @property
    def address(self) -> str:
        """The servers' machine, as this one sees it."""
        return self._address

    def plug(self, there: bool) -> None:
        """Put the cable in or pull it out."""
        run("ip", "link", "set", self._link, "up" if there else "down")

    def start(self, environ: dict[str, str]) -> None:
        """Start a pool of one worker."""
        environ = environ | TIMES | {"GRAPH_WRITER_RUN_DIR": str(self.run_dir)}
        self._pool = subprocess.Popen(
            [*self._inside(), PROGRAMS / "graphwriter", "up"],
            env=os.environ | environ,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def workers(self) -> list[WorkerState]:
        """What its workers last said."""
        return list(read_all(self.run_dir))


@contextmanager
def relayed(address: str, environ: dict[str, str]) -> Iterator[dict[str, str]]:
    """The variables of a pool that reaches the servers of `environ` at `address`."""
    relays = {name: Relay(address, environ[name]) for name in ("REDIS_URL", "NEO4J_URI")}
    try:
        yield environ | {name: relay.url for name, relay in relays.items()}
    finally:
        for relay in relays.values():
            relay.close()


@pytest.fixture
def hosts(pool_environ: dict[str, str], tmp_path: Path) -> Iterator[list[Host]]:
    """Two machines with a worker each, on one group."""
    with ExitStack() as stack:
        try:
            made = [stack.enter_context(Host(number, tmp_path)) for number in (0, 1)]
        except (OSError, subprocess.CalledProcessError, AssertionError) as error:
            why = getattr(error, "stderr", None) or error
            pytest.skip(f"no network namespaces here: {why}")
        for host in made:
            host.start(stack.enter_context(relayed(host.address, pool_environ)))
        for host in made:
            until(lambda host=host: [one for one in host.workers() if one.doing == "reading"])  # type: ignore[misc]
        yield made


def pending(client: redis.Redis, host: Host) -> int:
    """How many entries are pending with the host's worker."""
    rows = client.xinfo_consumers(STREAM, GROUP)
    return sum(row["pending"] for row in rows if row["name"].decode() == f"{host.name}-00")


def publish(url: str, events: Demo) -> None:
    """Add events to the stream."""
    with EventPublisher(url) as publisher:
        publisher.publish_all(events)


def assert_kept(client: redis.Redis, driver: neo4j.Driver) -> None:
    """Every entry of the stream is in the graph, once and right, or a dead letter."""
    model = Model(time.time, digest)
    entries: Any = client.xrange(STREAM)
    refused = {key.decode() for key, fields in entries if model.apply(fields, key.decode())}
    assert {letter.source_id for letter in DeadLetters(client, STREAM, GROUP).list()} == refused
    assert_same(model.graph(), read_graph(driver))


@pytest.mark.skipif(not shutil.which("unshare"), reason="no network namespaces on this system")
@pytest.mark.slow
def test_a_host_that_is_cut_off_mid_batch_loses_nothing_and_comes_back(
    hosts: list[Host], pool_environ: dict[str, str], redis_client: redis.Redis, driver: neo4j.Driver
) -> None:
    """The other host claims its entries; when the link is restored it reads again."""
    url = pool_environ["REDIS_URL"]
    stream = Stream(url, STREAM, GROUP, "test")
    cut, other = hosts
    publish(url, Demo(3000))
    until(lambda: [one for one in cut.workers() if one.counts.written])
    cut.plug(False)
    assert pending(redis_client, cut)
    until(lambda: info.drained(stream.client, stream.name, stream.group))
    assert pending(redis_client, cut) == 0
    assert [one.counts.claimed for one in other.workers()] > [0]
    assert_kept(redis_client, driver)

    cut.plug(True)
    before = {one.pid: one.counts.entries for one in cut.workers()}
    until(lambda: back(cut, url, before), 90)
    until(lambda: info.drained(stream.client, stream.name, stream.group))
    assert_kept(redis_client, driver)
    stream.close()


def back(host: Host, url: str, before: dict[int, int]) -> bool:
    """Publish a few events; return whether the host's worker got some of them."""
    publish(url, Demo(100, seed=time.monotonic_ns()))
    time.sleep(0.3)
    return any(one.counts.entries > before.get(one.pid, 0) for one in host.workers())
