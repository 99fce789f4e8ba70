"""Which of the six classes each error of Neo4j is, from a real server wherever one can be made to,
and which metric tells of it.

What becomes of the entries in each class is told by the loop's own tests.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import neo4j
import pytest
from neo4j.exceptions import IncompleteCommit, Neo4jError, ServiceUnavailable
from support.exporter import counted
from support.neo4j import embedded_version
from support.servers import folder, started
from support.waits import until

from graphwriter.embedded import Neo4j
from graphwriter.graph import Graph
from graphwriter.graph.failures import Failure, classify, line
from graphwriter.worker.counts import Counts

PASSWORD = "right-one"
Provoke = Callable[[neo4j.Driver], None]


@pytest.fixture(scope="module")
def server() -> Iterator[Neo4j]:
    """A server with tight limits, a password and a constraint."""
    limits = {
        "db.lock.acquisition.timeout": "1s",
        "db.memory.transaction.max": "8m",
        "db.transaction.monitor.check.interval": "100ms",
        "dbms.security.auth_max_failed_attempts": "2",
        "dbms.security.auth_lock_time": "1s",
    }
    with (
        folder() as data,
        started(
            Neo4j(data=data, version=embedded_version(), password=PASSWORD, settings=limits)
        ) as made,
    ):
        with neo4j.GraphDatabase.driver(made.url, auth=made.auth) as driver:
            run(driver, "CREATE CONSTRAINT FOR (n:Thing) REQUIRE n.key IS UNIQUE")
            run(driver, "CREATE (:Thing {key: 1}), (:Thing {key: 2})")
        yield made


def run(driver: neo4j.Driver, query: Any, timeout: float | None = None, **values: Any) -> None:
    """Run a query once, without the driver's retries."""
    with driver.session(database="neo4j") as session:
        session.run(neo4j.Query(query, timeout=timeout), values).consume()


def provoked(provoke: Provoke, driver: neo4j.Driver) -> Exception:
    """Return the error that comes of it."""
    try:
        provoke(driver)
    except Exception as error:  # noqa: BLE001 - the very thing that is asked for
        return error
    pytest.fail("no error came of it")


