"""One worker process: its name, its lock, its servers, its signals, and the loop between them."""

from __future__ import annotations

import faulthandler
import logging
import os
import random
import time
from contextlib import ExitStack, closing
from pathlib import Path

from graphwriter import files, logs
from graphwriter.config import Config, unknown
from graphwriter.errors import ConfigError, DeadLetterLimit, GraphwriterError, Unavailable
from graphwriter.graph import Graph, connect
from graphwriter.stream import Stream, Streams, consumer_of
from graphwriter.stream.client import place
from graphwriter.stream.deadletters import Limit
from graphwriter.stream.prune import prune
from graphwriter.worker import runtime
from graphwriter.worker.heartbeat import STARTING, Heartbeat, WorkerState, key, tidy
from graphwriter.worker.writer import Writer

log = logging.getLogger("graphwriter")

FIRST_PRUNE, PRUNE_INTERVAL = 600.0, 3600.0  # seconds until consumers are deleted, and between
READ_INTERVAL = 2.0  # seconds within which an idle worker reads again
SETTLED = 2.0  # seconds after which supervisord accepts an exit code as intended


def run(config: Config, consumer: str) -> None:
    """Write events as `consumer` until SIGTERM or SIGINT, then finish the current batch.

    Blocks until then; waits without limit for servers that do not answer.

    Raises:
        NameTaken: another process works under this name. Under a supervisor the lock is waited for,
            since a worker whose supervisor was killed is about to exit.
        ConfigError: a setting or a server's set-up has to be changed.
        DeadLetterLimit: most entries become dead letters.
    """
    # Take the parent pid first: the supervisor may die while we wait for the lock.
    parent = runtime.supervisor(os.environ)
    started = time.monotonic()
    faulthandler.enable()  # prints a stack on SIGABRT, which the watchdog sends first
    directory = config.directory()
    name = key(consumer, config.redis_url, config.stream, config.group)
    lock = files.Lock(directory / f"{name}.lock")
    lock.take(wait=0.0 if parent is None else config.stop_wait)
    try:
        renewed: Config | None = config
        while renewed is not None:
            logs.setup(renewed.log_level, renewed.log_format, renewed.secrets(), worker=consumer)
            # The driver's errors are raised, and logged here.
            logging.getLogger("neo4j").setLevel(logging.CRITICAL)
            renewed = _run(renewed, consumer, directory / f"{name}.json", parent, lock)
    except (ConfigError, DeadLetterLimit):
        if parent is not None:
            # supervisord reads the exit code only of a process that ran for `startsecs`, 1 in
            # its configuration, and would otherwise start us again.
            time.sleep(max(0.0, started + SETTLED - time.monotonic()))
        raise
    finally:
        lock.release()


def _run(
    config: Config, consumer: str, file: Path, parent: int | None, lock: files.Lock
) -> Config | None:
    """Write until a signal. Return the settings to go on with, if Redis refuses a password and
    REDIS_URL_FILE has another one by now; else None."""
    with ExitStack() as stack:
        graph = stack.enter_context(closing(connect(config)))
        stream = stack.enter_context(
            closing(
                consumer_of(config.redis_url, config.stream, config.group, consumer, config.block)
            )
        )
        state = WorkerState.starting(
            consumer,
            config.stream,
            config.group,
            pool=None if parent is None else config.workers,
            redis=place(stream.client),
        )
        tidy(file.parent)
        heartbeat = Heartbeat(file, state)
        writer = _writer(config, stream, graph, heartbeat, parent, lock)
        stack.enter_context(runtime.StopSignals(writer.stop))
        heartbeat.beat(STARTING, now=True)
        try:
            _write(config, stream, graph, heartbeat, writer)
        except GraphwriterError as error:
            fresh = config.reread()
            if isinstance(error, ConfigError) and fresh.redis_url != config.redis_url:
                log.warning("%s; REDIS_URL_FILE has changed: connecting again", error)
                return fresh
            heartbeat.fail(error)
            raise
    return None


def _writer(
    config: Config,
    stream: Stream | Streams,
    graph: Graph,
    heartbeat: Heartbeat,
    parent: int | None,
    lock: files.Lock,
) -> Writer:
    next_prune = time.monotonic() + random.uniform(0, FIRST_PRUNE)  # noqa: S311 - jitter

    def progress(doing: str) -> None:
        nonlocal next_prune
        heartbeat.state.error = writer.error or writer.retrying
        heartbeat.beat(doing)
        lock.restore()
        if writer.error is None and time.monotonic() >= next_prune:
            next_prune = time.monotonic() + PRUNE_INTERVAL
            forget_consumers(stream, config.consumer_expire)

    writer = Writer(
        stream,
        graph,
        batch_size=config.batch_size,
        claim_idle=config.claim_idle,
        tries=config.tries,
        tenant=config.tenant,
        keep=config.keep,
        limit=Limit(config.dead_share, config.dead_least, config.dead_window),
        progress=progress,
        parent=parent,
    )
    heartbeat.state.counts = writer.counts
    return writer


def forget_consumers(stream: Stream | Streams, idle: float) -> None:
    """Delete consumers without pending entries that were idle for `idle` seconds, and log how many.

    Does nothing if Redis does not answer, or if our user may not: it is only tidiness.
    """
    try:
        names = {
            name
            for part in stream.parts
            for name in prune(part.client, part.name, part.group, idle)
        }
    except GraphwriterError as error:
        log.debug("consumers were not deleted: %s", error)
        return
    if names:
        log.info("deleted %d consumers that were idle for %.0f s", len(names), idle)


def _write(
    config: Config, stream: Stream | Streams, graph: Graph, heartbeat: Heartbeat, writer: Writer
) -> None:
    consumer = heartbeat.state.consumer
    graph.open()  # refuses a URI that holds a password, before it is logged
    log.info("%s writes %s to %s", consumer, config.stream, config.neo4j_uri)
    for name, similar in unknown(os.environ):
        log.warning("%s is no setting%s", name, f": did you mean {similar}?" if similar else "")
    for warning in config.exposed():
        log.warning("%s", warning)
    if _name_in_use(stream, heartbeat.left):
        log.warning(
            "another process also reads as %s, maybe on another machine: two processes with one "
            "consumer name get each other's entries; stop one, or give one another host name or "
            "--consumer-name",
            consumer,
        )
    runtime.tune()
    runtime.notify_systemd(READY=1, WATCHDOG_USEC=round(config.watchdog * 1e6))
    writer.run()
    log.info("%s stops: %d entries, nothing left pending", consumer, writer.counts.entries)
    heartbeat.end()


def _name_in_use(stream: Stream | Streams, left: float) -> bool:
    """Return whether another process reads under our consumer name, which no lock of ours shows.

    A recent read may be our predecessor's, which left the time of its last progress, `left`, in our
    directory. Otherwise a second read of the idle time shows whether somebody goes on reading.
    Without an answer from Redis there is no warning.
    """
    try:
        idle = stream.idle()
        if idle is None or idle > READ_INTERVAL or time.time() - idle < left + READ_INTERVAL:
            return False
        time.sleep(READ_INTERVAL)
        idle_again = stream.idle()
        return idle_again is not None and idle_again < READ_INTERVAL
    except (ConfigError, Unavailable):
        return False
