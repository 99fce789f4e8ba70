"""One connection to PostgreSQL that only reads, and its errors in our words."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import psycopg
from psycopg import conninfo
from psycopg.types.json import set_json_loads

from graphwriter.errors import ConfigError, Unavailable

SCHEMA = "docs/backfill.md says what is needed, and --sql FILE reads other tables"
_HINTS = dict.fromkeys(("42P01", "42703"), SCHEMA)
_HINTS["42601"] = "--sql takes one query, and nothing after it"  # syntax, and ours has no error
CONNECT = 10  # seconds to connect
STATEMENT = 600  # seconds that PostgreSQL may take for one answer; counting is the longest
# For one transaction: through a pooler the next one may be another client's.
_SETTINGS = f"""
    SET LOCAL TIME ZONE 'UTC';
    SET LOCAL jit = off;  -- compiling pays for minutes of work, a page is milliseconds
    SET LOCAL statement_timeout = '{STATEMENT}s'
"""
# A dead peer is noticed within half a minute.
_ALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
_ALIVE |= {"tcp_user_timeout": 30_000}

# A refused connection comes without a code. These words of the server and libpq are for a person.
_REFUSED = re.compile(
    r"authentication failed|no password supplied|no pg_hba\.conf entry|does not exist|"
    r"permission denied|not permitted to log in|certificate|does not support SSL|sslmode|"
    r"SSL error|does not accept SSL"
)
_PORTS = re.compile(r"[0-9,]*").fullmatch
# By the first characters of the SQLSTATE, the longest first.
_MEND = ("42", "3D", "3F", "28", "25006", "0A", "0L", "0P", "2F", "54")


class Unreadable(Exception):
    """Raised when PostgreSQL cannot compute a value of some row."""


class Connection:
    """A connection by `url`, made on first use and again after it was lost.

    Blocks for at most `CONNECT` and `STATEMENT` seconds a call. The URL is never shown: it may
    hold a password.
    """

    def __init__(self, url: str) -> None:
        # A service's own URL may name its driver, as in postgresql+asyncpg://.
        self._url = re.sub(r"^(postgres(?:ql)?)\+\w+://", r"\1://", url.strip())
        if not re.match(r"postgres(ql)?://", self._url):
            raise ConfigError(
                "DATABASE_URL is no PostgreSQL URL, expected postgresql://user@host:5432/database"
            )
        try:
            self._given = conninfo.conninfo_to_dict(self._url)
            if "@" in str(self._given.get("host")) or not _PORTS(str(self._given.get("port", ""))):
                raise psycopg.Error  # the end of a password
        except psycopg.Error:  # its text may show the password
            raise ConfigError(
                "DATABASE_URL cannot be read, expected postgresql://user:password@host:5432/"
                "database; a character such as @ or / in the password is written as %40 or %2F"
            ) from None
        self._open: psycopg.Connection[Any] | None = None

    @property
    def place(self) -> str:
        """Where it is, for people: host, port and database, without user and password."""
        given = self._given
        host, port = given.get("host") or "localhost", given.get("port") or 5432
        return f"{host}:{port}/{given.get('dbname') or given.get('user') or ''}"

    @contextmanager
    def reading(self) -> Iterator[psycopg.Connection[Any]]:
        """Give the connection within a transaction that only reads, connected if need be.

        Raises:
            Unavailable, ConfigError, Unreadable.
        """
        with self._translated():
            if self._open is None or self._open.closed:
                self._open = self._connected()
            with self._open.transaction():
                self._open.execute(_SETTINGS)
                yield self._open

    def _connected(self) -> psycopg.Connection[Any]:
        extra = cast("dict[str, Any]", _authority(self._given) | _ALIVE)
        made = psycopg.connect(
            self._url,
            autocommit=True,
            prepare_threshold=None,  # a pooler may give each transaction another server process
            connect_timeout=CONNECT,
            application_name="graphwriter",
            client_encoding="UTF8",
            **extra,
        )
        made.read_only = True
        set_json_loads(bytes, made)  # type: ignore[arg-type]  # msgspec reads it
        return made

    def close(self) -> None:
        """Close the connection. Safe to call twice."""
        if self._open is not None:
            self._open.close()
            self._open = None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Raise psycopg's errors as ours: Unavailable, ConfigError, or `Unreadable`."""
        try:
            yield
        except psycopg.Error as error:
            state = error.sqlstate or ""
            said = error.diag.message_primary or " ".join(str(error).split())
            if state.startswith("22"):
                raise Unreadable(said) from None
            if state != "57014":  # of a statement that took too long the connection stays good
                self.close()
            if state.startswith(_MEND):
                hint = f"; {_HINTS[state]}" if state in _HINTS else ""
                raise ConfigError(f"PostgreSQL at {self.place}: {said}{hint}") from None
            if not state and _REFUSED.search(said):
                raise ConfigError(f"PostgreSQL at {self.place} refuses us: {said}") from None
            raise Unavailable(f"PostgreSQL at {self.place} does not answer: {said}") from None


def _authority(given: dict[str, Any]) -> dict[str, str]:
    """Return who may sign the server's certificate where it is checked and nobody is named.

    The same as for other servers: SSL_CERT_FILE, else the system's own; libpq has a file of its
    own, which counts where it is there.
    """
    checked = (given.get("sslmode") or os.environ.get("PGSSLMODE", "")).startswith("verify")
    named = given.get("sslrootcert") or os.environ.get("PGSSLROOTCERT")
    if not checked or named or (Path.home() / ".postgresql" / "root.crt").exists():
        return {}
    file = ssl.get_default_verify_paths().cafile
    return {"sslrootcert": file or "system"}
