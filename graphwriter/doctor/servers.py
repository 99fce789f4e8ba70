"""Checks of the servers as seen from here: whether they answer, and what time it is there."""

from __future__ import annotations

from collections.abc import Iterator

from graphwriter.config import Config, default
from graphwriter.doctor.facts import Answer
from graphwriter.doctor.finding import Finding, ok, wrong
from graphwriter.errors import ConfigError

SKEW = 2.0  # seconds between two clocks that nobody notices
CLOCK = "timedatectl set-ntp true"


def redis(redis: Answer, cli: str, config: Config) -> Iterator[Finding]:
    """Redis answers, and knows our user."""
    given = config.redis_url != default("redis_url")
    yield _answers(redis, f"{cli} PING", "REDIS_URL", given, "redis://HOST:6379/0")


def neo4j(neo4j: Answer, config: Config) -> Iterator[Finding]:
    """Neo4j answers, and knows our user and the database."""
    if isinstance(neo4j.error, ConfigError) and "DatabaseNotFound" in str(neo4j.error):
        yield wrong(str(neo4j.error), "export NEO4J_DATABASE=neo4j", neo4j.error)
    elif isinstance(neo4j.error, ConfigError) and ".Security." in str(neo4j.error):
        mend = "export NEO4J_USER=neo4j NEO4J_PASSWORD_FILE=/run/secrets/neo4j"
        yield wrong(str(neo4j.error), mend, neo4j.error)
    else:
        given = config.neo4j_uri != default("neo4j_uri")
        yield _answers(neo4j, "systemctl start neo4j", "NEO4J_URI", given, "bolt://HOST:7687")


def postgres(postgres: Answer | None) -> Iterator[Finding]:
    """PostgreSQL answers, where DATABASE_URL names one."""
    if postgres is None:
        yield ok("DATABASE_URL is not set: only a backfill needs it")
    else:
        form = "postgresql://HOST:5432/DATABASE"
        yield _answers(postgres, 'psql "$DATABASE_URL" -c "SELECT 1"', "DATABASE_URL", True, form)


def _answers(answer: Answer, mend: str, variable: str, given: bool, form: str) -> Finding:
    if answer.error is None:
        return ok(f"{answer.place} answers in {answer.seconds * 1000:.1f} ms")
    if not given:
        said = f"{answer.error} ({variable} has its default)"
        return wrong(said, f"export {variable}={form}", answer.error)
    if isinstance(answer.error, ConfigError) and "refuses us" in str(answer.error):
        secret = variable.partition("_")[0].lower()  # a password belongs into a file
        mend = f"unset {variable}; export {variable}_FILE=/run/secrets/{secret}"
    elif isinstance(answer.error, ConfigError):
        mend = f"export {variable}={form}"
    return wrong(str(answer.error), mend, answer.error)


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
