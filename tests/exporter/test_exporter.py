"""The exporter as a server: who may read, what it refuses, and how it ends."""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from support.exporter import Exporter
from support.names import GROUP, STREAM
from support.proxy import Proxy
from support.waits import until

from graphwriter.config import load
from graphwriter.errors import EXIT_CONFIG, ConfigError
from graphwriter.exporter import site

TOKEN = "a-token-of-enough-characters"
Start = Callable[..., Exporter]


def test_it_reads_only_answers_only_those_of_this_machine_and_ends_in_good_order(
    exporter: Start,
) -> None:
    """Other methods, other paths, another host's name: refused; TERM: exit code 0."""
    one = exporter()
    assert one.get().code == one.get("healthz").code == one.get("metrics").code == 200
    assert [one.get(method=method).code for method in ("POST", "PUT", "DELETE")] == [405] * 3
    assert one.get("../etc/passwd").code == one.get("x").code == 404
    assert one.get(headers={"Host": "evil.example"}).code == 403
    assert one.get("metrics", headers={"Host": "evil.example:9640"}).code == 403
    assert one.get(headers={"Host": "localhost:1"}).code == 200
    for path in ("", "live", "metrics", "status.json", "healthz"):
        for answer in (one.get(path), one.get(path, method="HEAD")):
            assert answer.code == 200
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == "no-store"
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
        assert answer.text == ""
        assert int(answer.headers["content-length"]) > 0
    assert one.stop() == 0


def raw(one: Exporter, request: bytes) -> int:
    """Send what no client library would; return the code of the answer."""
    with socket.create_connection(where(one), 10) as connection:
        connection.sendall(request)
        return int(connection.makefile("rb").readline().split()[1])


def where(one: Exporter) -> tuple[str, int]:
    return "127.0.0.1", int(one.url.rpartition(":")[2].strip("/"))


def test_a_host_header_is_taken_at_its_word(exporter: Start) -> None:
    """This machine's names, in whichever form; nothing that merely looks like one; none at all."""
    one = exporter()
    for host in ("localhost", "LOCALHOST.:9640", "127.0.0.1:1", "[::1]", "[::1]:9640"):
        assert one.get(headers={"Host": host}).code == 200, host
    for host in (
        "/evil.example", "127.0.0.1:80@evil", "evil:127.0.0.1", "localhost, evil", "[::1", "",
        "::1", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1:", "localhost..",
    ):  # fmt: skip
        asked = f" HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        assert (raw(one, b"GET /" + asked), raw(one, b"GET /healthz" + asked)) == (403, 200), host
    assert raw(one, b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n") == 403
    assert raw(one, b"GET /metrics HTTP/1.0\r\n\r\n") == 200


@pytest.mark.parametrize(
    "held",
    [b"GET / HTTP/1.1\r\nX: ", b"", b"GET / HTTP/1.1\r\n\r\n"],
    ids=["slow", "silent", "kept"],
)
def test_who_holds_connections_keeps_nobody_out(exporter: Start, held: bytes) -> None:
    """More than are served at once: in the midst of a request, silent, and between requests."""
    one = exporter(GRAPH_WRITER_EXPORTER_TOKEN=TOKEN)
    holding = []
    try:
        for _ in range(70):
            holding.append(socket.create_connection(where(one), 10))
            holding[-1].sendall(held)
        for _ in range(5):
            start = time.monotonic()
            assert one.get("healthz").code == 200
            assert time.monotonic() - start < 3
            for each in holding:
                with contextlib.suppress(OSError):
                    each.sendall(held and b"a")
            time.sleep(0.5)
    finally:
        for each in holding:
            each.close()


def test_with_a_token_only_those_who_show_it_are_answered(exporter: Start) -> None:
    """As a bearer's, or as anybody's password, as browsers and Prometheus send it."""
    one = exporter(GRAPH_WRITER_EXPORTER_TOKEN=TOKEN)

    def basic(text: str) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}

    for path in ("", "live", "metrics", "status.json"):
        assert one.get(path).code == 401
        assert one.get(path, {"Authorization": f"Bearer {TOKEN}"}).code == 200
        assert one.get(path, basic(f"anybody:{TOKEN}")).code == 200
        for wrong in (basic("anybody:wrong"), basic(""), {"Authorization": f"Bearer {TOKEN}x"}):
            assert one.get(path, wrong).code == 401
        assert one.get(path, {"Authorization": "Basic \xe9"}).code == 401
    assert one.get().headers["www-authenticate"].startswith("Basic ")
    assert one.get("healthz").code == 200
    # Once Neo4j was asked, which takes a moment: what is not known yet is not ready.
    until(lambda: one.get("readyz").text == "no worker is alive on this machine\n", 60)
    assert TOKEN not in one.log.read_text()


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"GRAPH_WRITER_EXPORTER_HOST": "0.0.0.0"}, "GRAPH_WRITER_EXPORTER_TOKEN"),
        ({"GRAPH_WRITER_EXPORTER_HOST": "vm1"}, "GRAPH_WRITER_EXPORTER_TOKEN"),
        ({"GRAPH_WRITER_EXPORTER_TOKEN": "short"}, "has 5 characters"),
    ],
)
def test_others_read_with_a_token_that_cannot_be_guessed_or_not_at_all(
    variables: dict[str, str], words: str
) -> None:
    """Said before anything listens."""
    with pytest.raises(ConfigError, match=words):
        site.check(load(variables))
    site.check(load(variables | {"GRAPH_WRITER_EXPORTER_TOKEN": TOKEN}))


