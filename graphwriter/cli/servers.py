"""The servers a pool on one machine needs: those the environment names, else embedded ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from graphwriter.errors import ConfigError


@contextmanager
def running(data: Path, heap: str = "512m") -> Iterator[dict[str, str]]:
    """Start what REDIS_URL and NEO4J_URI do not name, with its data in `data`.

    Yields the variables for workers; stops what was started in the end. Blocks for some seconds,
    the first time until Neo4j's jars are fetched.
    """
    with ExitStack() as stack:
        variables: dict[str, str] = {}
        if not (os.environ.get("REDIS_URL") or os.environ.get("REDIS_URL_FILE")):
            from graphwriter.embedded import Valkey

            valkey = stack.enter_context(Valkey(data=data / "valkey"))
            variables["REDIS_URL"] = valkey.url
            click.echo(f"Valkey   {valkey.url}")
        if not os.environ.get("NEO4J_URI"):
            if os.environ.get("NEO4J_PASSWORD") or os.environ.get("NEO4J_PASSWORD_FILE"):
                raise ConfigError("NEO4J_PASSWORD is set, but NEO4J_URI is not: set both or none")
            from graphwriter.embedded import Neo4j, jars
            from graphwriter.embedded.neo4j import LATEST

            jars.classpath(LATEST, progress=_fetching)
            click.echo("Neo4j    starting …")
            neo4j = stack.enter_context(Neo4j(data=data / "neo4j", heap=heap))
            variables["NEO4J_URI"] = neo4j.url
            click.echo(f"Neo4j    {neo4j.url}  (any user and password)")
        yield variables


def _fetching(done: int, total: int, size: int) -> None:
    if done % 20 == 0 or done == total:
        click.echo(f"Neo4j    fetching its jars, once: {done}/{total}, {size / 1e6:.0f} MB")
