"""graphwriter up: the pool in the foreground."""

from __future__ import annotations

import fcntl
import os
import select
import signal
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

from graphwriter import urls
from graphwriter.cli.options import CONTEXT, REDIS, settings
from graphwriter.cli.output import counted
from graphwriter.config import Config, load
from graphwriter.errors import EXIT_FAILED, EXIT_OK, Unavailable

if TYPE_CHECKING:  # the drivers are not needed for --help
    from graphwriter.worker.pool import Pool

# Seconds without a worker until the pool is given up: supervisord's pauses are shorter.
ALONE = 15.0


@click.command("up", context_settings=CONTEXT)
@click.option(
    "--data",
    metavar="DIR",
    default=None,
    help="Where embedded servers keep their data; default the user's data directory, such as "
    "~/.local/share/graphwriter.",
)
@settings(*REDIS, "workers", "batch_size", "text", "run_dir", "exporter", "exporter_port")
def command(config: Config, data: str | None) -> None:
    """Run a pool of workers until Ctrl-C or SIGTERM.

    REDIS_URL and NEO4J_URI name the servers. One that is not set is started here, embedded, and
    keeps its data and its port from one time to the next, also where it ends and is started again;
    a line to paste says how other commands find it. The exit code is 1 when no worker is left.
    """
    from graphwriter.cli import servers
    from graphwriter.worker import pool

    _append()
    stop = _Stop()
    pool.check(config.directory())
    flags = _flags()
    where = Path(data) if data else None
    with _openable() as unread, servers.running(where, {**os.environ, **flags}) as started:
        if started.variables:
            click.echo(f"Data     {data or servers.data_directory()}")
            said = " ".join(f"{name}={value}" for name, value in started.variables.items())
            click.echo(f"For other commands:\n\n    export {said}\n")
        variables = flags | started.variables
        chosen = load({**os.environ, **variables})
        _apply_schema(chosen)
        workers = pool.Pool(chosen, chosen.directory(), variables)
        _say_page(chosen)
        shown = counted(chosen.workers, "worker")
        click.echo(f"Pool     {shown}; see `graphwriter status`; Ctrl-C stops")
        stop.at_once = False
        if stop.asked:  # where what was imported just then has swallowed the exit
            sys.exit(EXIT_OK)
        workers.start(stopping=lambda: stop.asked)

        def revive() -> None:
            with stop.at_any_time():
                started.revive()

        try:
            ended = watch(workers, lambda: stop.asked or unread(), revive)
        finally:
            click.echo("stopping: the batches in hand are finished first")
            workers.stop()
        if unread() and not stop.asked:
            ended = "nobody reads standard output any more"
    if ended:
        click.echo(f"graphwriter: {ended}: see the lines above", err=True)
        sys.exit(EXIT_FAILED)


class _Stop:
    """Ctrl-C and SIGTERM: an end at once while servers start, later a wish that `watch` sees."""

    def __init__(self) -> None:
        self.asked, self.at_once = False, True
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked = True
        if self.at_once:
            os.write(2, b"stopping\n")  # echo may be in the midst of a line
            sys.exit(EXIT_OK)

    @contextmanager
    def at_any_time(self) -> Iterator[None]:
        """End at once for a while."""
        self.at_once = True
        try:
            yield
        finally:
            self.at_once = False


def _say_page(config: Config) -> None:
    """Print where the page will be, unless another program has the port."""
    host, port = config.exporter_host, config.exporter_port
    if not (config.exporter and port):
        return
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        click.echo(
            f"graphwriter: no page: {host}:{port}: {error.strerror}; choose another "
            "--exporter-port, or --no-exporter",
            err=True,
        )
    else:
        click.echo(f"Page     {urls.page(host, port)}")


def _append() -> None:
    """Make what we and supervisord write to one file come one after another.

    supervisord opens /dev/stdout anew for the workers' lines. In a file that a shell opened for us
    that is a second position: without O_APPEND each would write over what the other wrote.
    """
    for descriptor in (1, 2):
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
            fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_APPEND)


@contextmanager
def _openable() -> Iterator[Callable[[], bool]]:
    """Put a pipe before standard output and error where they cannot be opened by their names.

    supervisord opens /dev/stdout anew for the workers' lines. That fails for a socket, as systemd's
    journal is, and for a terminal or file of the user that we were before `sudo -u`. Before another
    pipe too, whose reader (head, or a tee that Ctrl-C ended) may be gone before supervisord is.

    Yields a function that says whether nobody reads any more.
    """
    closed = {
        number: os.dup(number) for number in (1, 2) if _piped(number) or not _can_open(number)
    }
    if not closed:
        yield lambda: False
        return
    readers = select.poll()
    for kept in closed.values():
        readers.register(kept, 0)  # for errors alone
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
            copy.wait(5)  # for what the pipe still holds


def _piped(number: int) -> bool:
    """Return whether it is the pipe that standard output is."""
    ours, output = os.fstat(number), os.fstat(1)
    return stat.S_ISFIFO(ours.st_mode) and os.path.samestat(ours, output)


def _can_open(number: int) -> bool:
    try:
        os.close(os.open(f"/dev/fd/{number}", os.O_WRONLY | os.O_APPEND))
    except OSError:
        return False
    return True


def _apply_schema(config: Config) -> None:
    """Make the constraints, so that the workers need not all try it at once.

    Where Neo4j is away that is left to them: they wait for it.
    """
    from graphwriter.graph import connect, schema

    with connect(config) as graph:
        try:
            graph.check()
            schema.apply(graph)
        except Unavailable as error:
            click.echo(f"graphwriter: {error}; the workers wait for it", err=True)


def watch(
    pool: Pool, stopping: Callable[[], bool], revive: Callable[[], None] = lambda: None
) -> str | None:
    """Block until told to stop; return why the pool ended by itself, if it did.

    `revive` is called again and again, to start what the workers need.
    """
    seen = time.monotonic()
    while not stopping():
        if not pool.running:
            return "supervisord has ended"
        if pool.alive:
            seen = time.monotonic()
        elif time.monotonic() - seen > ALONE:
            return f"no worker has been alive for {ALONE:.0f} s"
        revive()
        time.sleep(0.2)
    return None


def _flags() -> dict[str, str]:
    """Return the variables that hand our flags on to the workers; no flag is a secret."""
    given = click.get_current_context().params
    variables = {
        setting.metadata["variable"]: str(given[setting.name])
        for setting in fields(Config)
        if given.get(setting.name) is not None
    }
    if "REDIS_URL" in variables:
        variables["REDIS_URL_FILE"] = ""  # beside a URL it would be refused
    return variables
