"""graphwriter acl: Redis users with least privilege."""

from __future__ import annotations

import click

from graphwriter.cli.options import CONTEXT, REDIS, settings
from graphwriter.config import Config


@click.command("acl", context_settings=CONTEXT)
@settings(*(name for name in REDIS if name != "redis_url"))
def command(config: Config) -> None:
    """Print an ACL file for Redis 7.2 or Valkey: worker, producer, operator, watcher.

    The watcher is for `graphwriter status` and exporters. The users have no passwords yet: set one
    with `ACL SETUSER graphwriter-worker >password`, then run `ACL SAVE`.
    """
    from graphwriter.stream import acl

    for line in acl.users(config.stream, config.group):
        click.echo(line)
