"""graphwriter exporter: metrics and the status page."""

from __future__ import annotations

import click

from graphwriter.cli.options import CONTEXT, NEO4J, REDIS, settings
from graphwriter.config import Config


@click.command("exporter", context_settings=CONTEXT)
@settings(*REDIS, *NEO4J, "run_dir", "exporter_host", "exporter_port", "log_level", "log_format")
def command(config: Config) -> None:
    """Serve metrics for Prometheus (/metrics) and the status page (/), until SIGTERM.

    It covers all workers of this machine that share the run directory. It is read-only. /healthz
    reports whether the exporter itself is healthy, /readyz whether events can be written. Other
    machines must send GRAPH_WRITER_EXPORTER_TOKEN, as bearer token or password.
    """
    from graphwriter.exporter import process

    process.run(config)
