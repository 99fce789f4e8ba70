"""Neo4j for the tests: the server of TEST_NEO4J_URI, or one embedded server for the whole run.

GRAPH_WRITER_TEST_NEO4J chooses the embedded version. TEST_NEO4J_USER and TEST_NEO4J_PASSWORD go
with the URI. An embedded server that is lost is started again once, and the summary says so;
lost again, it ends the run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

import neo4j
import pytest

from graphwriter.embedded import Neo4j
from graphwriter.embedded.neo4j import LATEST
from support.servers import folder, started, unavailable

_BATCH = 5_000  # nodes deleted in one transaction: all at once may not fit the heap
_embedded: list[Neo4j] = []
_lost: list[str] = []  # what is known of each time the embedded server was lost


class Server(NamedTuple):
    """Where to connect, and as whom; `auth` is None where authentication is off."""

    uri: str
    auth: tuple[str, str] | None


def embedded_version() -> str:
    """Return the version that the embedded server runs."""
    return os.environ.get("GRAPH_WRITER_TEST_NEO4J") or LATEST


def described() -> str:
    """Say for pytest's header what is behind `neo4j_server`."""
    if os.environ.get("TEST_NEO4J_URI"):
        return "neo4j: TEST_NEO4J_URI"
    return f"neo4j: embedded {embedded_version()}"


@pytest.fixture(scope="session")
def neo4j_server() -> Iterator[Server]:
    """A server whose graph the run may delete."""
    if uri := os.environ.get("TEST_NEO4J_URI"):
        password = os.environ.get("TEST_NEO4J_PASSWORD")
        user = os.environ.get("TEST_NEO4J_USER", "neo4j")
        yield Server(uri, (user, password) if password else None)
        return
    with folder() as data, started(Neo4j(data=data, version=embedded_version())) as server:
        _embedded.append(server)
        yield Server(server.url, server.auth)
        _embedded.clear()


@pytest.fixture(autouse=True)
def neo4j_runs(request: pytest.FixtureRequest) -> None:
    """Start the embedded server again if an earlier test lost it: once in a run."""
    for server in _embedded:
        if server.running:
            continue
        log = server.log.read_text(errors="replace")[-2000:]
        _lost.append(f"Neo4j was gone before {request.node.nodeid}; its log ends with:\n{log}")
        if len(_lost) > 1:
            pytest.exit(
                "Neo4j was lost a second time: its tests cannot go on",
                returncode=pytest.ExitCode.INTERRUPTED,
            )
        server.start()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end of the run when the server was lost."""
    for text in _lost:
        terminalreporter.section("Neo4j was lost", red=True, bold=True)
        terminalreporter.write_line(text)


@pytest.fixture(scope="session")
def _driver(neo4j_server: Server) -> Iterator[neo4j.Driver]:
    uri, auth = neo4j_server
    with neo4j.GraphDatabase.driver(uri, auth=auth, connection_timeout=10) as driver:
        try:
            driver.verify_connectivity()
        except (neo4j.exceptions.Neo4jError, neo4j.exceptions.DriverError) as error:
            unavailable(f"{uri}: {error}")
        yield driver


@pytest.fixture
def driver(_driver: neo4j.Driver) -> neo4j.Driver:
    """A driver of the server, open for the whole run: do not close it. The graph is as it was."""
    return _driver


@pytest.fixture
def graph_empty(driver: neo4j.Driver) -> neo4j.Driver:
    """The same driver after every node was deleted. Constraints stay."""
    delete = f"MATCH (n) WITH n LIMIT {_BATCH} DETACH DELETE n RETURN count(*) AS deleted"
    while driver.execute_query(delete, database_="neo4j").records[0]["deleted"]:
        pass
    return driver
