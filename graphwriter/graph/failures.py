"""Six classes of Neo4j errors; the class decides what happens to the batch.

The codes are Neo4j status codes and GQLSTATUS. The tests provoke them on real servers where that is
possible.
"""

from __future__ import annotations

import re
from enum import Enum

from neo4j.exceptions import (
    AuthError,
    CertificateConfigurationError,
    ConfigurationError,
    DriverError,
    IncompleteCommit,
    Neo4jError,
    ServiceUnavailable,
    SessionExpired,
    TransientError,
)

from graphwriter.errors import BadEvent
from graphwriter.events import Address
from graphwriter.urls import host_port

# The driver prints its objects: ResolvedIPv4Address(('127.0.0.1', 7687)), Deadline(timeout=5.0).
_ADDRESS = re.compile(r"(?:Resolved)?IPv[46]Address\(\('([^']*)', (\d+)[^)]*\)\)")
_DEADLINE = re.compile(r"deadline Deadline\(timeout=([\d.]+)\)")
_RESOLVED = re.compile(r"Couldn't connect to \S+ \(resolved to [^)]*\)\): ")


class Failure(Enum):
    """The six classes, each with the action that follows."""

    TRANSIENT = "retry the batch: a deadlock, a lost connection, a node deleted meanwhile"
    UNKNOWN = "retry the batch: it may be committed, and a second write changes nothing"
    TOO_BIG = "write the batch in halves"
    STORE = "wait: the store takes no writes now, or no login"
    CONFIGURATION = "stop: a person has to fix it"
    DATA = "find the event by halving, and write a dead letter"

    @property
    def word(self) -> str:
        """Its name in counts and metrics."""
        return self.name.lower()


Claims = frozenset[
    tuple[str, Address]
]  # (post_id, an address that claims it although another one holds it)


class Refused(BadEvent):
    """Raised when Neo4j will never accept these rows; halving the batch finds the bad row."""


class Taken(Refused):
    """Raised when another address holds some of the batch's post_ids.

    `claims` has a (post_id, address) for each row that cannot get its post_id.
    """

    def __init__(self, claims: Claims) -> None:
        some = ", ".join(sorted(post_id for post_id, _ in claims)[:3])
        super().__init__("post_id_taken", f"another address holds the post_id {some}")
        self.claims = claims


# A node to be deleted got a relationship meanwhile: the GQLSTATUS, and the message of 5.26, which
# has no GQLSTATUS.
_HAS_RELATIONSHIPS, _CANNOT_DELETE = "G1001", "Cannot delete node<"

_BY_CODE = {
    "Neo.ClientError.Statement.EntityNotFound": Failure.TRANSIENT,
    "Neo.ClientError.Transaction.Terminated": Failure.TRANSIENT,
    "Neo.ClientError.Transaction.LockClientStopped": Failure.TRANSIENT,
    "Neo.ClientError.Transaction.LockAcquisitionTimeout": Failure.TRANSIENT,
    "Neo.ClientError.Cluster.NotALeader": Failure.TRANSIENT,
    "Neo.TransientError.General.MemoryPoolOutOfMemoryError": Failure.TOO_BIG,
    "Neo.TransientError.General.TransactionMemoryLimit": Failure.TOO_BIG,
    "Neo.ClientError.General.TransactionOutOfMemoryError": Failure.TOO_BIG,
    "Neo.ClientError.Transaction.TransactionTimedOut": Failure.TOO_BIG,
    "Neo.ClientError.Transaction.TransactionTimedOutClientConfiguration": Failure.TOO_BIG,
    "Neo.ClientError.General.ForbiddenOnReadOnlyDatabase": Failure.STORE,
    "Neo.TransientError.General.ForbiddenOnReadOnlyDatabase": Failure.STORE,
    "Neo.ClientError.General.WriteOnReadOnlyAccessDatabase": Failure.STORE,
    "Neo.ClientError.Statement.AccessMode": Failure.STORE,
    # Neo4j locks an account after failed logins by anyone, and an external auth provider may be
    # down: both pass, so wait.
    "Neo.ClientError.Security.AuthenticationRateLimit": Failure.STORE,
    "Neo.ClientError.Security.AuthProviderFailed": Failure.STORE,
    "Neo.ClientError.Security.AuthProviderTimeout": Failure.STORE,
    "Neo.ClientError.Security.AuthorizationExpired": Failure.STORE,
    "Neo.DatabaseError.Schema.ConstraintCreationFailed": Failure.DATA,
    "Neo.ClientError.Statement.SyntaxError": Failure.CONFIGURATION,
    "Neo.ClientError.Database.DatabaseNotFound": Failure.CONFIGURATION,
}
_BY_FAMILY = (
    ("Neo.ClientError.Security.", Failure.CONFIGURATION),
    ("Neo.ClientError.Schema.", Failure.DATA),
    ("Neo.ClientError.Statement.", Failure.DATA),
    ("Neo.ClientError.General.InvalidArguments", Failure.DATA),
    ("Neo.TransientError.", Failure.TRANSIENT),
    ("Neo.DatabaseError.", Failure.STORE),
)


def classify(error: Exception) -> Failure:
    """Return the class of an error that was raised while a batch was written.

    Raises the error itself if it is not the driver's, such as MemoryError.
    """
    if isinstance(error, IncompleteCommit):
        return Failure.UNKNOWN
    if isinstance(error, Neo4jError) and error.code in _BY_CODE:
        return _BY_CODE[error.code]
    if isinstance(error, AuthError | ConfigurationError | CertificateConfigurationError):
        return Failure.CONFIGURATION
    if isinstance(error, Neo4jError):
        message, code = error.message or "", error.code or ""
        if error.gql_status == _HAS_RELATIONSHIPS or message.startswith(_CANNOT_DELETE):
            return Failure.TRANSIENT
        for family, failure in _BY_FAMILY:
            if code.startswith(family):
                return failure
        return Failure.TRANSIENT if isinstance(error, TransientError) else Failure.STORE
    if isinstance(error, DriverError | OSError):
        return Failure.TRANSIENT
    if isinstance(error, TypeError | ValueError | OverflowError):
        return Failure.DATA  # the driver cannot pack a value
    raise error  # not the driver's: neither the event's fault nor an outage


def line(error: Exception) -> str:
    """Return the error in one line: its code and the first sentence, without a stack."""
    if isinstance(error, Neo4jError):
        return f"{error.code}: {(error.message or '').splitlines()[0] if error.message else ''}"
    lost = isinstance(error, ServiceUnavailable | SessionExpired)
    text = (_cause(error) if lost else "") or str(error)
    text = " ".join(text.split() if lost else f"{type(error).__name__}: {text}".split())
    text = _ADDRESS.sub(lambda at: host_port(at[1], at[2]), _DEADLINE.sub(r"\1 s", text))
    return _RESOLVED.sub("", text)[:500]


def _cause(error: BaseException) -> str:
    """Return the operating system's message of a failed connection; the driver's text is long."""
    last = ""
    known: set[int] = set()
    below: BaseException | None = error
    while below is not None and id(below) not in known:
        known.add(id(below))
        if isinstance(below, OSError):
            last = below.strerror or str(below)
        below = below.__cause__ or below.__context__
    return last
