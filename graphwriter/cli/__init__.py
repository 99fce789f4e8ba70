"""The commands, one file each, imported when called.

To add one, write `cli/NAME.py` with a click command named `command`, and add it to `COMMANDS`.
"""

from __future__ import annotations

from importlib import import_module

import click

from graphwriter import __version__
from graphwriter.cli.options import CONTEXT, Group

# command -> module, and its line in the list of commands
COMMANDS = {
    "demo": ("demo", "Run the whole pipeline on this machine, with generated data."),
    "up": ("up", "Run a pool of workers, and embedded servers if none are configured."),
    "worker": ("worker", "Write events to the graph: one process of the pool."),
    "schema": ("schema", "Apply or check the constraints, adopt posts, print the event's schema."),
    "publish": ("publish", "Add the events of a file to the stream."),
    "import": ("imports", "Add the messages of an export to the stream."),
    "ingest": ("ingest", "Read channels from Telegram into the stream."),
    "backfill": ("backfill", "Write the posts of a PostgreSQL database to the graph."),
    "dead": ("dead", "List, show, replay and purge dead letters."),
    "status": ("status", "Show the stream, the workers and the dead letters."),
    "pause": ("pause", "Make the workers finish and stop reading, on all machines."),
    "resume": ("resume", "Let paused workers go on."),
    "doctor": ("doctor", "Find problems, and print the commands that repair them."),
    "ask": ("ask", "Ask the graph: threads, comments, spread, channels, what to collect."),
    "export": ("export", "Write the graph as CSV, GEXF or GraphML."),
    "mcp": ("mcp", "Let a language model ask the graph (Model Context Protocol)."),
    "verify": ("verify", "Compare the graph with a source, and repair the differences."),
    "plan": ("plan", "Calculate workers, machines, memory and disk for a rate and retention."),
    "trim": ("trim", "Remove entries that every consumer group has acknowledged."),
    "consumers": ("consumers", "List and delete consumers of workers that are gone."),
    "acl": ("acl", "Print Redis users with least privilege."),
    "exporter": ("exporter", "Serve metrics and the status page."),
    "watchdog": ("watchdog", "Kill workers that are stuck (started by supervisord)."),
}


class Commands(Group):
    """A group that lists its commands without importing them."""

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

    Every setting has an environment variable, such as REDIS_URL and NEO4J_URI; a flag overrides it.
    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the graph differs, 65 too many dead letters, or
    an import left out messages, 69 a server does not answer, 75 the consumer name, run directory or
    data is in use, 78 wrong configuration.
    """
