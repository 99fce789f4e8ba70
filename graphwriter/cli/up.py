"""graphwriter up: the pool in the foreground."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import click

from graphwriter.cli.options import CONTEXT, REDIS, settings
from graphwriter.config import Config, load


@click.command("up", context_settings=CONTEXT)
@click.option("--data", metavar="DIR", default=None, help="Where embedded servers keep their data.")
@settings(*REDIS, "workers", "batch_size", "text", "run_dir")
def command(config: Config, data: str | None) -> None:
    """Run a pool of workers until Ctrl-C or SIGTERM.

    REDIS_URL and NEO4J_URI name the servers. One that is not set is started here, embedded, and
    keeps its data from one time to the next.
    """
    from graphwriter.cli import servers
    from graphwriter.pool import Pool

    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    with servers.running(Path(data) if data else _data()) as variables:
        variables |= _flags(config)
        chosen = load({**os.environ, **variables})
        pool = Pool(chosen, chosen.directory(), variables)
        pool.start()
        click.echo(f"Pool     {config.workers} workers; see `graphwriter status`; Ctrl-C stops")
        try:
            while pool.running and not stopping:
                time.sleep(0.2)
        finally:
            click.echo("stopping: the batches in hand are finished first")
            pool.stop()


def _flags(config: Config) -> dict[str, str]:
    """Return the variables that hand our flags on to the workers, secrets left out."""
    from dataclasses import fields

    return {
        setting.metadata["variable"]: str(value)
        for setting in fields(Config)
        if not setting.metadata.get("secret")
        and (value := getattr(config, setting.name)) != setting.default
    }


def _data() -> Path:
    from platformdirs import user_data_path

    return user_data_path("graphwriter")
