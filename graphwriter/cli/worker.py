"""graphwriter-worker: one process of the pool."""

from __future__ import annotations

import socket
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
    help="Name in the consumer group, the same at every start and no other's. "
    "[GRAPH_WRITER_CONSUMER_NAME; default the host's name and -00]",
)
@settings(*NAMES)
def command(config: Config, consumer_name: str | None) -> None:
    """Write events from the stream to the graph, until SIGTERM.

    The batch in hand is finished and acknowledged first. Servers that are away are waited for. The
    passwords come from NEO4J_PASSWORD and REDIS_URL, or from the files that NEO4J_PASSWORD_FILE and
    REDIS_URL_FILE name.
    """
    from graphwriter.worker import process

    process.run(config, consumer_name or f"{socket.gethostname()}-00")
