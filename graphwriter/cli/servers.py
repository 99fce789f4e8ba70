"""The servers a pool on one machine needs: those that are named, else embedded ones."""

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


AGAIN, WITHIN = 3, 600.0  # ends that are mended by starting again, and the seconds they are counted


class Servers:
    """The embedded ones of them, and the variables that name them."""

    def __init__(self) -> None:
        self.variables: dict[str, str] = {}
        self.services: list[Service] = []
        self._ends: list[float] = []

    def revive(self) -> None:
        """Start those again that have ended, on their ports, so that workers find them.

        Raises:
            Unavailable: one does not come up, or they end too often.
        """
        for service in self.services:
            if service.running:
                continue
            now = time.monotonic()
            self._ends = [*(end for end in self._ends if now - end < WITHIN), now]
            if len(self._ends) > AGAIN:
                raise Unavailable(f"{service.name} has ended again: see {service.log}")
            click.echo(f"{service.name} has ended: starting it again on port {service.port}")
            service.start()
            click.echo(f"{service.name} is back on port {service.port}")


@contextmanager
def running(data: Path | None, environ: Mapping[str, str], heap: str = "512m") -> Iterator[Servers]:
    """Start what REDIS_URL and NEO4J_URI of `environ` do not name, with its data in `data`.

    None is a directory of the user's own, which is looked for only if something is to be started.
    Yields what was started; stops it in the end. Blocks for some seconds, the first time until
    Neo4j's jars are fetched.

    Raises:
        ConfigError: `data` cannot be used, or NEO4J_PASSWORD is set without NEO4J_URI.
        Unavailable: a server did not come up, or the extra `embedded` is not installed.
        NameTaken: other servers use `data`.
    """
    with ExitStack() as stack:
        servers = Servers()
        if not (environ.get("REDIS_URL") or environ.get("REDIS_URL_FILE")):
            from graphwriter.embedded import Valkey

            data = _usable(data)
            valkey = stack.enter_context(Valkey(data=data / "valkey"))
            servers.services.append(valkey)
            servers.variables["REDIS_URL"] = valkey.url
            click.echo(f"Valkey   {valkey.url}")
        if not environ.get("NEO4J_URI"):
            if environ.get("NEO4J_PASSWORD") or environ.get("NEO4J_PASSWORD_FILE"):
                raise ConfigError("NEO4J_PASSWORD is set, but NEO4J_URI is not: set both or none")
            from graphwriter.embedded import Neo4j, jars
            from graphwriter.embedded.neo4j import LATEST

            data = _usable(data)
            jars.classpath(LATEST, progress=_fetching)
            click.echo("Neo4j    starting …")
            neo4j = stack.enter_context(Neo4j(data=data / "neo4j", heap=heap))
            servers.services.append(neo4j)
            servers.variables["NEO4J_URI"] = neo4j.url
            click.echo(f"Neo4j    {neo4j.url}  (any user and password)")
        yield servers


def data_directory() -> Path:
    """Return where embedded servers keep their data unless told otherwise."""
    from graphwriter.embedded.service import needs

    path: Path = needs("platformdirs").user_data_path("graphwriter")
    return path


def _usable(data: Path | None) -> Path:
    """Return the directory for data, made if missing. Raises ConfigError if it cannot be used."""
    data = data_directory() if data is None else data
    try:
        data.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise ConfigError(f"--data {data}: it is a file, not a directory") from None
    except OSError as error:
        raise ConfigError(f"--data {data}: {error.strerror}") from None
    if not os.access(data, os.W_OK | os.X_OK):
        raise ConfigError(f"--data {data}: we may not write to it")
    return data


def _fetching(done: int, total: int, size: int) -> None:
    if done % 20 == 0 or done == total:
        click.echo(f"Neo4j    fetching its jars, once: {done}/{total}, {size / 1e6:.0f} MB")
