"""graphwriter watchdog: the event listener of conf/supervisord.conf."""

from __future__ import annotations

import os

import click

from graphwriter.cli.options import CONTEXT, settings
from graphwriter.config import Config
from graphwriter.errors import ConfigError


@click.command("watchdog", context_settings=CONTEXT)
@settings("watchdog", "run_dir")
def command(config: Config) -> None:
    """End workers whose heartbeat is stale; supervisord starts this and tells it when to look."""
    if "SUPERVISOR_SERVER_URL" not in os.environ:
        raise ConfigError("the watchdog is an event listener: supervisord has to start it")
    from graphwriter import watchdog

    watchdog.run(config.directory(), config.watchdog)
