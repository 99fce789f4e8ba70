"""Checks of the servers as seen from here: whether they answer, and what time it is there."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from graphwriter import urls
from graphwriter.config import Config, default
from graphwriter.doctor.facts import Answer
from graphwriter.doctor.finding import Finding, ok, wrong
from graphwriter.errors import ConfigError
from graphwriter.stream.client import Forbidden

SKEW = 2.0  # seconds between two clocks that nobody notices
CLOCK = "timedatectl set-ntp true"
UP = "graphwriter up"


def redis(redis: Answer, config: Config) -> Iterator[Finding]:
    """Redis answers, and knows our user."""
    given = config.redis_url != default("redis_url")
    text, mend = _start(redis, 6379, "systemctl start redis-server")
    yield _answers(redis, text, mend, "REDIS_URL", given, "redis://HOST:6379/0")


def neo4j(neo4j: Answer, config: Config) -> Iterator[Finding]:
    """Neo4j answers, and knows our user and the database."""
    if isinstance(neo4j.error, ConfigError) and "DatabaseNotFound" in str(neo4j.error):
        yield wrong(str(neo4j.error), "export NEO4J_DATABASE=neo4j", neo4j.error)
    elif isinstance(neo4j.error, ConfigError) and "Unauthorized" in str(neo4j.error):
        if config.neo4j_password is None:
            mend = "export NEO4J_USER=neo4j NEO4J_PASSWORD_FILE=FILE"
            yield wrong(f"{neo4j.error} NEO4J_PASSWORD is not set", mend, neo4j.error)
        else:
            said = f"NEO4J_USER ({config.neo4j_user}) or NEO4J_PASSWORD is not what Neo4j has"
            yield wrong(f"{neo4j.error} {said}", None, neo4j.error)
    elif isinstance(neo4j.error, ConfigError) and ".Security." in str(neo4j.error):
        yield wrong(str(neo4j.error), None, neo4j.error)
    else:
        given = config.neo4j_uri != default("neo4j_uri")
        text, mend_away = _start(neo4j, 7687, "systemctl start neo4j")
        yield _answers(neo4j, text, mend_away, "NEO4J_URI", given, "bolt://HOST:7687")


def postgres(postgres: Answer | None) -> Iterator[Finding]:
    """PostgreSQL answers, where DATABASE_URL names one."""
    if postgres is None:
        yield ok("DATABASE_URL is not set: only a backfill needs it")
    else:
        form = "postgresql://HOST:5432/DATABASE"
        yield _answers(postgres, "", None, "DATABASE_URL", True, form)


def _start(answer: Answer, port: int, command: str) -> tuple[str, str | None]:
    """Return what starts a server that is away: a remark, and a command where one does it here."""
    try:
        parts = urlsplit(answer.place if "://" in answer.place else f"//{answer.place}")
        at, here = parts.port or port, urls.is_here(parts.hostname or "")
    except ValueError:
        return "", None
    if not here:
        return "", None
    if at == port:
        return "", command
    # An embedded server has a port of its own, and comes and goes with the pool.
    return "; if `graphwriter up` started it, end that (Ctrl-C), and start it again:", UP


def _answers(
    answer: Answer, away: str, mend: str | None, variable: str, given: bool, form: str
) -> Finding:
    if answer.error is None:
        return ok(f"{answer.place} answers in {answer.seconds * 1000:.1f} ms")
    if not given:
        said = f"{answer.error} ({variable} has its default)"
        return wrong(said, f"export {variable}={form}", answer.error)
    if isinstance(answer.error, Forbidden):
        return wrong(str(answer.error), None, answer.error)
    if isinstance(answer.error, ConfigError) and "refuses us" in str(answer.error):
        said = f"it knows no such user and password as {variable} (or {variable}_FILE) has"
        return wrong(f"{answer.error}; {said}", None, answer.error)
    if isinstance(answer.error, ConfigError):
        return wrong(str(answer.error), f"export {variable}={form}", answer.error)
    return wrong(f"{answer.error}{away}", mend, answer.error)


def redis_clock(redis_ahead: float) -> Iterator[Finding]:
    """Redis has the time that we have: ages and the check of `occurred_at` go by both."""
    yield _clock("Redis", redis_ahead)


def neo4j_clock(neo4j_ahead: float) -> Iterator[Finding]:
    """Neo4j has the time that we have."""
    yield _clock("Neo4j", neo4j_ahead)


def _clock(server: str, ahead: float) -> Finding:
    if abs(ahead) <= SKEW:
        return ok(f"{server} and this machine differ by {abs(ahead):.2f} s")
    way = "ahead of" if ahead > 0 else "behind"
    said = f"the clock of {server} is {abs(ahead):,.0f} s {way} this machine's"
    return wrong(f"{said}; on the one that is wrong:", CLOCK)


CHECKS = (redis, neo4j, postgres, redis_clock, neo4j_clock)
