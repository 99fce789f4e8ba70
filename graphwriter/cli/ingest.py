"""graphwriter ingest: read channels from Telegram into the stream."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from graphwriter.cli.options import CONTEXT, Group, settings
from graphwriter.cli.output import Progress
from graphwriter.config import Config
from graphwriter.errors import EXIT_FAILED, ConfigError
from graphwriter.files import Lock
from graphwriter.text import counted
from graphwriter.worker.heartbeat import key
from graphwriter.worker.runtime import stop_signals

REDIS_PATIENCE = 3.0  # seconds to wait for Redis, and so after a signal, at most


@click.group("ingest", cls=Group, context_settings=CONTEXT)
def command() -> None:
    """Read channels from Telegram into the stream."""


@command.command("telethon", context_settings=CONTEXT)
@click.option(
    "--channel",
    "channels",
    metavar="NAME",
    multiple=True,
    required=True,
    help="@name, link or marked id of a channel or group. Repeatable.",
)
@click.option("--as-tenant", default="telethon", metavar="NAME", help="tenant_id of the events.")
@click.option(
    "--history", is_flag=True, help="Stop after the history, do not wait for new messages."
)
@click.option(
    "--every",
    metavar="SECONDS",
    default=600.0,
    type=click.FloatRange(min=1),
    help="Seconds between history checks for messages missed by live updates; default 600.",
)
@click.option(
    "--positions",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of the read positions; default in the run directory, which a reboot may empty.",
)
@settings("redis_url", "stream", "run_dir")
def telethon(
    config: Config,
    channels: tuple[str, ...],
    as_tenant: str,
    history: bool,
    every: float,
    positions: Path | None,
) -> None:
    """Read channels with Telethon: history, then new and edited messages, until SIGTERM or Ctrl-C.

    Set TELEGRAM_API_ID, TELEGRAM_API_HASH and TELEGRAM_SESSION, or the files TELEGRAM_..._FILE. It
    resumes at its saved positions. It needs pip install 'graphwriter[telethon]'.
    """
    name = key("telethon", config.redis_url, config.stream, "")
    path = positions or config.directory() / f"{name}.positions"
    lock = Lock(
        path.with_name(f"{path.name}.lock"),
        f"process {{pid}} already reads channels with the positions in {path}: stop it, or choose "
        "another file with --positions",
    )
    try:
        lock.take()
    except OSError as error:
        raise ConfigError(f"{lock.path}: {error.strerror}") from None
    try:
        left_out = asyncio.run(_run(config, channels, as_tenant, not history, every, path))
    finally:
        lock.release()
    sys.exit(EXIT_FAILED if left_out else 0)


async def _run(
    config: Config, channels: tuple[str, ...], tenant: str, live: bool, every: float, path: Path
) -> bool:
    """Read until a signal or the end; return whether something was left out."""
    from graphwriter.producers.publisher import EventPublisher
    from graphwriter.producers.telethon.ingest import Ingest
    from graphwriter.producers.telethon.session import Positions, client

    telegram = client(config.telegram_api_id, config.telegram_api_hash, config.telegram_session)
    publisher = EventPublisher(config.redis_url, config.stream, patience=REDIS_PATIENCE)
    try:
        with Progress("starting", log=True) as progress:
            ingest = Ingest(
                telegram, publisher, Positions(path), tenant=tenant, said=progress.show, every=every
            )
            loop = asyncio.get_running_loop()
            for number in stop_signals():
                loop.add_signal_handler(number, ingest.stop)
            await ingest.run(channels, live=live)
    finally:
        publisher.close()
    click.echo(f"published {counted(publisher.published, 'event')} to {config.stream}")
    left_out = [
        counted(ingest.counts[kind], noun)
        for kind, noun in (
            ("rejected", "unreadable message"),
            ("failed", "channel"),
            ("missed", "update"),
        )
        if ingest.counts[kind]
    ]
    if left_out:
        click.echo(f"left out: {', '.join(left_out)}; the log says why")
    return bool(left_out)
