"""The servers that a pool on one machine needs: the configured ones, else embedded ones."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphwriter.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    from graphwriter.embedded.service import Service


RESTARTS, RESTART_PERIOD = 3, 600.0  # restarts of exited servers, and the seconds they count


class Servers:
    """The embedded servers that were started, and the variables with their addresses."""

    def __init__(self) -> None:
        self.variables: dict[str, str] = {}
        self.services: list[Service] = []
        self._exits: list[float] = []

    def revive(self) -> None:
        """Restart servers that have exited, on their ports, so that workers find them.

        Raises:
            Unavailable: a server does not start, or servers exit too often.
        """
        for service in self.services:
            if service.running:
                continue
            now = time.monotonic()
            self._exits = [*(then for then in self._exits if now - then < RESTART_PERIOD), now]
            if len(self._exits) > RESTARTS:
                raise Unavailable(f"{service.name} has exited again: see {service.log}")
            click.echo(f"{service.name} has exited: restarting it on port {service.port}")
            service.start()
            click.echo(f"{service.name} runs again on port {service.port}")


@contextmanager
def running(data: Path | None, environ: Mapping[str, str], heap: str = "512m") -> Iterator[Servers]:
    """Start a server for each of REDIS_URL and NEO4J_URI that is not in `environ`.

    Their data is in `data`; None is the user's data directory. Yields the started servers and stops
    them at the end. Blocks for some seconds, the first time until Neo4j's jars are downloaded.

    Raises:
        ConfigError: `data` cannot be used, or NEO4J_PASSWORD is set without NEO4J_URI.
        Unavailable: a server did not start, or the extra `embedded` is not installed.
        NameTaken: other servers use `data`.
    """
    with ExitStack() as stack:
        servers = Servers()
        if not (environ.get("REDIS_URL") or environ.get("REDIS_URL_FILE")):
            from graphwriter.embedded import Valkey

            data = usable(data)
            valkey = stack.enter_context(Valkey(data=data / "valkey"))
            servers.services.append(valkey)
            servers.variables["REDIS_URL"] = valkey.url
            click.echo(f"Valkey   {valkey.url}")
        if not environ.get("NEO4J_URI"):
            if environ.get("NEO4J_PASSWORD") or environ.get("NEO4J_PASSWORD_FILE"):
                raise ConfigError("NEO4J_PASSWORD is set, but NEO4J_URI is not: set both or none")
            from graphwriter.embedded import Neo4j, jars
            from graphwriter.embedded.neo4j import LATEST

            data = usable(data)
            jars.classpath(LATEST, progress=downloading)
            click.echo("Neo4j    starting …")
            neo4j = stack.enter_context(Neo4j(data=data / "neo4j", heap=heap))
            servers.services.append(neo4j)
            servers.variables["NEO4J_URI"] = neo4j.url
            click.echo(f"Neo4j    {neo4j.url}  (any user and password)")
        yield servers


def data_directory() -> Path:
    """Return the default data directory of embedded servers."""
    from graphwriter.embedded.service import needs

    path: Path = needs("platformdirs").user_data_path("graphwriter")
    return path


def usable(data: Path | None) -> Path:
    """Return the data directory, created if missing. Raises ConfigError if it cannot be used."""
    data = data_directory() if data is None else data
    try:
        data.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise ConfigError(f"--data {data}: it is a file, not a directory") from None
    except OSError as error:
        raise ConfigError(f"--data {data}: {error.strerror}") from None
    if not os.access(data, os.W_OK | os.X_OK):
        raise ConfigError(f"--data {data}: our account cannot write to it")
    return data


def downloading(done: int, total: int, size: int) -> None:
    """Print from time to time how many of Neo4j's jars there are."""
    if done % 20 == 0 or done == total:
        click.echo(f"Neo4j    downloading its jars, once: {done}/{total}, {size / 1e6:.0f} MB")
