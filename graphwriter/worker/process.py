"""One worker process: its name, its servers, its signals, and the loop between them."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import time

from graphwriter import files, logs
from graphwriter.config import Config, unknown
from graphwriter.errors import ConfigError, DeadLetterLimit, GraphwriterError, Unavailable
from graphwriter.graph import connect
from graphwriter.stream import Stream
from graphwriter.stream.deadletters import Limit
from graphwriter.worker import heartbeat, runtime, systemd
from graphwriter.worker.counts import Counts
from graphwriter.worker.writer import Writer

log = logging.getLogger("graphwriter")

ACTIVE = 2.0  # seconds within which a worker at rest reads again
SETTLED = 2.0  # seconds after which supervisord takes an exit for one that was meant


def run(config: Config, consumer: str) -> None:
    """Write events as `consumer` until SIGTERM or SIGINT, then finish the batch in hand.

    Blocks until then; waits as long as it takes for servers that are away.

    Raises:
        NameTaken: another process works under this name. Under a supervisor it is waited for, since
            a worker that a killed supervisor left behind is about to leave.
        ConfigError: a person has to mend the set-up.
        DeadLetterLimit: most of what arrives is refused.
    """
    # Before the wait for the lock, in which the supervisor may go.
    parent = runtime.supervisor(os.environ)
    born = time.monotonic()
    logs.setup(config.log_level, config.log_format, config.secrets(), worker=consumer)
    logging.getLogger("neo4j").setLevel(logging.CRITICAL)  # its errors are raised, and told by us
    faulthandler.enable()  # SIGABRT, the watchdog's first word, prints where we are stuck
    directory = config.directory()
    name = heartbeat.key(consumer, config.redis_url, config.stream, config.group)
    lock = files.Lock(directory / f"{name}.lock")
    lock.take(wait=0.0 if parent is None else config.stop_wait)
    stream = Stream(config.redis_url, config.stream, config.group, consumer, config.block)
    graph = connect(config)
    now = time.time()
    told = heartbeat.State(
        consumer,
        config.stream,
        config.group,
        os.getpid(),
        now,
        now,
        0.0,
        "starting",
        Counts(),
        pool=None if parent is None else config.workers,
        born=runtime.born(os.getpid()),
    )
    heartbeat.tidy(directory)
    beats = heartbeat.Heartbeat(directory / f"{name}.json", told)

    def progress(doing: str) -> None:
        told.error = writer.error
        beats.beat(doing)

    writer = Writer(
        stream,
        graph,
        batch_size=config.batch_size,
        claim_idle=config.claim_idle,
        tries=config.tries,
        tenant=config.tenant,
        text=config.text,
        limit=Limit(config.dead_share, config.dead_least, config.dead_window),
        progress=progress,
        parent=parent,
    )
    told.counts = writer.counts
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: writer.stop())
    beats.beat("starting", now=True)
    try:
        graph.open()  # refuses a URI with a password, before it is logged
        log.info("%s writes %s to %s", consumer, config.stream, config.neo4j_uri)
        for name, near in unknown(os.environ):
            log.warning("%s is no setting%s", name, f": is {near} meant?" if near else "")
        for link in config.exposed():
            log.warning("%s", link)
        if _elsewhere(stream, beats.left):
            log.warning(
                "%s is at work elsewhere too: two processes of one name get each other's entries; "
                "end one, or give one another host name or --consumer-name",
                consumer,
            )
        runtime.tune()
        systemd.tell(READY=1, WATCHDOG_USEC=round(config.watchdog * 1e6))
        writer.run()
        log.info("%s stops: %d entries, nothing left pending", consumer, writer.counts.entries)
        beats.end()
    except GraphwriterError as error:
        told.error = str(error)
        beats.beat(told.doing, now=True)
        # supervisord looks at the exit code only of what has run for `startsecs`, 1 in its
        # configuration, and would start us again.
        if parent is not None and isinstance(error, ConfigError | DeadLetterLimit):
            time.sleep(max(0.0, born + SETTLED - time.monotonic()))
        raise
    finally:
        stream.close()
        graph.close()
        lock.release()


def _elsewhere(stream: Stream, left: float) -> bool:
    """Return whether another process reads under our name, which our lock knows nothing of.

    Whoever read just now may be the worker whose place we take: that one left its time in our
    directory. Else a second look shows whether it goes on. Without an answer there is no warning.
    """
    try:
        idle = stream.idle()
        if idle is None or idle > ACTIVE or time.time() - idle < left + ACTIVE:
            return False
        time.sleep(ACTIVE)
        again = stream.idle()
        return again is not None and again < ACTIVE
    except (ConfigError, Unavailable):
        return False
