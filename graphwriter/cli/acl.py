"""graphwriter acl: users of Redis and roles of Neo4j with least privilege."""

from __future__ import annotations

import click

from graphwriter.cli.options import CONTEXT, REDIS, settings
from graphwriter.config import Config


@click.command("acl", context_settings=CONTEXT)
@click.option(
    "--neo4j",
    is_flag=True,
    help="Print Cypher for Neo4j Enterprise instead: roles of workers and of those who ask.",
)
@settings(*(name for name in REDIS if name != "redis_url"), "neo4j_database")
def command(config: Config, neo4j: bool) -> None:
    """Print an ACL file for Redis 7.2 or Valkey: worker, producer, operator, watcher.

    The watcher is for `graphwriter status` and exporters. The users have no passwords yet: set one
    with `ACL SETUSER graphwriter-worker >password`, then run `ACL SAVE`.
    """
    if neo4j:
        from graphwriter.graph.client import statement

        name = f"`{config.neo4j_database.replace('`', '``')}`"
        click.echo(statement("roles").replace(" neo4j TO", f" {name} TO"), nl=False)
        return
    from graphwriter.stream import acl

    for line in acl.users(config.stream, config.group):
        click.echo(line)
