"""graphwriter watchdog: the event listener of conf/supervisord.conf, and a health check."""

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
    help="Only report stuck and missing workers; the exit code is 1 if there are any.",
)
@settings("watchdog", "workers", "run_dir")
def command(config: Config, check: bool) -> None:
    """Kill workers that make no progress; supervisord starts this as an event listener."""
    from graphwriter.worker import watchdog

    if check:
        # The pool may have been started with --workers, which this process cannot see.
        given = click.get_current_context().params["workers"] is not None
        known = None if given else watchdog.expected(config.directory())
        lines = watchdog.wrong(
            config.directory(), config.watchdog, known or config.workers, time.monotonic()
        )
        click.echo("\n".join(lines) or "every worker makes progress")
        sys.exit(EXIT_FAILED if lines else 0)
    if "SUPERVISOR_SERVER_URL" not in os.environ:
        raise ConfigError("the watchdog is an event listener: start it with supervisord")
    watchdog.run(config.directory(), config.watchdog)
