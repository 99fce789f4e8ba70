"""The connection to Neo4j: reads, writes of batches, retries, and errors turned into ours.

It is long: one class has everything that every use of the driver needs.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import resources
from typing import Any, LiteralString, TypeVar

import neo4j
from neo4j import (
    READ_ACCESS,
    GraphDatabase,
    ManagedTransaction,
    NotificationMinimumSeverity,
    unit_of_work,
)
from neo4j._codec.packstream import v1 as packstream
from neo4j.exceptions import AuthError, DriverError

from graphwriter import events, urls
from graphwriter.backoff import Backoff
from graphwriter.config import Config
from graphwriter.errors import ConfigError, GraphwriterError, TooBig, Unavailable
from graphwriter.graph import reach
from graphwriter.graph.batch import Batch, Claim
from graphwriter.graph.failures import Claims, Failure, Refused, Taken, classify, line
from graphwriter.graph.order import LockOrder

T = TypeVar("T")
FIRST_PAUSE, LONGEST_PAUSE = 0.07, 1.0  # seconds; the driver's own first one lasts a whole second
FETCH_SIZE = 2000  # rows that a streamed query has in memory
DEADLOCK = "Neo.TransientError.Transaction.DeadlockDetected"
REFUSED_PAUSE = 60.0  # seconds without another try after a refused password


@cache
def statement(name: str) -> LiteralString:
    """Return the statement of cypher/NAME.cypher, or the one below `:NAME` in queries.cypher."""
    return _queries().get(name) or _read(name)


@cache
def bounded(name: str, depth: int | None) -> LiteralString:
    """Return a statement whose paths have at most `depth` links; None: no limit.

    The bound is a part of the text, since Cypher takes no parameter there.
    """
    digits: Any = "" if depth is None else str(int(depth))
    return statement(name).replace("DEPTH", digits)


@cache
def _queries() -> dict[str, LiteralString]:
    sections: list[Any] = _read("queries").split("\n// :")[1:]
    return {name: text.strip() for name, _, text in (part.partition("\n") for part in sections)}


def _read(name: str) -> LiteralString:
    folder = resources.files("graphwriter.graph") / "cypher"
    text: Any = (folder / f"{name}.cypher").read_text("utf-8")
    return text  # type: ignore[no-any-return]  # a file of the package is as literal as a module


def connect(
    config: Config,
    *,
    database: str | None = None,
    timeout: float | None = None,
    retry: float | None = None,
    patience: float = 5.0,
) -> Graph:
    """Return the graph that the settings name; it connects on first use.

    Args:
        database: a database other than the configured one, such as `system`.
        timeout, retry: seconds for a transaction and for its retries; None: the settings.
        patience: seconds to wait for a connection.

    If Neo4j refuses the password, it is read again from NEO4J_PASSWORD_FILE.
    """
    return Graph(
        config.neo4j_uri,
        *config.neo4j_login,
        database or config.neo4j_database,
        timeout=config.timeout if timeout is None else timeout,
        retry=config.retry if retry is None else retry,
        connect=patience,
        login=lambda: config.reread().neo4j_login,
    )


class Graph:
    """A Neo4j database that batches are written to.

    The constructor only stores; `open` (or `with`) connects. Every call blocks for at most
    `timeout` (one transaction) plus `retry` (retries of one batch), in seconds, and raises only
    `Unavailable`, `ConfigError`, `TooBig` and `Refused`.
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
        login: Callable[[], tuple[str | None, str | None]] | None = None,
    ) -> None:
        """Store the settings; `login` returns user and password anew, after a refusal."""
        self._login = login
        self._denied: tuple[float, GraphwriterError] | None = None  # until when, and the refusal
        self._uri, self.database = uri, database
        self.uri = urls.safe(uri)  # without a password
        self._auth = None if user is None else (user, password or "")
        self._timeout, self._retry, self._connect = timeout, retry, connect
        self._driver: neo4j.Driver | None = None
        self._process = 0  # the process that created the driver
        self._borrowed = False  # the driver is another program's
        self._write, self._update, self._rewrite = map(statement, ("write", "update", "rewrite"))
        self.indexes: set[str] = set()  # names of indexes for questions that are known to exist
        # Called before every retry that a lost connection makes necessary, with the error.
        self.retrying: Callable[[str], None] = lambda _error: None
        self._order = LockOrder()
        self.deadlocks = 0  # since the start; each is a retry, too
        self.retries = 0  # of batches, by this class or by the driver, since the start
        self.failures: Counter[str] = Counter()  # errors since the start, by failure class

    @classmethod
    def over(cls, driver: neo4j.Driver, database: str = "neo4j", *, timeout: float = 20.0) -> Graph:
        """Return the graph over the driver of another program, which stays open. Retries nothing.

        Only that program can cut a half-open connection, so calls may block longer.
        """
        graph = cls("bolt://", database=database, timeout=timeout, retry=0.0)
        graph._driver, graph._process, graph._borrowed = driver, os.getpid(), True
        return graph

    def open(self) -> Graph:
        """Create the driver; it connects on first use. Raises ConfigError for an invalid URI."""
        if self._driver is None:
            self._process = os.getpid()
            reach.check_uri(self._uri)
            try:
                self._driver = GraphDatabase.driver(
                    self._uri,
                    auth=self._auth,
                    connection_timeout=self._connect,
                    connection_acquisition_timeout=self._connect + 5,
                    liveness_check_timeout=30.0,
                    max_transaction_retry_time=self._retry,
                    initial_retry_delay=FIRST_PAUSE,
                    retry_delay_jitter_factor=0.5,
                    notifications_min_severity=NotificationMinimumSeverity.OFF,
                    telemetry_disabled=True,
                    user_agent="graphwriter",
                )
            except (DriverError, ValueError) as error:
                raise ConfigError(f"NEO4J_URI {self.uri!r}: {line(error)}") from None
        return self

    def close(self) -> None:
        """Close the connections, unless another program owns them. Safe to call twice."""
        if self._driver is not None and not self._borrowed:
            self._driver.close()
            self._driver = None

    def __enter__(self) -> Graph:
        return self.open()

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def driver(self) -> neo4j.Driver:
        """The driver, created on first use.

        After Neo4j has refused the password the refusal is raised for a minute, without asking
        again: three wrong passwords lock the account for everybody.
        """
        if self._denied is not None and not self._renew():
            until, refusal = self._denied
            if time.monotonic() < until:
                raise refusal
        self._denied = None
        self.open()
        assert self._driver is not None
        if self._process != os.getpid():
            raise ConfigError(
                f"this connection to Neo4j was opened in process {self._process}, and process "
                f"{os.getpid()} cannot share it: open one in each process, after the fork"
            )
        return self._driver

    def _renew(self) -> bool:
        """Read the login again; return whether it has changed, and drop the connections then."""
        if self._login is None:
            return False
        user, password = self._login()
        fresh = None if user is None else (user, password or "")
        if fresh == self._auth:
            return False
        self._auth = fresh
        self.close()
        return True

    @contextmanager
    def _bounded(self) -> Iterator[None]:
        """Cut the connections if one attempt takes longer than a transaction may.

        The server ends a transaction after `timeout`, so no answer after that, and the time to
        connect, means that the connection is half-open: a firewall has forgotten it, and the driver
        would wait for minutes. Whoever waits gets an error that is retried.
        """
        timer = threading.Timer(self._timeout + self._connect, self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _cut(self) -> None:
        if self._borrowed:
            return
        driver, self._driver = self._driver, None
        if driver is not None:
            with suppress(Exception):  # whoever waits for it gets the error
                driver.close()

    def check(self, *, writes: bool = False) -> str:
        """Return the server's agent string if the database answers; one attempt.

        With `writes` also check that it takes writes: create a node, and roll back.

        Raises:
            Unavailable: no answer; a later call may get one.
            ConfigError: it answers, and denies the user, the password or the database.
        """
        try:
            with (
                self._bounded(),
                self.driver.session(database=self.database) as session,
                session.begin_transaction(timeout=self._timeout) as tx,
            ):
                probe = statement("write_probe" if writes else "read_probe")
                agent = tx.run(probe).consume().server.agent
                tx.rollback()
                return agent
        except Exception as error:  # noqa: BLE001 - classified, never swallowed
            raise self.translate(error) from None

    def read(self, query: LiteralString, **parameters: Any) -> list[dict[str, Any]]:
        """Return the rows of a read query; retries, and raises, as `write`."""
        return self._retried(lambda tx: tx.run(query, parameters).data(), reads=True)

    def rows(self, query: LiteralString, **parameters: Any) -> list[list[Any]]:
        """Return the rows of a read query without column names, in half the time of `read`."""
        return self._retried(lambda tx: tx.run(query, parameters).values(), reads=True)

    def stream(self, query: LiteralString, **parameters: Any) -> Iterator[list[Any]]:
        """Yield the rows of a read query as they come, in the memory of one fetch.

        One attempt, since rows were given away when it fails. Raises as `write`, also `TooBig` if
        all together takes longer than the timeout.
        """
        try:
            with (
                self._bounded(),
                self.driver.session(
                    database=self.database, default_access_mode=READ_ACCESS, fetch_size=FETCH_SIZE
                ) as session,
                session.begin_transaction(timeout=self._timeout) as tx,
            ):
                for record in tx.run(query, parameters):
                    yield record.values()
        except Exception as error:  # noqa: BLE001 - classified, never swallowed
            raise self.translate(error) from None

    def run(self, query: LiteralString, **parameters: Any) -> list[dict[str, Any]]:
        """Run a query that may write, in its own transaction; retries, and raises, as `write`."""
        return self._retried(lambda tx: tx.run(query, parameters).data())

    def write(self, batch: Batch, *, rewrite: bool = False) -> frozenset[int]:
        """Write `batch` in one transaction, which is committed when this returns.

        With `rewrite` also write what the graph has already, in the same version or in one that no
        event can have. Posts of another service that block the batch are adopted.

        Returns the positions in `batch.messages` of the posts that changed.

        Raises:
            Unavailable: not written, or unknown: write it again, which is always safe.
            TooBig: write it in halves.
            Refused: some row can never be written. `Taken` names the rows.
            ConfigError: a person has to change the set-up.
        """
        # Whoever lends its driver retries nothing, and gets no deadlock in one order.
        single = self._borrowed or self._order.single()
        rows, order = batch.in_one_order() if single else (batch, None)
        parameters = {"batch": rows.parameter()}
        deadlocks = self.deadlocks

        def work(tx: ManagedTransaction) -> frozenset[int]:
            nonlocal rows, order
            if order is None and self.deadlocks > deadlocks:
                self._order.deadlock()
                rows, order = batch.in_one_order()
                parameters["batch"] = rows.parameter()
            if rewrite:
                latest = events.latest(int(time.time() * 1000))
                tx.run(self._rewrite, parameters, latest=latest).consume()
            result = tx.run(self._write, parameters)
            new, versions = result.single(strict=True)
            changed = frozenset(new)
            if versions:
                newer, moved = rows.newer(versions)
                # Nodes without a link are left over only if this transaction has created some.
                if moved or result.consume().counters.nodes_created:
                    tx.run(self._update, batch=newer.parameter()).consume()
                changed |= moved
            return changed if order is None else frozenset(order[at] for at in changed)

        try:
            changed = self._retried(work, lambda: self._adopt_foreign(batch))
        finally:
            # The driver's objects are in reference cycles, which would keep the rows in memory
            # until the next garbage collection.
            parameters["batch"].clear()
        if order is None:
            self._order.wrote()
        return changed

    def _retried(
        self,
        work: Callable[[ManagedTransaction], T],
        adopt_foreign: Callable[[], bool] = lambda: False,
        *,
        reads: bool = False,
    ) -> T:
        """Run `work` in a transaction; retry transient errors, and after adopting foreign posts."""
        deadline = time.monotonic() + self._retry
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        adoptions = 0
        while True:
            try:
                return self._once(work, reads)
            except GraphwriterError:
                raise
            except Exception as error:  # noqa: BLE001 - classified, never swallowed
                failure = classify(error)
                self.deadlocks += getattr(error, "code", None) == DEADLOCK
                if failure is Failure.DATA and adopt_foreign():
                    adoptions += 1
                    # The first retry is free: with `retry` 0 a post can be adopted all the same.
                    if adoptions > 1 and time.monotonic() > deadline:
                        raise Unavailable(
                            f"Neo4j at {self.uri}: another service changes the posts of this batch "
                            f"while they are adopted, {adoptions} times: {line(error)}"
                        ) from None
                    continue
                retry = failure in (Failure.TRANSIENT, Failure.UNKNOWN)
                pause = backoff.next()
                if not retry or time.monotonic() + pause > deadline:
                    raise self.translate(error) from None
                self.failures[failure.word] += 1
                if isinstance(error, DriverError):
                    self.retrying(f"Neo4j at {self.uri} does not answer: {line(error)}")
            self.retries += 1
            time.sleep(pause)

    def _once(self, work: Callable[[ManagedTransaction], T], reads: bool) -> T:
        """Run `work` in one transaction. The driver retries nothing: `_retried` does, in time."""
        with (
            self._bounded(),
            self.driver.session(database=self.database, max_transaction_retry_time=0.0) as session,
        ):
            execute = session.execute_read if reads else session.execute_write
            return execute(unit_of_work(timeout=self._timeout)(work))

    def _adopt_foreign(self, batch: Batch) -> bool:
        """Adopt the foreign posts that block `batch`; return whether a retry may succeed."""
        taken, foreign = self._blocked(batch)
        # One address per post_id: at the retry the other addresses find it taken.
        chosen = {claim[0]: claim for claim in sorted(foreign, reverse=True)}
        if chosen:
            self.run(statement("adopt"), claims=list(chosen.values()))
        if taken:
            raise Taken(taken)
        return bool(chosen)

    def taken(self, batch: Batch) -> Claims:
        """Return the claims of `batch` that another address holds, as in `Taken`."""
        return self._blocked(batch)[0]

    def _blocked(self, batch: Batch) -> tuple[Claims, list[Any]]:
        """Return the claims that another address holds, and those on foreign posts to adopt."""
        claims = [list(claim) for claim in batch.claims()]
        blocked = self.run(statement("claims"), claims=claims)
        taken = (Claim(*row["claim"]) for row in blocked if not row["foreign"])
        return (
            frozenset(
                (claim.post_id or "", (claim.tg_channel_id, claim.telegram_message_id))
                for claim in taken
            ),
            [row["claim"] for row in blocked if row["foreign"]],
        )

    def translate(self, error: Exception) -> GraphwriterError:
        """Return our error for one of the driver's; it says what to do. Counts it too."""
        if isinstance(error, GraphwriterError):
            return error
        text, failure = line(error), classify(error)
        if because := reach.cause(self._uri, error, self._connect):
            text = f"{because} (Unable to retrieve routing information)"
        self.failures[failure.word] += 1
        match failure:
            case Failure.TOO_BIG:
                return TooBig(f"Neo4j cannot process this batch: {text}")
            case Failure.DATA:
                return Refused("refused", f"Neo4j refuses the data: {text}")
            case Failure.CONFIGURATION:
                refusal = ConfigError(f"Neo4j at {self.uri}, database {self.database}: {text}")
                if isinstance(error, AuthError):
                    if self._renew():
                        return Unavailable(f"{refusal}; NEO4J_PASSWORD_FILE has changed: again")
                    self._denied = (time.monotonic() + REFUSED_PAUSE, refusal)
                return refusal
            case Failure.STORE:
                self._renew()
                return Unavailable(f"Neo4j at {self.uri} takes no writes: {text}")
            case _:
                return Unavailable(f"Neo4j at {self.uri} does not answer: {text}")


def release_packer_tables() -> None:
    """Free 10 MB: tables of small integers that the driver's packer in Python keeps.

    The packer in Rust does not use them. They are private to the driver: a driver without them, or
    without the Rust packer, is left alone. Only for our own processes, since another user of the
    driver in the same process might need them.
    """
    if getattr(packstream, "_rust_pack", None) is None:
        return
    if getattr(packstream, "_rust_unpack", None) is None:
        return
    for name in ("PACKED_UINT_16", "UNPACKED_UINT_16"):
        table: object = getattr(packstream, name, None)
        if isinstance(table, list | dict):
            table.clear()
