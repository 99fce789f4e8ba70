"""Neo4j Community Edition, in a Java virtual machine inside a child process."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from graphwriter.embedded import jars, java
from graphwriter.embedded.service import HOST, Service, free_port, needs
from graphwriter.errors import Unavailable

LATEST = "2026.09.0"
LTS = "5.26.30"
_FIRST_PASSWORD = "neo4j"  # noqa: S105 - what every new server has until it is changed
_HELLO = b"\x60\x60\xb0\x17" + b"\x00\x00\x04\x04" + bytes(12)  # Bolt 4.4, which all versions speak
_NO_QUIET = {
    "2026": {"internal.dbms.bolt.netty_server_shutdown_quiet_period_duration": "0s"},
    "5": {"internal.dbms.bolt.netty_server_shutdown_quiet_period": "0"},
}


class Neo4j(Service):
    """A Neo4j server on Bolt, without HTTP, usage reports or a console.

    Without a `password` authentication is off; with one, the user is `neo4j`. `settings` takes
    settings of neo4j.conf by name, and overrides the ones set here. `java_home` replaces the Java
    that would be found.
    """

    name: ClassVar[str] = "Neo4j"
    patience: ClassVar[float] = 180.0  # usually 6 s; 40 s were measured on a busy machine
    grace: ClassVar[float] = 30.0

    def __init__(
        self,
        *,
        data: Path,
        port: int | None = None,
        version: str = LATEST,
        heap: str = "512m",
        pagecache: str = "256m",
        password: str | None = None,
        settings: dict[str, str] | None = None,
        java_home: Path | None = None,
    ) -> None:
        super().__init__(data=data, port=port)
        self.version = version
        self.heap = heap
        self.pagecache = pagecache
        self.password = password
        self.settings = settings or {}
        self.java_home = java_home

    @property
    def url(self) -> str:
        return f"bolt://{self.address}"

    @property
    def auth(self) -> tuple[str, str] | None:
        """User and password for a driver, or None if authentication is off."""
        return None if self.password is None else ("neo4j", self.password)

    @property
    def has_database(self) -> bool:
        """Whether a server or an import has made the database, which may be empty."""
        return (self.data / "data" / "databases" / "neo4j").exists()

    def admin(
        self, *arguments: str, heap: str = "1g", stopping: Callable[[], bool] = lambda: False
    ) -> None:
        """Run a command of `neo4j-admin` on this data, and block until it ends or `stopping`.

        Raises:
            Unavailable: it failed, with the end of its log, or was stopped.
            NameTaken: a server uses this data.
        """
        self.stop()
        self.data = self.data.absolute()
        self.data.mkdir(parents=True, exist_ok=True)
        self.port = self.port or self._last_port() or free_port()
        classpath, home, conf = self._prepared()
        java_flags = java.flags(java.major(home), heap)
        command = [
            "/usr/bin/env",
            f"NEO4J_HOME={self.data}",
            f"NEO4J_CONF={conf.parent}",
            str(home / "bin" / "java"),
            *(flag for flag in java_flags if flag != "-Xrs"),  # a signal ends it in order
            "-cp",
            os.pathsep.join(map(str, classpath)),
            "org.neo4j.cli.AdminTool",
            *arguments,
        ]
        try:
            self._spawn({"command": command, "signal": signal.SIGTERM, "user": None, "group": None})
            self._report(time.monotonic() + self.patience)
            while self.running and not stopping():
                time.sleep(0.05)
            failed = self.running or self._child is None or self._child.returncode
        finally:
            self.stop()
        if failed:
            raise self._failure(f"stopped: {' '.join(arguments[:3])}")

    def _prepared(self) -> tuple[list[Path], Path, Path]:
        """Write the settings; return the jars, the home of Java and the file of settings."""
        classpath = jars.classpath(self.version)
        home = self.java_home or java.java_for(self.version)
        conf = self.data / "neo4j.conf"
        conf.write_text(
            "".join(f"{name}={_escaped(value)}\n" for name, value in self._settings().items()),
            encoding="utf-8",
        )
        return classpath, home, conf

    def _launch(self, deadline: float) -> None:
        needs("jpype")
        classpath, home, conf = self._prepared()
        deadline = time.monotonic() + self.patience  # downloading jars has its own limits
        self._spawn(
            {
                "libjvm": str(java.libjvm(home)),
                "flags": java.flags(java.major(home), self.heap),
                "classpath": [str(jar) for jar in classpath],
                "home": str(self.data),
                "conf": str(conf),
            }
        )
        self._report(deadline)
        self._await(deadline, self._speaks_bolt)
        if self.password is not None:
            self._set_password(self.password)

    def _settings(self) -> dict[str, str]:
        return {
            "server.bolt.enabled": "true",
            "server.bolt.listen_address": self.address,
            "server.bolt.advertised_address": self.address,
            "server.http.enabled": "false",
            "dbms.security.auth_enabled": "false" if self.password is None else "true",
            "dbms.usage_report.enabled": "false",
            "client.allow_telemetry": "false",
            "server.bolt.telemetry.enabled": "false",
            "server.logs.debug.enabled": "false",
            "db.logs.query.enabled": "OFF",
            "server.memory.pagecache.size": self.pagecache,
            # By default each database preallocates 256 MB for its log.
            "db.tx_log.preallocate": "false",
            "db.tx_log.rotation.retention_policy": "2 files",
            # Without this a stop waits 10 s for clients that have disconnected.
            **_NO_QUIET[self.version.partition(".")[0]],
            **self.settings,
        }

    def _speaks_bolt(self) -> bool:
        assert self.port is not None
        with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), 1) as wire:
            wire.sendall(_HELLO)
            return len(wire.recv(4)) == 4
        return False

    def _set_password(self, password: str) -> None:
        """Set the password of the user `neo4j`, unless it is set already."""
        neo4j = needs("neo4j")
        change = "ALTER CURRENT USER SET PASSWORD FROM $old TO $new"
        for old in (password, _FIRST_PASSWORD):
            with neo4j.GraphDatabase.driver(
                self.url, auth=("neo4j", old), connection_timeout=10, max_transaction_retry_time=10
            ) as driver:
                try:
                    if old == password:
                        driver.execute_query("SHOW CURRENT USER", database_="system")
                    else:
                        driver.execute_query(
                            change, {"old": old, "new": password}, database_="system"
                        )
                except neo4j.exceptions.AuthError:
                    continue
                except neo4j.exceptions.Neo4jError as error:
                    raise Unavailable(f"Neo4j rejects the password: {error.message}") from None
                return
        raise Unavailable(
            f"the user neo4j of {self.data} has another password: use that one, or other data"
        )


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\")