def test_a_port_that_is_taken_is_named(pool_environ: dict[str, str]) -> None:
    """In one line, with the exit code for what an operator must correct."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "graphwriter", "exporter", "--exporter-port", port],
            env=os.environ | pool_environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == EXIT_CONFIG
    (line,) = done.stderr.splitlines()
    assert f"cannot listen on 127.0.0.1:{port}" in line


def test_however_many_read_and_however_slowly_the_servers_are_asked_as_often(
    exporter: Start, pool_environ: dict[str, str], redis_client: redis.Redis
) -> None:
    """Connections that say nothing take no reader's place."""
    one = exporter()
    port = int(one.url.rpartition(":")[2].strip("/"))
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    stats: Any = redis_client.info("commandstats")
    before = stats["cmdstat_xinfo|groups"]["calls"] if "cmdstat_xinfo|groups" in stats else 0
    start = time.monotonic()
    failed: list[int] = []

    def read() -> None:
        for _ in range(25):
            failed.extend(code for code in (one.get("live").code, one.get().code) if code != 200)

    readers = [threading.Thread(target=read) for _ in range(8)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    took = time.monotonic() - start
    stats = redis_client.info("commandstats")
    asked = stats.get("cmdstat_xinfo|groups", {"calls": 0})["calls"] - before
    for each in silent:
        each.close()
    assert failed == []
    assert took < 10
    assert asked <= took / 2 + 2


@pytest.mark.slow
def test_a_worker_that_does_not_reach_its_servers_is_not_ready(
    exporter: Start, pool_environ: dict[str, str]
) -> None:
    """The exporter reaches both servers, and the only worker has another address of Neo4j."""
    one = exporter()
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = free.getsockname()[1]
    environ = os.environ | pool_environ | {"NEO4J_URI": f"bolt://127.0.0.1:{nobody}"}
    with subprocess.Popen([sys.executable, "-m", "graphwriter", "worker"], env=environ) as worker:
        try:
            until(lambda: one.get("readyz").text == "no local worker is ready to write\n", 60)
        finally:
            worker.terminate()


def test_a_running_worker_without_progress_is_not_healthy(
    exporter: Start, pool_environ: dict[str, str]
) -> None:
    """The only one is stopped: not ready within the watchdog's time, and ready again after."""
    short = {"GRAPH_WRITER_TIMEOUT": "1", "GRAPH_WRITER_RETRY": "1", "GRAPH_WRITER_WATCHDOG": "4"}
    one = exporter(**short)

    def workers(condition: str) -> float:
        return one.metrics()[f'graph_writer_workers{{state="{condition}"}}']

    worker = subprocess.Popen(
        [sys.executable, "-m", "graphwriter", "worker"], env=os.environ | pool_environ | short
    )
    try:
        until(lambda: one.get("readyz").code == 200, 60)
        assert (workers("alive"), workers("stuck")) == (1, 0)
        worker.send_signal(signal.SIGSTOP)
        until(lambda: one.get("readyz").text == "no local worker is making progress\n", 30)
        assert (workers("alive"), workers("stuck"), workers("ended")) == (0, 1, 0)
        worker.send_signal(signal.SIGCONT)
        until(lambda: one.get("readyz").code == 200, 30)
    finally:
        worker.kill()
        worker.wait()
    until(lambda: (workers("alive"), workers("ended")) == (0, 1), 30)


@pytest.mark.slow
def test_an_outage_is_an_answer_and_hangs_nobody(
    exporter: Start,
    proxy: Callable[[str], Proxy],
    pool_environ: dict[str, str],
    redis_client: redis.Redis,
) -> None:
    """Redis gone, Neo4j deaf: both are told within seconds, and both of their return."""
    redis_client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    stream, graph = proxy(pool_environ["REDIS_URL"]), proxy(pool_environ["NEO4J_URI"])
    one = exporter(REDIS_URL=stream.url, NEO4J_URI=graph.url)

    def up() -> tuple[float, float]:
        start = time.monotonic()
        found = one.metrics()
        assert time.monotonic() - start < 1
        known = "graph_writer_stream_length" in found
        redis_up = found['graph_writer_up{server="redis"}']
        assert known == bool(redis_up)  # what is not known is left out, and no old figure
        return redis_up, found['graph_writer_up{server="neo4j"}']

    until(lambda: up() == (1, 1), 60)
    stream.stop()
    graph.deaf = True
    until(lambda: up() == (0, 0), 60)
    assert one.get().code == one.get("healthz").code == 200
    ready = one.get("readyz")
    assert (ready.code, ready.text.startswith("Redis does not answer; Neo4j does not answer")) == (
        503,
        True,
    )
    stream.start()
    graph.deaf = False
    until(lambda: up() == (1, 1), 60)
