"""The checks that a support engineer would make.

A check is a function that yields findings. Its parameters name the facts it looks at, which are
collected before (`facts`), so a check itself asks nobody and cannot hang. Where a fact is missing
its check could not be made, and the finding says why.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator

from graphwriter.doctor import neo4j, redis, servers, settings, stream, workers
from graphwriter.doctor.facts import Facts, Skipped
from graphwriter.doctor.finding import Finding, unknown
from graphwriter.errors import TooBig, Unavailable
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
    for check in CHECKS:
        needed = {name: facts.get(name, late) for name in inspect.signature(check).parameters}
        missing = next((fact for fact in needed.values() if isinstance(fact, Exception)), None)
        found = check(**needed) if missing is None else iter([_not_made(missing, facts)])
        for finding in found:
            finding.check = check.__name__.replace("_", " ")
            yield finding


def _not_made(error: Exception, facts: Facts) -> Finding:
    if isinstance(error, Skipped):
        return unknown(f"{error} does not answer us")
    if isinstance(error, Forbidden):
        named = _COMMAND.search(str(error))
        right = f"+{named[1].lower()}" if named else "+COMMAND"
        return unknown(
            f"our Redis user may not ask {right[1:]}; to allow it:",
            f"redis-cli ACL SETUSER {facts['redis_user']} {right}",
        )
    if isinstance(error, TooBig):
        return unknown("Neo4j takes too long to tell")
    return unknown(str(error))
