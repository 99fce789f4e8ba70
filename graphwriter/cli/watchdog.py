"""graphwriter watchdog: the event listener of conf/supervisord.conf, and its view for others."""

from __future__ import annotations

import os
import sys
import time

import click

from graphwriter.cli.options import CONTEXT, settings
from graphwriter.config import Config
from graphwriter.errors import EXIT_FAILED, ConfigError


@click.command("watchdog", context_settings=CONTEXT)
@click.option(
    "--check",
    is_flag=True,
    help="Only say which workers are stuck or gone; the exit code is 1 if any is.",
)
@settings("watchdog", "workers", "run_dir")
def command(config: Config, check: bool) -> None:
    """End workers whose heartbeat is stale; supervisord starts this and tells it when to look."""
    from graphwriter.worker import watchdog

    if check:
        # A pool may have its number from a flag of its own, which we do not see.
        given = click.get_current_context().params["workers"] is not None
        known = None if given else watchdog.expected(config.directory())
        lines = watchdog.wrong(
            config.directory(), config.watchdog, known or config.workers, time.monotonic()
        )
        click.echo("\n".join(lines) or "every worker gets on")
        sys.exit(EXIT_FAILED if lines else 0)
    if "SUPERVISOR_SERVER_URL" not in os.environ:
        raise ConfigError("the watchdog is an event listener: supervisord has to start it")
    watchdog.run(config.directory(), config.watchdog)
