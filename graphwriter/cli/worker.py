"""graphwriter-worker: one process of the pool."""

from __future__ import annotations

import socket
import sys
from dataclasses import fields

import click

from graphwriter.cli.options import CONTEXT, settings
from graphwriter.config import Config

NAMES = tuple(
    setting.name
    for setting in fields(Config)
    if setting.name not in ("neo4j_password", "workers", "watchdog", "database_url")
    and not setting.name.startswith(("exporter", "telegram"))
)


@click.command("worker", context_settings=CONTEXT)
@click.option(
    "--consumer-name",
    envvar="GRAPH_WRITER_CONSUMER_NAME",
    default=None,
    metavar="NAME",
    help="Name in the consumer group: unique, and the same at every start. "
    "[GRAPH_WRITER_CONSUMER_NAME; default the host name and -00]",
)
@settings(*NAMES)
def command(config: Config, consumer_name: str | None) -> None:
    """Write events from the stream to the graph, until SIGTERM.

    It finishes and acknowledges its batch first, and waits for servers that do not answer.
    Passwords come from NEO4J_PASSWORD and REDIS_URL, or from the files in NEO4J_PASSWORD_FILE and
    REDIS_URL_FILE. Tuning settings are in docs/settings.md.
    """
    # The driver imports these if they are installed, and a worker needs none of their 20 MB.
    for name in ("numpy", "pandas", "pyarrow"):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # None: it cannot be imported

    from graphwriter.worker import process

    process.run(config, consumer_name or f"{socket.gethostname()}-00")
