"""Checks of the workers: alive, getting on, and what those that are gone still hold."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from graphwriter import status
from graphwriter.config import Config
from graphwriter.doctor.facts import Answer
from graphwriter.doctor.finding import Finding, ok, wrong
from graphwriter.stream.info import Group, Held, Often
from graphwriter.stream.looking import Consumer, Seen
from graphwriter.text import age
from graphwriter.worker import heartbeat

OFTEN = 5  # deliveries of one entry that no restart explains
RESTS = 2.0  # seconds in which a worker with nothing in hand asks again, at least
STUCK = 2.0  # times GRAPH_WRITER_CLAIM_IDLE: by then a living worker has taken entries over


def consumers(
    look: Seen, groups: list[Group], workers: list[heartbeat.WorkerState], config: Config
) -> Iterator[Finding]:
    """Some worker is alive: one of this machine by its process, one of another by its reading."""
    here = [one.consumer for one in workers if _alive(one) and not one.stuck(config.watchdog)]
    known = {one.consumer for one in workers}
    away = [one for one in look.consumers if one.name not in known and _reads(one, config)]
    if here or away:
        yield ok(f"{len(here)} alive here, {len(away)} on other machines")
        return
    others = [one.name for one in groups if one.name != config.group]
    if others and not look.group_exists:
        text = f"no worker is alive in the group {config.group}"
        yield wrong(f"{text}; those of {', '.join(others[:5])} are not looked at", None)
        return
    last = min((one.idle for one in look.consumers), default=None)
    seen = "none has ever read" if last is None else f"one was last seen {age(last)} ago"
    yield wrong(f"no worker is alive, here or elsewhere: {seen}", _start(config))


def _reads(one: Consumer, config: Config) -> bool:
    """Return whether a consumer of another machine is likely to be alive.

    With nothing in hand it asks for more every `block` seconds. Redis before 7.2 does not count
    that as a sign of life.
    """
    rests = not one.pending and one.inactive is not None
    return one.idle <= (max(RESTS, 2 * config.block) if rests else config.claim_idle)


def workers_here(
    workers: list[heartbeat.WorkerState], config: Config, now: float, redis: Answer, neo4j: Answer
) -> Iterator[Finding]:
    """Those of this machine get on, wait for nothing, and none has ended by itself."""
    told = str(redis.error), str(neo4j.error)  # as findings of their own
    well = waiting = 0
    for one in workers:
        silent = max(0.0, now - one.progress)
        why = f": {one.error}" if one.error else ""
        if one.doing == heartbeat.STOPPED:
            continue
        if not _alive(one):
            text = f"{one.consumer} (process {one.pid}) ended {age(silent)} ago{why}"
            if "dead letter" in why:
                text += "; `graphwriter dead list` has them; once the producer is mended:"
            yield wrong(text, _start(config))
        elif silent > status.SLOW:
            text = f"{one.consumer} has been {one.doing} for {age(silent)}"
            text += "; this ends it, with its stack in the log:"
            yield wrong(text, f"kill -ABRT {one.pid}")
        elif one.error in told:
            waiting += 1
        elif one.error:
            yield wrong(f"{one.consumer} waits{why}", None)
        else:
            well += 1
    if waiting:
        yield wrong(f"{waiting} of this machine wait for a server that is away", None)
    if well:
        yield ok(f"{well} of this machine get on")


def pending(
    held: list[Held], look: Seen, workers: list[heartbeat.WorkerState], config: Config
) -> Iterator[Finding]:
    """Nobody holds entries who is gone, and nobody holds them for long."""
    idle = {one.name: one.idle for one in look.consumers}
    here = {one.consumer: one for one in workers}
    found = False
    for one in held:
        holds = f"{one.consumer} holds {one.pending:,} pending, since {age(one.seconds)}"
        if one.seconds > STUCK * config.claim_idle:
            found = True
            text = f"{holds} (the oldest is {one.oldest}), and no worker takes them over"
            yield wrong(text, _start(config))
        elif _gone(one.consumer, here, idle, config):
            found = True
            left = max(0.0, config.claim_idle - one.seconds)
            text = f"{holds}, and is gone; a running worker takes them over in {age(left)}"
            yield wrong(text, _start(config))
    if not found:
        yield ok(f"{look.pending:,} pending, none for long")


def redelivered(often: Often | None, config: Config, cli: str) -> Iterator[Finding]:
    """No entry comes back again and again: it may be what ends workers."""
    if often is None or often.deliveries <= OFTEN:
        yield ok("no entry comes back again and again")
        return
    text = f"{often.id} was delivered {often.deliveries} times, now to {often.consumer}"
    yield wrong(
        f"{text}: it may be what ends workers",
        f"{cli} XRANGE {quote(config.stream)} {often.id} {often.id}",
    )


def _alive(one: heartbeat.WorkerState) -> bool:
    return one.doing != heartbeat.STOPPED and one.there


def _gone(
    name: str, here: dict[str, heartbeat.WorkerState], idle: dict[str, float], config: Config
) -> bool:
    if name in here:
        return not _alive(here[name])
    return idle.get(name, 0.0) > config.watchdog


def _start(config: Config) -> str:
    """Return what starts workers: the supervisor that runs here, or else a pool."""
    socket = config.run_path() / "supervisor.sock"
    if socket.exists():
        return f"supervisorctl -s {quote(f'unix://{socket}')} start 'worker:*'"
    return "graphwriter up"


CHECKS = (consumers, workers_here, pending, redelivered)
