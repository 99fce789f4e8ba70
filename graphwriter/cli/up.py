"""graphwriter up: the pool in the foreground."""

from __future__ import annotations

import fcntl
import os
import select
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphwriter import files, urls
from graphwriter.cli.options import CONTEXT, REDIS, settings
from graphwriter.config import Config, load
from graphwriter.errors import EXIT_FAILED, EXIT_OK, Unavailable
from graphwriter.text import counted

if TYPE_CHECKING:  # the drivers are not needed for --help
    from graphwriter.worker.pool import Pool

# Seconds without a live worker until the pool is stopped; supervisord's pauses are shorter.
NO_WORKER_TIME = 15.0


@click.command("up", context_settings=CONTEXT)
@click.option(
    "--data",
    metavar="DIR",
    default=None,
    help="Data of embedded servers; default the user's data directory, such as "
    "~/.local/share/graphwriter.",
)
@settings(*REDIS, "workers", "batch_size", "text", "enrich", "run_dir", "exporter", "exporter_port")
def command(config: Config, data: str | None) -> None:
    """Run a pool of workers until Ctrl-C or SIGTERM.

    REDIS_URL and NEO4J_URI name the servers. For one that is not set an embedded server is started,
    which keeps its data and its port, also after a restart; a line to paste sets the addresses for
    other commands. The exit code is 1 when no worker is left.
    """
    from graphwriter.cli import servers
    from graphwriter.worker import pool

    _append_to_files()
    stop = _Stop()
    pool.check(config.directory())
    flags = _flags()
    where = Path(data) if data else None
    with (
        stop.signals,
        _openable_output() as unread,
        servers.running(where, {**os.environ, **flags}) as started,
    ):
        if started.variables:
            click.echo(f"Data     {data or servers.data_directory()}")
            text = " ".join(f"{name}={value}" for name, value in started.variables.items())
            click.echo(f"For other commands:\n\n    export {text}\n")
        variables = flags | started.variables
        chosen = load({**os.environ, **variables})
        _apply_schema(chosen)
        workers = pool.Pool(chosen, chosen.directory(), variables)
        _print_page(chosen)
        number = counted(chosen.workers, "worker")
        click.echo(f"Pool     {number}; see `graphwriter status`; Ctrl-C stops")
        stop.immediate = False
        if stop.requested:  # an import that ran just then may have swallowed the exit
            sys.exit(EXIT_OK)
        workers.start(stopping=lambda: stop.requested)

        def revive() -> None:
            with stop.immediately():
                started.revive()

        try:
            ended = watch(workers, lambda: stop.requested or unread(), revive)
        finally:
            click.echo("stopping: the current batches are finished first")
            workers.stop()
        if unread() and not stop.requested:
            ended = "the reader of standard output has closed it"
    if ended:
        click.echo(f"graphwriter: {ended}: see the lines above", err=True)
        sys.exit(EXIT_FAILED)


class _Stop:
    """Ctrl-C and SIGTERM: exit immediately while servers start, later a request for `watch`."""

    def __init__(self) -> None:
        from graphwriter.worker.runtime import StopSignals

        self.immediate = True
        self.signals = StopSignals(self._exit)

    @property
    def requested(self) -> bool:
        """Whether a signal was received."""
        return self.signals.received > 0

    def _exit(self) -> None:
        if self.immediate:
            os.write(2, b"stopping\n")  # click.echo may be in the middle of a line
            sys.exit(EXIT_OK)

    @contextmanager
    def immediately(self) -> Iterator[None]:
        """Exit immediately on a signal inside this block."""
        self.immediate = True
        try:
            yield
        finally:
            self.immediate = False


def _print_page(config: Config) -> None:
    """Print the address of the status page, unless another program uses the port."""
    host, port = config.exporter_host, config.exporter_port
    if not (config.exporter and port):
        return
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        click.echo(
            f"graphwriter: no status page: {host}:{port}: {error.strerror}; choose another "
            "--exporter-port, or --no-exporter",
            err=True,
        )
    else:
        click.echo(f"Page     {urls.page(host, port)}")


