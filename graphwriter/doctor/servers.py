"""Checks of the servers: whether they answer, accept our user, and have the right time."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from graphwriter import urls
from graphwriter.config import default
from graphwriter.doctor.facts import Answer, Facts
from graphwriter.doctor.finding import Finding, ok, wrong
from graphwriter.errors import ConfigError
from graphwriter.stream.client import Forbidden

SKEW = 2.0  # seconds between two clocks that do no harm
SET_CLOCK = "timedatectl set-ntp true"
UP = "graphwriter up"


def redis(facts: Facts) -> Iterator[Finding]:
    """Redis answers, and accepts our user."""
    answer = facts.redis
    is_set = facts.config.redis_url != default("redis_url")
    hint, start = _start(answer, 6379, "systemctl start redis-server")
    yield _answers(answer, hint, start, "REDIS_URL", is_set, "redis://HOST:6379/0")


def neo4j(facts: Facts) -> Iterator[Finding]:
    """Neo4j answers, accepts our user, and has the database."""
    answer, config = facts.neo4j, facts.config
    error = answer.error
    if isinstance(error, ConfigError) and "DatabaseNotFound" in str(error):
        yield wrong(str(error), "export NEO4J_DATABASE=neo4j", error)
    elif isinstance(error, ConfigError) and "Unauthorized" in str(error):
        if config.neo4j_password is None:
            repair = "export NEO4J_USER=neo4j NEO4J_PASSWORD_FILE=FILE"
            yield wrong(f"{error} NEO4J_PASSWORD is not set", repair, error)
        else:
            problem = f"NEO4J_USER ({config.neo4j_user}) or NEO4J_PASSWORD is wrong"
            yield wrong(f"{error} {problem}", None, error)
    elif isinstance(error, ConfigError) and ".Security." in str(error):
        yield wrong(str(error), None, error)
    else:
        is_set = config.neo4j_uri != default("neo4j_uri")
        hint, start = _start(answer, 7687, "systemctl start neo4j")
        yield _answers(answer, hint, start, "NEO4J_URI", is_set, "bolt://HOST:7687")


def postgres(facts: Facts) -> Iterator[Finding]:
    """PostgreSQL answers, if DATABASE_URL is set."""
    answer = facts.postgres
    if answer is None:
        yield ok("DATABASE_URL is not set: only a backfill needs it")
    else:
        form = "postgresql://HOST:5432/DATABASE"
        yield _answers(answer, "", None, "DATABASE_URL", True, form)


def _start(answer: Answer, port: int, command: str) -> tuple[str, str | None]:
    """Return a hint and a command for starting a server on this machine."""
    try:
        parts = urlsplit(answer.place if "://" in answer.place else f"//{answer.place}")
        used_port, is_here = parts.port or port, urls.is_here(parts.hostname or "")
    except ValueError:
        return "", None
    if not is_here or parts.scheme.endswith("+s") or parts.scheme.startswith("rediss"):
        return "", None  # an embedded server has no TLS
    if used_port == port:
        return "", command
    # An embedded server has another port, and starts and stops with the pool.
    return "; if `graphwriter up` started it, stop that (Ctrl-C), and start it again:", UP


def _answers(
    answer: Answer, hint: str, start: str | None, variable: str, is_set: bool, form: str
) -> Finding:
    error = answer.error
    if error is not None and "certificate" in str(error):
        return wrong(str(error), None, error)
    if error is None:
        return ok(f"{answer.place} answers in {answer.seconds * 1000:.1f} ms")
    if not is_set:
        text = f"{error} ({variable} has its default)"
        return wrong(text, f"export {variable}={form}", error)
    if isinstance(error, Forbidden):
        return wrong(str(error), None, error)
    if isinstance(error, ConfigError) and "denies access" in str(error):
        text = f"{error}; the user or password in {variable} (or {variable}_FILE) is wrong"
        return wrong(text, None, error)
    if isinstance(error, ConfigError):
        return wrong(str(error), f"export {variable}={form}", error)
    return wrong(f"{error}{hint}", start, error)


def redis_clock(facts: Facts) -> Iterator[Finding]:
    """Redis and this machine have the same time: ages and the check of `occurred_at` use both."""
    yield _clock("Redis", facts.redis_clock)


def neo4j_clock(facts: Facts) -> Iterator[Finding]:
    """Neo4j and this machine have the same time."""
    yield _clock("Neo4j", facts.neo4j_clock)


def _clock(server: str, ahead: float) -> Finding:
    if abs(ahead) <= SKEW:
        return ok(f"{server} and this machine differ by {abs(ahead):.2f} s")
    direction = "ahead of" if ahead > 0 else "behind"
    text = f"the clock of {server} is {abs(ahead):,.0f} s {direction} this machine's"
    return wrong(f"{text}; on the machine with the wrong time:", SET_CLOCK)


CHECKS = (redis, neo4j, postgres, redis_clock, neo4j_clock)
