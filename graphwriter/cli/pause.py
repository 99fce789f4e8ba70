"""graphwriter pause: the workers of a group stop reading."""

from __future__ import annotations

import getpass
import socket
import time

import click

from graphwriter.cli.options import CONTEXT, REDIS, settings
from graphwriter.config import Config
from graphwriter.text import counted

WAIT_STEP = 0.2  # seconds between two looks at what is pending


@click.command("pause", context_settings=CONTEXT)
@click.option("--reason", default="", metavar="TEXT", help="Shown by status, page and log.")
@click.option(
    "--wait",
    type=click.FloatRange(0),
    default=30.0,
    metavar="SECONDS",
    help="How long to wait until nothing is pending. [30]",
)
@settings(*REDIS)
def command(config: Config, reason: str, wait: float) -> None:
    """Make the workers of the group finish their batches and stop reading, on all machines.

    For maintenance of Neo4j and for a roll-back. Producers go on: the stream grows meanwhile. A
    worker that starts later is paused too. The pause lasts until `graphwriter resume`.
    """
    from graphwriter.stream import info, pause
    from graphwriter.stream.streams import each

    streams = each(config.redis_url, config.stream)
    now = pause.Pause(time.time(), f"{getpass.getuser()} on {socket.gethostname()}", reason)
    for client, name in streams:
        pause.start(client, name, config.group, now)
    click.echo(f"paused: the workers of {config.group} finish their batches and read no more")
    deadline, pending = time.monotonic() + wait, 0
    while True:
        pending = sum(info.stream(client, name, config.group).pending for client, name in streams)
        if not pending or time.monotonic() >= deadline:
            break
        time.sleep(WAIT_STEP)
    if pending:
        click.echo(
            f"{counted(pending, 'entry')} still pending: with workers that write, or that have "
            "ended; nothing is lost"
        )
    else:
        click.echo("nothing is pending: no worker writes")
