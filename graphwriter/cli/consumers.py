"""graphwriter consumers: list the consumers of the group, delete those of workers that are gone."""

from __future__ import annotations

import click
import msgspec

from graphwriter.cli.options import CONTEXT, REDIS, Group, settings
from graphwriter.cli.output import as_json, echo_json, table
from graphwriter.config import Config
from graphwriter.text import age, counted


@click.group("consumers", cls=Group, context_settings=CONTEXT)
def command() -> None:
    """List the consumers of the group, and delete those of workers that are gone."""


@command.command("list", context_settings=CONTEXT)
@as_json
@settings(*REDIS)
def list_(config: Config, json: bool) -> None:
    """List all consumers of the group, on all machines, those with most pending entries first."""
    from graphwriter.stream import info
    from graphwriter.stream.streams import each

    streams = each(config.redis_url, config.stream)
    found = [
        (name, one)
        for client, name in streams
        for one in info.stream(client, name, config.group).consumers
    ]
    found.sort(key=lambda pair: (-pair[1].pending, pair[1].idle, pair[1].name))
    several = len(streams) > 1
    if json:
        for name, one in found:
            echo_json(({"stream": name} if several else {}) | msgspec.to_builtins(one))
        return
    rows = [
        (*((name,) if several else ()), one.name, f"{one.pending:,}", age(one.idle))
        for name, one in found
    ]
    columns = (*(("stream",) if several else ()), "consumer", "pending", "idle")
    table(columns, rows, f"the group {config.group} has no consumer")


@command.command("prune", context_settings=CONTEXT)
@click.option("--dry-run", is_flag=True, help="Show what would be deleted, and delete nothing.")
@settings(*REDIS, "consumer_expire")
def prune(config: Config, dry_run: bool) -> None:
    """Delete consumers without pending entries that were idle for long.

    Workers do this every hour. A consumer that holds entries stays, and so does one that takes
    entries meanwhile. One that comes back later is created again by its first read.
    """
    from graphwriter.stream import prune
    from graphwriter.stream.streams import each

    idle = config.consumer_expire
    names: set[str] = set()  # a consumer of several streams counts once
    for client, name in each(config.redis_url, config.stream):
        if dry_run:
            names |= {one.name for one in prune.expired(client, name, config.group, idle)}
        else:
            names |= {*prune.prune(client, name, config.group, idle)}
    click.echo(f"{'would delete' if dry_run else 'deleted'} {counted(len(names), 'consumer')}")
