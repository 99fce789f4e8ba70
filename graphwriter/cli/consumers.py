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
    from graphwriter.stream import connect, info

    facts = info.stream(connect(config.redis_url, config.stream), config.stream, config.group)
    consumers = sorted(facts.consumers, key=lambda one: (-one.pending, one.idle, one.name))
    if json:
        for one in consumers:
            echo_json(msgspec.to_builtins(one))
        return
    rows = [(one.name, f"{one.pending:,}", age(one.idle)) for one in consumers]
    table(("consumer", "pending", "idle"), rows, f"the group {config.group} has no consumer")


@command.command("prune", context_settings=CONTEXT)
@click.option("--dry-run", is_flag=True, help="Show what would be deleted, and delete nothing.")
@settings(*REDIS, "consumer_expire")
def prune(config: Config, dry_run: bool) -> None:
    """Delete consumers without pending entries that were idle for long.

    Workers do this every hour. A consumer that holds entries stays, and so does one that takes
    entries meanwhile. One that comes back later is created again by its first read.
    """
    from graphwriter.stream import connect, prune

    client, idle = connect(config.redis_url, config.stream), config.consumer_expire
    if dry_run:
        names = [one.name for one in prune.expired(client, config.stream, config.group, idle)]
    else:
        names = list(prune.prune(client, config.stream, config.group, idle))
    click.echo(f"{'would delete' if dry_run else 'deleted'} {counted(len(names), 'consumer')}")
