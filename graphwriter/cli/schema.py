"""graphwriter schema: the constraints of the graph and the JSON Schema of the event."""

from __future__ import annotations

import sys
from typing import Any

import click

from graphwriter.cli.options import CONTEXT, NEO4J, Group, settings
from graphwriter.cli.output import as_json, echo_json, table
from graphwriter.config import Config
from graphwriter.errors import EXIT_FAILED


@click.group("schema", cls=Group, context_settings=CONTEXT)
def command() -> None:
    """Apply or check the constraints, adopt posts, print the event's schema."""


@command.command("apply", context_settings=CONTEXT)
@click.option("--read", is_flag=True, help="Also index URLs and content hashes, for `ask`.")
@click.option("--fulltext", is_flag=True, help="Also index texts, for `ask search`.")
@click.option(
    "--analyzer",
    default="standard-no-stop-words",
    show_default=True,
    metavar="NAME",
    help="Rules of the language of the texts, such as russian or english.",
)
@settings(*NEO4J, "enrich")
def apply(config: Config, read: bool, fulltext: bool, analyzer: str) -> None:
    """Create the missing constraints. Idempotent, and safe at any time from several places.

    The indexes for questions cost the workers some time, so they are only created on request.
    """
    from graphwriter.graph import connect, schema

    with connect(config) as graph:
        graph.check()
        created = schema.apply(graph, config.keep)
        created += schema.apply_reading(graph) if read else []
        created += schema.apply_fulltext(graph, analyzer) if fulltext else []
    click.echo(f"created {', '.join(created)}" if created else "nothing to do")


@command.command("check", context_settings=CONTEXT)
@as_json
@settings(*NEO4J, "enrich")
def check(config: Config, json: bool) -> None:
    """Show which constraints exist, and what blocks the others.

    The printed query shows duplicates, and `verify graph --repair` merges them. The exit code is 1
    if a constraint is missing.
    """
    from graphwriter.graph import connect, duplicates, schema

    with connect(config) as graph:
        graph.check()
        missing = schema.missing(graph, config.keep)
        rows: list[dict[str, Any]] = [
            {
                "constraint": name,
                "on": f":{label}({', '.join(properties)})",
                "there": name not in missing,
                "duplicates": duplicates.count(graph, name) if name in missing else 0,
                "query": schema.duplicates(name),
                "in_the_way": schema.obstacles(graph, name) if name in missing else [],
            }
            for name in schema.needed(config.keep)
            for label, properties in [schema.CONSTRAINTS[name]]
        ]
    if json:
        for row in rows:
            echo_json(row)
    else:
        table(
            ["constraint", "on", "exists", "duplicates"],
            [
                [r["constraint"], r["on"], "yes" if r["there"] else "no", f"{r['duplicates']:,}"]
                for r in rows
            ],
        )
        for row in rows:
            _show_obstacles(row)
    sys.exit(EXIT_FAILED if missing else 0)


def _show_obstacles(row: dict[str, Any]) -> None:
    """Print how to create a missing constraint."""
    if row["there"]:
        return
    click.echo(f"{row['constraint']} is missing: run `graphwriter schema apply`")
    for statement in row["in_the_way"]:
        click.echo(f"  after this, in cypher-shell: {statement}")
    if row["duplicates"]:
        click.echo("  after `graphwriter verify graph --repair`, which merges the duplicates:")
        click.echo(f"  {row['query']}")


@command.command("adopt", context_settings=CONTEXT)
@settings(*NEO4J, "enrich")
def adopt(config: Config) -> None:
    """Adopt (:Post {post_id}) nodes of another service.

    Posts with tg_channel_id and telegram_message_id are adopted now, the others when an event with
    their post_id arrives.
    """
    from graphwriter.graph import connect, schema

    with connect(config) as graph:
        graph.check()
        schema.apply(graph, config.keep)
        adopted, left = schema.adopt(graph)
    click.echo(f"adopted {adopted:,}, waiting for their events: {left:,}")


@command.command("event", context_settings=CONTEXT)
def event() -> None:
    """Print the JSON Schema of an event.

    It describes the object in the field `data`, for producers in other languages.
    """
    from graphwriter.events import wire

    echo_json(wire.json_schema())
