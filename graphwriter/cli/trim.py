"""graphwriter trim: free memory of Redis without losing entries."""

from __future__ import annotations

import click

from graphwriter.cli.options import CONTEXT, REDIS, settings
from graphwriter.config import Config
from graphwriter.text import counted


@click.command("trim", context_settings=CONTEXT)
@click.option("--dry-run", is_flag=True, help="Show what would be removed, and remove nothing.")
@settings(*REDIS)
def command(config: Config, dry_run: bool) -> None:
    """Remove the entries that every consumer group has acknowledged.

    Entries that some group has not read or not acknowledged stay, however old they are. Redis
    removes whole nodes of about a hundred entries, so a few acknowledged entries stay too.
    """
    from graphwriter.stream import trim
    from graphwriter.stream.streams import each

    streams = each(config.redis_url, config.stream)
    for client, name in streams:
        oldest = trim.oldest_needed(client, name)
        where = f"{name}: " if len(streams) > 1 else ""
        if oldest is None:
            click.echo(f"{name} has no consumer group: nothing is acknowledged")
        elif dry_run:
            number = counted(trim.count_before(client, name, oldest), "entry")
            click.echo(f"{where}would remove at most {number}, before {oldest.decode()}")
        else:
            number = counted(trim.trim(client, name, oldest), "entry")
            click.echo(f"{where}removed {number} before {oldest.decode()}")
