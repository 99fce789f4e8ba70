"""One read-only connection to PostgreSQL, and the translation of its errors."""

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
from graphwriter.urls import host_port

SCHEMA = "see docs/backfill.md for the required columns, or use --sql FILE to read other tables"
_HINTS = dict.fromkeys(("42P01", "42703"), SCHEMA)
_HINTS["42601"] = (
    "--sql takes one query, and nothing after it"  # a syntax error cannot be in our own query
)
CONNECT = 10  # seconds to connect
STATEMENT = 600  # seconds that PostgreSQL may take for one answer; counting is the longest
# For one transaction: through a pooler the next one may be another client's.
_SETTINGS = f"""
    SET LOCAL TIME ZONE 'UTC';
    SET LOCAL jit = off;  -- compiling is only worth it for queries of minutes
    SET LOCAL statement_timeout = '{STATEMENT}s'
"""
# A dead peer is noticed within half a minute.
_ALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
_ALIVE |= {"tcp_user_timeout": 30_000}

_POOLER = "unsupported startup parameter"
# A rejected connection has no SQLSTATE. After these texts of server and libpq, retries fail too.
_REFUSED = re.compile(
    r"authentication failed|no password supplied|no pg_hba\.conf entry|does not exist|"
    r"permission denied|not permitted to log in|certificate|does not support SSL|sslmode|"
    rf"SSL error|does not accept SSL|{_POOLER}"
)
_POOLER_HINT = (
    "; PgBouncer refuses ?options=: remove it from DATABASE_URL and set the search path for the "
    "user (ALTER ROLE … SET search_path), or set ignore_startup_parameters = options in PgBouncer"
)
_PORTS = re.compile(r"[0-9,]*").fullmatch
# First characters of SQLSTATEs that are configuration errors.
_CONFIGURATION = ("42", "3D", "3F", "28", "25006", "0A", "0L", "0P", "2F", "54")


class Unreadable(Exception):
    """Raised when PostgreSQL cannot compute a value of some row."""


class Connection:
    """A connection to `url`, opened on first use and again after it was lost.

    A call blocks for at most `CONNECT` plus `STATEMENT` seconds. The URL is never shown, because it
    may contain a password.
    """

    def __init__(self, url: str) -> None:
        # URLs of SQLAlchemy name a driver, as in postgresql+asyncpg://.
        self._url = re.sub(r"^(postgres(?:ql)?)\+\w+://", r"\1://", url.strip())
        if not re.match(r"postgres(ql)?://", self._url):
            raise ConfigError(
                "DATABASE_URL is not a PostgreSQL URL, expected postgresql://user@host:5432/database"
            )
        try:
            self._given = conninfo.conninfo_to_dict(self._url)
            if "@" in str(self._given.get("host")) or not _PORTS(str(self._given.get("port", ""))):
                raise psycopg.Error  # it is the rest of a password
        except psycopg.Error:  # its text may show the password
            raise ConfigError(
                "DATABASE_URL cannot be read, expected postgresql://user:password@host:5432/"
                "database; a character such as @ or / in the password is written as %40 or %2F"
            ) from None
        self._open: psycopg.Connection[Any] | None = None

    @property
    def place(self) -> str:
        """Host, port and database, without user and password."""
        given = self._given
        host, port = given.get("host") or "localhost", given.get("port") or 5432
        return f"{host_port(str(host), port)}/{given.get('dbname') or given.get('user') or ''}"

    @contextmanager
    def reading(self) -> Iterator[psycopg.Connection[Any]]:
        """Give the connection within a read-only transaction, and connect if necessary.

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
        set_json_loads(bytes, made)  # type: ignore[arg-type]  # decoded by msgspec
        return made

    def close(self) -> None:
        """Close the connection. Safe to call twice."""
        if self._open is not None:
            self._open.close()
            self._open = None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Translate psycopg's errors: Unavailable, ConfigError, or `Unreadable`."""
        try:
            yield
        except psycopg.Error as error:
            state = error.sqlstate or ""
            said = error.diag.message_primary or " ".join(str(error).split())
            if state.startswith("22"):
                raise Unreadable(said) from None
            if state != "57014":  # after a statement timeout the connection can still be used
                self.close()
            if state.startswith(_CONFIGURATION):
                hint = f"; {_HINTS[state]}" if state in _HINTS else ""
                raise ConfigError(f"PostgreSQL at {self.place}: {said}{hint}") from None
            if not state and _REFUSED.search(said):
                hint = _POOLER_HINT if _POOLER in said else ""
                raise ConfigError(
                    f"PostgreSQL at {self.place} denies access: {said}{hint}"
                ) from None
            raise Unavailable(f"PostgreSQL at {self.place} does not answer: {said}") from None


def _authority(given: dict[str, Any]) -> dict[str, str]:
    """Return the trusted certificates, if they are verified and the URL does not name them.

    As for the other servers: SSL_CERT_FILE, or the system's store. libpq's own file has priority if
    it exists.
    """
    checked = (given.get("sslmode") or os.environ.get("PGSSLMODE", "")).startswith("verify")
    named = given.get("sslrootcert") or os.environ.get("PGSSLROOTCERT")
    if not checked or named or (Path.home() / ".postgresql" / "root.crt").exists():
        return {}
    file = ssl.get_default_verify_paths().cafile
    return {"sslrootcert": file or "system"}
