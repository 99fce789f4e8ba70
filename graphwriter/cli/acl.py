"""graphwriter acl: the users that Redis needs, each with no more rights than its work takes."""

from __future__ import annotations

import click

from graphwriter.cli.options import CONTEXT, REDIS, settings
from graphwriter.config import Config


@click.command("acl", context_settings=CONTEXT)
@settings(*(name for name in REDIS if name != "redis_url"))
def command(config: Config) -> None:
    """Print an ACL file for Redis 7.2 or Valkey: worker, producer, operator, watcher.

    The watcher is for `graphwriter status` and exporters. No user has a password yet: give each one
    with `ACL SETUSER graphwriter-worker >password`, then save with `ACL SAVE`.
    """
    from graphwriter.stream import acl

    for line in acl.users(config.stream, config.group):
        click.echo(line)