def _append_to_files() -> None:
    """Open regular files on standard output and error in append mode.

    supervisord opens /dev/stdout again for the workers' lines. For a file that is a second
    position: without O_APPEND each process would overwrite the lines of the other.
    """
    for descriptor in (1, 2):
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
            fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_APPEND)


@contextmanager
def _openable_output() -> Iterator[Callable[[], bool]]:
    """Replace standard output and error by a pipe to `cat` if they cannot be opened by name.

    supervisord opens /dev/stdout again for the workers' lines. That fails for a socket, such as
    systemd's journal, and for a terminal or file of the original user after `sudo -u`. A pipe is
    replaced too, since its reader (head, or a tee stopped by Ctrl-C) may exit before supervisord.

    Yields a function that returns whether the readers have closed it.
    """
    closed = {
        number: os.dup(number) for number in (1, 2) if _piped(number) or not _can_open(number)
    }
    if not closed:
        yield lambda: False
        return
    readers = select.poll()
    for kept in closed.values():
        readers.register(kept, 0)  # only errors
    drain = ["/bin/sh", "-c", "/bin/cat; exec /bin/cat > /dev/null"]
    copy = subprocess.Popen(drain, stdin=subprocess.PIPE, start_new_session=True)
    assert copy.stdin is not None
    for number in closed:
        os.dup2(copy.stdin.fileno(), number)
    copy.stdin.close()
    try:
        yield lambda: any(event & select.POLLERR for _, event in readers.poll(0))
    finally:
        for number, kept in closed.items():
            os.dup2(kept, number)
            os.close(kept)
        with suppress(subprocess.TimeoutExpired):
            copy.wait(5)  # until the pipe is empty


def _piped(number: int) -> bool:
    """Return whether the descriptor is the same pipe as standard output."""
    status, output = os.fstat(number), os.fstat(1)
    return stat.S_ISFIFO(status.st_mode) and os.path.samestat(status, output)


def _can_open(number: int) -> bool:
    try:
        os.close(os.open(f"/dev/fd/{number}", os.O_WRONLY | os.O_APPEND))
    except OSError:
        return False
    return True


def _apply_schema(config: Config) -> None:
    """Create the constraints, so that the workers do not all try it at the same time.

    If Neo4j does not answer the workers wait for it and create them.
    """
    from graphwriter.graph import connect, schema

    with connect(config) as graph:
        try:
            graph.check()
            schema.apply(graph, config.keep)
        except Unavailable as error:
            click.echo(f"graphwriter: {error}; the workers wait for it", err=True)


def watch(
    pool: Pool, stopping: Callable[[], bool], revive: Callable[[], None] = lambda: None
) -> str | None:
    """Block until `stopping`; return why the pool ended by itself, if it did.

    `revive` is called repeatedly, to restart servers that the workers need.
    """
    seen = time.monotonic()
    while not stopping():
        if not pool.running:
            return "supervisord has exited"
        # On a full disk no heartbeat shows the workers.
        if pool.alive or (pool.directory.exists() and files.problem(pool.directory)):
            seen = time.monotonic()
        elif time.monotonic() - seen > NO_WORKER_TIME:
            return f"no worker has been alive for {NO_WORKER_TIME:.0f} s"
        revive()
        time.sleep(0.2)
    return None


def _flags() -> dict[str, str]:
    """Return our flags as variables for the workers; no flag is a secret."""
    given = click.get_current_context().params
    variables = {
        setting.metadata["variable"]: str(given[setting.name])
        for setting in fields(Config)
        if given.get(setting.name) is not None
    }
    if "REDIS_URL" in variables:
        variables["REDIS_URL_FILE"] = ""  # both together would be refused
    return variables
