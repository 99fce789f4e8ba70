"""The graph: one connection to Neo4j, and one statement a batch."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from importlib import resources
from typing import Any, LiteralString, TypeVar

import neo4j
from neo4j import GraphDatabase, ManagedTransaction, NotificationMinimumSeverity, unit_of_work
from neo4j.exceptions import DriverError, TransientError

from graphwriter import events, urls
from graphwriter.config import Config
from graphwriter.errors import ConfigError, GraphwriterError, TooBig, Unavailable
from graphwriter.graph import address
from graphwriter.graph.batch import Batch
from graphwriter.graph.failures import Claims, Failure, Refused, Taken, classify, line

T = TypeVar("T")
DELAY = 0.05  # seconds before the first retry; the driver's own second idles through a deadlock


def statement(name: str) -> LiteralString:
    """Return the text of the statement in `name`.cypher."""
    text: Any = (resources.files("graphwriter.graph") / "cypher" / f"{name}.cypher").read_text(
        "utf-8"
    )
    return text  # type: ignore[no-any-return]  # a file of ours is as literal as a module


def connect(
    config: Config,
    *,
    database: str | None = None,
    timeout: float | None = None,
    retry: float | None = None,
    patience: float = 5.0,
) -> Graph:
    """Return the graph that `config` names; it connects on first use.

    Args:
        database: another one than the settings name, such as `system`.
        timeout, retry: seconds for a transaction and for its retries; None: as the settings say.
        patience: seconds to wait for a connection.
    """
    return Graph(
        config.neo4j_uri,
        *config.neo4j_login,
        database or config.neo4j_database,
        timeout=config.timeout if timeout is None else timeout,
        retry=config.retry if retry is None else retry,
        connect=patience,
    )


class Graph:
    """A Neo4j database that batches are written to.

    The constructor only stores; `open` (or `with`) connects. Every call blocks for at most
    `timeout` (one transaction) plus `retry` (retries of one batch), in seconds, and ends in one of
    our own errors: `Unavailable`, `ConfigError`, `TooBig`, `Refused`.
    """

    def __init__(
        self,
        uri: str,
        user: str | None = None,
        password: str | None = None,
        database: str = "neo4j",
        *,
        timeout: float = 20.0,
        retry: float = 20.0,
        connect: float = 5.0,
    ) -> None:
        self._uri, self.database = uri, database
        self.uri = urls.safe(uri)  # as it may be shown
        self._auth = None if user is None else (user, password or "")
        self._timeout, self._retry, self._connect = timeout, retry, connect
        self._driver: neo4j.Driver | None = None
        self._process = 0  # that made the driver
        self._write, self._claims, self._adopt = map(statement, ("write", "claims", "adopt"))
        self._rewrite = statement("rewrite")
        self.retries = 0  # batches tried again, by us or by the driver, since the start
        self.failures: Counter[str] = Counter()  # errors since then, by the name of their class

    def open(self) -> Graph:
        """Make the driver; it connects on first use. Raises ConfigError for a bad URI."""
        if self._driver is None:
            self._process = os.getpid()
            address.check(self._uri)
            try:
                self._driver = GraphDatabase.driver(
                    self._uri,
                    auth=self._auth,
                    connection_timeout=self._connect,
                    connection_acquisition_timeout=self._connect + 5,
                    liveness_check_timeout=30.0,
                    max_transaction_retry_time=self._retry,
                    initial_retry_delay=DELAY,
                    retry_delay_jitter_factor=0.5,
                    notifications_min_severity=NotificationMinimumSeverity.OFF,
                    telemetry_disabled=True,
                    user_agent="graphwriter",
                )
            except (DriverError, ValueError) as error:
                raise ConfigError(f"NEO4J_URI {self.uri!r}: {line(error)}") from None
        return self

    def close(self) -> None:
        """Close the connections. Safe to call twice."""
        if self._driver is not None:
            self._driver.close()
            self._driver = None

    def __enter__(self) -> Graph:
        return self.open()

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def driver(self) -> neo4j.Driver:
        """The driver, made on first use."""
        self.open()
        assert self._driver is not None
        if self._process != os.getpid():
            raise ConfigError(
                f"this connection to Neo4j was opened in process {self._process}, and process "
                f"{os.getpid()} cannot share it: open one in each, after the fork"
            )
        return self._driver

    def check(self, *, writes: bool = False) -> str:
        """Ask the database for a sign of life, once, and return the server's agent string.

        With `writes` also whether it takes any: makes a node, and rolls it back.

        Raises:
            Unavailable: no answer; a later call may get one.
            ConfigError: it answers, and refuses the user, the password or the database.
        """
        try:
            with (
                self.driver.session(database=self.database) as session,
                session.begin_transaction(timeout=self._timeout) as tx,
            ):
                agent = tx.run("CREATE ()" if writes else "RETURN 1").consume().server.agent
                tx.rollback()
                return agent
        except Exception as error:  # noqa: BLE001 - classified, never swallowed
            raise self.ours(error) from None

    def read(self, query: LiteralString, **parameters: Any) -> list[dict[str, Any]]:
        """Return the rows of a read query; errors as for `check`."""
        found: list[dict[str, Any]] = self._query(query, neo4j.RoutingControl.READ, parameters)
        return found

    def rows(self, query: LiteralString, **parameters: Any) -> list[list[Any]]:
        """Return the rows of a read query without names, in half the time of `read`."""
        found: list[list[Any]] = self._query(
            query, neo4j.RoutingControl.READ, parameters, neo4j.Result.values
        )
        return found

    def run(self, query: LiteralString, **parameters: Any) -> list[dict[str, Any]]:
        """Run a query that may write, in a transaction of its own; errors as for `check`."""
        found: list[dict[str, Any]] = self._query(query, neo4j.RoutingControl.WRITE, parameters)
        return found

    def write(self, batch: Batch, *, rewrite: bool = False) -> frozenset[int]:
        """Write `batch` in one transaction, committed when this returns.

        With `rewrite` also what the graph has already, in the same version or in one that no event
        can have, which mends links and values that are not as the version says.

        Returns the places (in `batch.messages`) of the posts that it changed. Posts of another
        service that hold a post_id of the batch are adopted on the way.

        Raises:
            Unavailable: not written, or not known to be: write it again, that is always safe.
            TooBig: write it in halves.
            Refused: some row can never be written. `Taken` names the rows.
            ConfigError: a person has to mend the set-up.
        """
        parameters = {"batch": batch.parameter()}

        def work(tx: ManagedTransaction) -> frozenset[int]:
            if rewrite:
                latest = events.latest(int(time.time() * 1000))
                tx.run(self._rewrite, parameters, latest=latest).consume()
            record = tx.run(self._write, parameters).single(strict=True)
            return frozenset(place for facet in record for place in facet)

        try:
            return self._retried(work, lambda: self._settle(batch))
        finally:
            # The driver's objects are cycles, which would keep the rows until the next collection.
            parameters["batch"].clear()

    def mend(self, query: LiteralString, **parameters: Any) -> list[dict[str, Any]]:
        """Run a query that writes beside running workers; retried, and raises, as `write`."""
        return self._retried(lambda tx: tx.run(query, parameters).data(), lambda: False)

    def _retried(self, work: Callable[[ManagedTransaction], T], settle: Callable[[], bool]) -> T:
        """Run `work` in a transaction, again while that may help, or where `settle` says so."""
        deadline = time.monotonic() + self._retry
        delay = DELAY
        while True:
            try:
                return self._once(work, deadline - time.monotonic())
            except GraphwriterError:
                raise
            except Exception as error:  # noqa: BLE001 - classified, never swallowed
                failure = classify(error)
                if failure is Failure.DATA and settle():
                    continue
                again = failure in (Failure.TRANSIENT, Failure.UNKNOWN)
                if not again or time.monotonic() + delay > deadline:
                    raise self.ours(error) from None
                self.failures[failure.word] += 1
            self.retries += 1
            time.sleep(delay * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            delay = min(delay * 2, 1.0)

    def _once(self, work: Callable[[ManagedTransaction], T], budget: float) -> T:
        tried = 0

        @unit_of_work(timeout=self._timeout)
        def counted(tx: ManagedTransaction) -> T:
            nonlocal tried
            tried += 1
            if tried > 1:  # the driver's own retry, after an error that only it saw
                self.retries += 1
                self.failures[Failure.TRANSIENT.word] += 1
            try:
                return work(tx)
            except TransientError as error:
                if classify(error) is Failure.TRANSIENT:
                    raise
                # The driver would try this again, as it is, until its time is over.
                raise self.ours(error) from None

        with self.driver.session(
            database=self.database, max_transaction_retry_time=max(budget, 0.0)
        ) as session:
            return session.execute_write(counted)

    def _settle(self, batch: Batch) -> bool:
        """Adopt the foreign posts that stand in the way; return whether trying again may help."""
        taken, found = self._claimed(batch)
        # One address a post_id: the next time round the others find it taken.
        foreign = {claim[0]: claim for claim in sorted(found, reverse=True)}
        if foreign:
            self.run(self._adopt, claims=list(foreign.values()))
        if taken:
            raise Taken(taken)
        return bool(foreign)

    def taken(self, batch: Batch) -> Claims:
        """Return the claims of `batch` that are in vain, as `Taken` has them."""
        return self._claimed(batch)[0]

    def _claimed(self, batch: Batch) -> tuple[Claims, list[Any]]:
        """Return the claims in vain, and those on posts of another service that can be adopted."""
        claims = [[row[5], *batch.messages[row[0]], row[4]] for row in batch.posts]
        found = self.run(self._claims, claims=claims)
        taken = (row["claim"] for row in found if not row["foreign"])
        return (
            frozenset((post_id, (channel, message)) for post_id, channel, message, _ in taken),
            [row["claim"] for row in found if row["foreign"]],
        )

    def _query(
        self,
        query: LiteralString,
        routing: neo4j.RoutingControl,
        parameters: dict[str, Any],
        rows: Callable[[neo4j.Result], Any] = neo4j.Result.data,
    ) -> Any:
        try:
            return self.driver.execute_query(
                neo4j.Query(query, timeout=self._timeout),
                parameters,
                routing_=routing,
                database_=self.database,
                result_transformer_=rows,
            )
        except Exception as error:  # noqa: BLE001 - classified, never swallowed
            raise self.ours(error) from None

    def ours(self, error: Exception) -> GraphwriterError:
        """Return the error of ours that says what to do about the driver's, and count it."""
        what, failure = line(error), classify(error)
        self.failures[failure.word] += 1
        match failure:
            case Failure.TOO_BIG:
                return TooBig(f"Neo4j cannot carry this batch: {what}")
            case Failure.DATA:
                return Refused("refused", f"Neo4j refuses the data: {what}")
            case Failure.CONFIGURATION:
                return ConfigError(f"Neo4j at {self.uri}, database {self.database}: {what}")
            case Failure.STORE:
                return Unavailable(f"Neo4j at {self.uri} takes no writes: {what}")
            case _:
                return Unavailable(f"Neo4j at {self.uri} does not answer: {what}")
