"""The checks that a support engineer would make.

A check is a function that yields findings. Its parameters name the facts it looks at, which are
collected before (`facts`), so a check itself asks nobody and cannot hang. Where a fact is missing
its check could not be made, and the finding says why: an error that no other finding tells of is
itself one.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from shlex import quote

from graphwriter.doctor import neo4j, redis, servers, settings, stream, workers
from graphwriter.doctor.facts import Facts, Skipped
from graphwriter.doctor.finding import Finding, unknown, wrong
from graphwriter.errors import GraphwriterError, TooBig, Unavailable
from graphwriter.stream.client import Forbidden

CHECKS: tuple[Callable[..., Iterator[Finding]], ...] = (
    *settings.CHECKS,
    *servers.CHECKS,
    *redis.CHECKS,
    *stream.CHECKS,
    *workers.CHECKS,
    *neo4j.CHECKS,
)

_COMMAND = re.compile(r"'([\w|]+)' command")


def examine(facts: Facts) -> Iterator[Finding]:
    """Yield what every check comes to, in an order in which causes stand before what they cause."""
    late = Unavailable("there was no answer in time")
    told: set[str] = set()  # errors that are a finding already
    for check in CHECKS:
        needed = {name: facts.get(name, late) for name in inspect.signature(check).parameters}
        missing = next((fact for fact in needed.values() if isinstance(fact, Exception)), None)
        found = check(**needed) if missing is None else iter([_not_made(missing, facts, told)])
        for finding in found:
            finding.check = check.__name__.replace("_", " ")
            yield finding


def _not_made(error: Exception, facts: Facts, told: set[str]) -> Finding:
    text = str(error)
    if isinstance(error, Skipped):
        return unknown(text)
    if isinstance(error, Forbidden):
        named = _COMMAND.search(text)
        right = f"+{named[1].lower()}" if named else "+COMMAND"
        return unknown(
            f"our Redis user may not ask {right[1:]}; to allow it:",
            f"redis-cli ACL SETUSER {quote(facts['redis_user'])} {quote(right)}",
        )
    if isinstance(error, TooBig):
        return unknown("Neo4j takes too long to tell")
    if text in told or not isinstance(error, GraphwriterError):
        return unknown(text)
    told.add(text)
    mend = "export GRAPH_WRITER_STREAM=NAME" if "WRONGTYPE" in text else None
    return wrong(text, mend, error)