def deadlock(driver: neo4j.Driver) -> None:
    """Two transactions that take two locks crosswise."""
    raised: list[Exception] = []
    barrier = threading.Barrier(2)

    def lock(keys: tuple[int, int]) -> None:
        try:
            with driver.session(database="neo4j") as session, session.begin_transaction() as tx:
                for key in keys:
                    tx.run("MATCH (n:Thing {key: $key}) SET n.seen = true", key=key).consume()
                    barrier.wait(5)
        except threading.BrokenBarrierError:
            pass
        except Exception as error:  # noqa: BLE001 - raised below
            raised.append(error)
            barrier.abort()

    threads = [threading.Thread(target=lock, args=(keys,)) for keys in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    raise next(error for error in raised if isinstance(error, Neo4jError))


def lock_timeout(driver: neo4j.Driver) -> None:
    with driver.session(database="neo4j") as session, session.begin_transaction() as tx:
        tx.run("MATCH (n:Thing {key: 1}) SET n.seen = true").consume()
        run(driver, "MATCH (n:Thing {key: 1}) SET n.seen = false")


def deleted_under(driver: neo4j.Driver) -> None:
    """A statement waits for the lock of a node that it has found, and the node goes."""
    run(driver, "MERGE (:Thing {key: 3})")
    blocked(driver)  # planned now, for the wait for a lock ends after a second
    with driver.session(database="neo4j") as session, session.begin_transaction() as tx:
        tx.run("MATCH (n:Thing {key: 3}) DELETE n").consume()

        def commit() -> None:
            try:
                until(lambda: blocked(driver), 20)
            finally:
                tx.commit()

        later = threading.Thread(target=commit)
        later.start()
        try:
            run(driver, "MATCH (n:Thing {key: 3}) CREATE (n)-[:TO]->(:Other)")
        finally:
            later.join()


def blocked(driver: neo4j.Driver) -> bool:
    """Whether a transaction waits for a lock of another."""
    with driver.session(database="neo4j") as session:
        answer = session.run("SHOW TRANSACTIONS YIELD status WHERE status STARTS WITH 'Blocked'")
        return bool(answer.data())


def got_a_relationship(driver: neo4j.Driver) -> None:
    """A node that is deleted has a relationship."""
    run(driver, "MERGE (a:Thing {key: 5}) MERGE (b:Thing {key: 6}) MERGE (a)-[:TO]->(b)")
    run(driver, "MATCH (n:Thing {key: 5}) DELETE n")


def address(driver: neo4j.Driver) -> str:
    server = driver.get_server_info().address
    return f"bolt://{server[0]}:{server[1]}"


def wrong_password(driver: neo4j.Driver) -> None:
    with neo4j.GraphDatabase.driver(address(driver), auth=("neo4j", "wrong")) as stranger:
        stranger.verify_connectivity()


def others_wrong_passwords(driver: neo4j.Driver) -> None:
    """Somebody else's wrong passwords lock the user for a while, for the right one too."""
    try:
        for _ in range(2):
            provoked(wrong_password, driver)
        with neo4j.GraphDatabase.driver(address(driver), auth=("neo4j", PASSWORD)) as another:
            another.verify_connectivity()
    finally:
        time.sleep(1.2)  # until it is over


def wrong_database(driver: neo4j.Driver) -> None:
    with driver.session(database="nowhere") as session:
        session.run("RETURN 1").consume()


def read_access(driver: neo4j.Driver) -> None:
    with driver.session(database="neo4j", default_access_mode="READ") as session:
        session.run("CREATE (:Thing)").consume()


def no_answer(_driver: neo4j.Driver) -> None:
    with neo4j.GraphDatabase.driver("bolt://127.0.0.1:1") as nobody:
        nobody.verify_connectivity()


# What the exporter serves of each class.
METRIC = {
    Failure.TRANSIENT: 'graph_writer_neo4j_errors_total{class="transient"}',
    Failure.UNKNOWN: 'graph_writer_neo4j_errors_total{class="unknown"}',
    Failure.TOO_BIG: 'graph_writer_neo4j_errors_total{class="too_big"}',
    Failure.STORE: 'graph_writer_neo4j_errors_total{class="store"}',
    Failure.CONFIGURATION: 'graph_writer_neo4j_errors_total{class="configuration"}',
    Failure.DATA: 'graph_writer_neo4j_errors_total{class="data"}',
}


def moved(error: Exception) -> list[str]:
    """The metrics that move when a worker meets the error."""
    graph = Graph("bolt://127.0.0.1:1")
    graph.translate(error)
    return [name for name, value in counted(Counts(failures=graph.failures)).items() if value]


REAL: dict[str, tuple[Provoke, Failure]] = {
    "a deadlock": (deadlock, Failure.TRANSIENT),
    "a lock that is not to be had": (lock_timeout, Failure.TRANSIENT),
    "a node deleted under the statement": (deleted_under, Failure.TRANSIENT),
    "a node that got a relationship": (got_a_relationship, Failure.TRANSIENT),
    "a server that is not there": (no_answer, Failure.TRANSIENT),
    "more time than a transaction may take": (
        lambda driver: run(driver, "UNWIND range(1, 10000000000) AS n RETURN sum(n)", timeout=0.2),
        Failure.TOO_BIG,
    ),
    "more memory than a transaction may take": (
        lambda driver: run(driver, "UNWIND range(1, 1000000) AS n RETURN collect(toString(n))"),
        Failure.TOO_BIG,
    ),
    "a key that is there already": (
        lambda driver: run(driver, "CREATE (:Thing {key: 1})"),
        Failure.DATA,
    ),
    "a value that no property can have": (
        lambda driver: run(driver, "CREATE (:Thing {key: 9, value: $value})", value={"a": 1}),
        Failure.DATA,
    ),
    "an integer that cannot be sent": (
        lambda driver: run(driver, "RETURN $value", value=2**70),
        Failure.DATA,
    ),
    "a wrong password": (wrong_password, Failure.CONFIGURATION),
    "a right password after others' wrong ones": (others_wrong_passwords, Failure.STORE),
    "a wrong database": (wrong_database, Failure.CONFIGURATION),
    "a statement that is none": (lambda driver: run(driver, "WRITE IT"), Failure.CONFIGURATION),
    "a write where only reading is allowed": (read_access, Failure.STORE),
}


@pytest.mark.parametrize("name", REAL)
def test_a_real_error_is_of_its_class(server: Neo4j, name: str) -> None:
    provoke, expected = REAL[name]
    with neo4j.GraphDatabase.driver(server.url, auth=server.auth, connection_timeout=5) as driver:
        error = provoked(provoke, driver)
    assert classify(error) is expected, line(error)
    assert moved(error) == [METRIC[expected]]
    assert "\n" not in line(error)


@pytest.mark.slow
def test_a_store_that_was_made_read_only_is_waited_for(server: Neo4j) -> None:
    """As one is whose disk is full: the server itself says so."""
    server.stop()
    server.settings["server.databases.default_to_read_only"] = "true"
    server.start()
    try:
        with neo4j.GraphDatabase.driver(server.url, auth=server.auth) as driver:
            error = provoked(lambda one: run(one, "CREATE (:Thing {key: 10})"), driver)
    finally:
        server.stop()
        del server.settings["server.databases.default_to_read_only"]
        server.start()
    assert classify(error) is Failure.STORE, line(error)
    assert moved(error) == [METRIC[Failure.STORE]]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        # What one server of the Community Edition cannot be brought to, by the codes in its manual.
        ("Neo.ClientError.Cluster.NotALeader", Failure.TRANSIENT),
        ("Neo.TransientError.General.DatabaseUnavailable", Failure.TRANSIENT),
        ("Neo.TransientError.Cluster.ReplicationFailure", Failure.TRANSIENT),
        ("Neo.ClientError.Security.Forbidden", Failure.CONFIGURATION),
        ("Neo.ClientError.Security.CredentialsExpired", Failure.CONFIGURATION),
        ("Neo.ClientError.Security.AuthProviderFailed", Failure.STORE),
        ("Neo.ClientError.Security.AuthProviderTimeout", Failure.STORE),
        ("Neo.ClientError.Security.AuthorizationExpired", Failure.STORE),
        ("Neo.DatabaseError.General.UnknownError", Failure.STORE),
        ("Neo.DatabaseError.Transaction.TransactionCommitFailed", Failure.STORE),
        ("Neo.ClientError.General.ForbiddenOnReadOnlyDatabase", Failure.STORE),
    ],
)
def test_an_error_of_other_editions_is_of_its_class(code: str, expected: Failure) -> None:
    error = Neo4jError._hydrate_neo4j(code=code, message="said\nmore")  # noqa: SLF001
    assert classify(error) is expected
    assert moved(error) == [METRIC[expected]]
    assert line(error) == f"{code}: said"


def test_a_commit_without_an_answer_is_of_unknown_outcome() -> None:
    assert classify(IncompleteCommit("lost")) is Failure.UNKNOWN
    assert moved(IncompleteCommit("lost")) == [METRIC[Failure.UNKNOWN]]
    assert classify(ServiceUnavailable("gone")) is Failure.TRANSIENT
