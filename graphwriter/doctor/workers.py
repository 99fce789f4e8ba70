"""Checks of the workers: alive, making progress, and the pending entries of dead ones."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from graphwriter import status
from graphwriter.config import Config
from graphwriter.doctor.facts import Facts
from graphwriter.doctor.finding import Finding, ok, wrong
from graphwriter.stream.info import Consumer
from graphwriter.stream.pause import Pause
from graphwriter.text import age
from graphwriter.worker import heartbeat

MANY_DELIVERIES = 5  # of one entry; more than restarts explain
READ_INTERVAL = 2.0  # seconds within which an idle worker reads again, at least
NOT_CLAIMED = 2.0  # times GRAPH_WRITER_CLAIM_IDLE; by then a running worker has claimed entries


def consumers(facts: Facts) -> Iterator[Finding]:
    """A worker is alive: on this machine by its process, on another one by its reads."""
    config, stream, workers = facts.config, facts.stream, facts.workers
    here = [
        state.consumer for state in workers if _alive(state) and not state.stuck(config.watchdog)
    ]
    local = {state.consumer for state in workers}
    elsewhere = [row for row in stream.consumers if row.name not in local and _reads(row, config)]
    if here or elsewhere:
        yield ok(f"{len(here)} alive here, {len(elsewhere)} on other machines")
        return
    if isinstance(facts.values.get("pause"), Pause):
        yield ok("the group is paused, so workers on other machines cannot be seen")
        return
    others = [group.name for group in facts.groups if group.name != config.group]
    if others and not stream.group_exists:
        text = f"no worker is alive in the group {config.group}"
        yield wrong(f"{text}; those of {', '.join(others[:5])} are not checked", None)
        return
    last = min((row.idle for row in stream.consumers), default=None)
    seen = "none has ever read" if last is None else f"the last read was {age(last)} ago"
    yield wrong(f"no worker is alive, here or elsewhere: {seen}", _start(config))


def paused(facts: Facts) -> Iterator[Finding]:
    """The group is not paused, so its workers read."""
    if facts.pause is None:
        yield ok("the group is not paused")
    else:
        text = f"the group is paused {status.paused(facts.pause, facts.now)}"
        yield wrong(f"{text}; no worker reads until:", "graphwriter resume")


def _reads(consumer: Consumer, config: Config) -> bool:
    """Return whether a consumer on another machine is probably alive.

    Without pending entries it reads every `block` seconds. Redis before 7.2 does not record reads
    that return nothing.
    """
    idle = not consumer.pending and consumer.inactive is not None
    limit = max(READ_INTERVAL, 2 * config.block) if idle else config.claim_idle
    return consumer.idle <= limit


def workers_here(facts: Facts) -> Iterator[Finding]:
    """The workers of this machine make progress, wait for nothing, and none has crashed."""
    config = facts.config
    reported = str(facts.redis.error), str(facts.neo4j.error)  # findings of their own
    healthy = waiting = 0
    for state in facts.workers:
        silent = max(0.0, facts.now - state.progress)
        reason = f": {state.error}" if state.error else ""
        if state.doing == heartbeat.STOPPED:
            continue
        if not _alive(state):
            text = f"{state.consumer} (process {state.pid}) ended {age(silent)} ago{reason}"
            if "dead letter" in reason:
                text += "; see `graphwriter dead list`; when the producer is fixed:"
            yield wrong(text, _start(config))
        elif silent > status.SLOW:
            text = f"{state.consumer} has been {state.doing} for {age(silent)}"
            yield wrong(f"{text}; to kill it and log its stack:", f"kill -ABRT {state.pid}")
        elif state.error in reported:
            waiting += 1
        elif state.error:
            yield wrong(f"{state.consumer} waits{reason}", None)
        else:
            healthy += 1
    if waiting:
        yield wrong(f"{waiting} of this machine wait for an unavailable server", None)
    if healthy:
        yield ok(f"{healthy} of this machine make progress")


def pending(facts: Facts) -> Iterator[Finding]:
    """No entries are pending for long, or with a consumer that has exited."""
    config, stream = facts.config, facts.stream
    idle = {consumer.name: consumer.idle for consumer in stream.consumers}
    here = {state.consumer: state for state in facts.workers}
    found = False
    for holding in facts.holdings:
        text = f"{holding.consumer} has {holding.pending:,} pending, since {age(holding.seconds)}"
        if holding.seconds > NOT_CLAIMED * config.claim_idle:
            found = True
            text = f"{text} (the oldest is {holding.oldest}), and no worker claims them"
            yield wrong(text, _start(config))
        elif _exited(holding.consumer, here, idle, config):
            found = True
            left = max(0.0, config.claim_idle - holding.seconds)
            text = f"{text}, and has exited; a running worker claims them in {age(left)}"
            yield wrong(text, _start(config))
    if not found:
        yield ok(f"{stream.pending:,} pending, none for long")


def redelivered(facts: Facts) -> Iterator[Finding]:
    """No entry is delivered again and again: it may be what crashes workers."""
    entry = facts.oldest_pending
    if entry is None or entry.deliveries <= MANY_DELIVERIES:
        yield ok("no entry was delivered many times")
        return
    text = f"{entry.id} was delivered {entry.deliveries} times, now to {entry.consumer}"
    yield wrong(
        f"{text}: it may crash workers",
        f"{facts.cli} XRANGE {quote(facts.config.stream)} {entry.id} {entry.id}",
    )


def _alive(state: heartbeat.WorkerState) -> bool:
    return state.doing != heartbeat.STOPPED and state.there


def _exited(
    name: str, here: dict[str, heartbeat.WorkerState], idle: dict[str, float], config: Config
) -> bool:
    if name in here:
        return not _alive(here[name])
    return idle.get(name, 0.0) > config.watchdog


def _start(config: Config) -> str:
    """Return the command that starts workers: with the running supervisor, or a new pool."""
    socket = config.run_path() / "supervisor.sock"
    if socket.exists():
        return f"supervisorctl -s {quote(f'unix://{socket}')} start 'worker:*'"
    return "graphwriter up"


CHECKS = (consumers, paused, workers_here, pending, redelivered)
