"""graphwriter resume: paused workers go on."""

from __future__ import annotations

import time

import click

from graphwriter.cli.options import CONTEXT, REDIS, settings
from graphwriter.config import Config
from graphwriter.text import age, plain


@click.command("resume", context_settings=CONTEXT)
@settings(*REDIS)
def command(config: Config) -> None:
    """Let paused workers go on, within two seconds."""
    from graphwriter.stream import pause
    from graphwriter.stream.streams import each

    found = None
    for client, name in each(config.redis_url, config.stream):
        found = pause.read(client, name, config.group) or found
        pause.end(client, name, config.group)
    if found is None:
        click.echo(f"{config.group} was not paused")
        return
    told = f" by {plain(found.by)}" if found.by else ""
    click.echo(f"resumed; it was paused for {age(time.time() - found.since)}{told}")
