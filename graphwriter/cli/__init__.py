"""The commands. Each lies in a module of its own that is imported when it is called for."""

from __future__ import annotations

from importlib import import_module

import click

from graphwriter import __version__
from graphwriter.cli.options import CONTEXT, Group

# command -> module, and the one line that the list of commands shows
COMMANDS = {
    "demo": ("demo", "Show the whole pipeline at work on this machine, with made-up data."),
    "up": ("up", "Run a pool of workers here, with embedded servers where none are named."),
    "worker": ("worker", "Write events to the graph: one process of the pool."),
    "schema": ("schema", "Apply or check the constraints, adopt posts, print the event's schema."),
    "publish": ("publish", "Add the events of a file to the stream."),
    "import": ("imports", "Add the messages of an export to the stream."),
    "ingest": ("ingest", "Read channels from Telegram into the stream."),
    "backfill": ("backfill", "Write the posts of a PostgreSQL database to the graph."),
    "dead": ("dead", "List, show, replay and purge dead letters."),
    "status": ("status", "Show the stream, the workers and the dead letters."),
    "doctor": ("doctor", "Look for what is wrong, and name the command that mends it."),
    "verify": ("verify", "Hold a source of truth against the graph, and mend what differs."),
    "plan": ("plan", "Reckon workers, machines, memory and disk for a rate and a retention."),
    "trim": ("trim", "Remove from the stream what every group has acknowledged."),
    "acl": ("acl", "Print the users that Redis needs, each with no more rights than its work."),
    "exporter": ("exporter", "Serve metrics and the status page."),
    "watchdog": ("watchdog", "End workers that are stuck (started by supervisord)."),
}


class Commands(Group):
    """A group that knows its commands' names without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"graphwriter.cli.{COMMANDS[cmd_name][0]}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=Commands, context_settings=CONTEXT)
@click.version_option(__version__, "--version", message="graphwriter %(version)s")
def main() -> None:
    """Keeps a Neo4j graph of Telegram posts from a Redis stream.

    Every setting has a variable, such as REDIS_URL and NEO4J_URI; a flag beats it. Exit codes: 0
    done, 1 failed, 2 wrong usage, 3 the graph differs, 65 too many dead letters, 69 a server is
    away, 75 the consumer name, run directory or data is taken, 78 wrong configuration.
    """
