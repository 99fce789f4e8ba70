"""graphwriter mcp: a server that lets a language model ask the graph."""

from __future__ import annotations

import click

from graphwriter.cli.options import CONTEXT, NEO4J, settings
from graphwriter.config import Config
from graphwriter.errors import ConfigError

TIMEOUT = 20.0  # seconds for a query


@click.command("mcp", context_settings=CONTEXT)
@click.option(
    "--http",
    "port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="Serve HTTP on this port of 127.0.0.1, for clients that send the token "
    "GRAPH_WRITER_EXPORTER_TOKEN, instead of standard input and output.",
)
@settings(*NEO4J)
def command(config: Config, port: int | None) -> None:
    """Let a language model ask the graph, by the Model Context Protocol. Reads only.

    A client such as an assistant or an editor starts this command itself and talks to it on
    standard input and output.
    """
    from graphwriter.graph import connect

    try:
        from graphwriter.mcp import server
    except ImportError:
        raise ConfigError("the package is missing: pip install 'graphwriter[mcp]'") from None
    if port is not None:
        from graphwriter.exporter import site

        if not config.exporter_token:
            raise ConfigError(
                "--http needs GRAPH_WRITER_EXPORTER_TOKEN, which clients have to send"
            )
        site.check(config)
    with connect(config, timeout=TIMEOUT, retry=0.0) as graph:
        if port is None:
            server.serve(graph)
        else:
            server.serve_http(graph, port, config.exporter_token or "")
