"""graphwriter trim: give Redis its memory back, without losing anything."""

from __future__ import annotations

import click

from graphwriter.cli.options import CONTEXT, REDIS, settings
from graphwriter.cli.output import counted
from graphwriter.config import Config


@click.command("trim", context_settings=CONTEXT)
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@settings(*REDIS)
def command(config: Config, dry_run: bool) -> None:
    """Remove the entries that every consumer group has acknowledged.

    What some group has not read or not acknowledged stays, however old. Redis removes whole nodes
    of about a hundred entries, so a few acknowledged ones stay too.
    """
    from graphwriter.stream import Stream

    stream = Stream(config.redis_url, config.stream, config.group, "")
    oldest = stream.oldest_needed()
    if oldest is None:
        click.echo(f"{config.stream} has no consumer group: nobody has acknowledged anything")
        return
    if dry_run:
        most = counted(stream.count_before(oldest), "entry")
        click.echo(f"at most {most} could go: those before {oldest.decode()}")
    else:
        click.echo(f"removed {counted(stream.trim(oldest), 'entry')} before {oldest.decode()}")
