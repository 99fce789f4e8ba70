"""The checks that a support engineer would make.

A check is a generator of findings over `Facts`. The facts are read before (`facts`), so a check
asks no server and cannot hang. A check whose fact is missing reports that it could not be made,
and why; an error that no other check reports becomes a finding.

To add a check: write the function in the file of its subject and add it to that file's `CHECKS`.
A new fact is a field of `facts.Facts` and a reader in its table `_REDIS` or `_NEO4J`. The name of
the function, with spaces, is the check's name in the output.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from shlex import quote

from graphwriter.doctor import neo4j, redis, servers, settings, stream, workers
from graphwriter.doctor.facts import Facts, Missing, Skipped
from graphwriter.doctor.finding import Finding, unknown, wrong
from graphwriter.errors import GraphwriterError, TooBig
from graphwriter.stream.client import Forbidden

CHECKS: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    *settings.CHECKS,
    *servers.CHECKS,
    *redis.CHECKS,
    *stream.CHECKS,
    *workers.CHECKS,
    *neo4j.CHECKS,
)

_COMMAND = re.compile(r"'([\w|]+)' command")


def run_checks(facts: Facts) -> Iterator[Finding]:
    """Yield the findings of every check, in an order in which causes come before effects."""
    reported: set[str] = set()  # errors that are a finding already
    for check in CHECKS:
        try:
            findings = list(check(facts))
        except Missing as missing:
            findings = [_not_made(missing.error, facts, reported)]
        for finding in findings:
            finding.check = check.__name__.replace("_", " ")
            yield finding


def _not_made(error: Exception, facts: Facts, reported: set[str]) -> Finding:
    text = str(error)
    if isinstance(error, Skipped):
        return unknown(text)
    if isinstance(error, Forbidden):
        command = _COMMAND.search(text)
        right = f"+{command[1].lower()}" if command else "+COMMAND"
        return unknown(
            f"our Redis user lacks the right to {right[1:]}; to allow it:",
            f"redis-cli ACL SETUSER {quote(facts.redis_user)} {quote(right)}",
        )
    if isinstance(error, TooBig):
        return unknown("Neo4j takes too long to answer")
    if text in reported or error is facts.late or not isinstance(error, GraphwriterError):
        return unknown(text)
    reported.add(text)
    repair = "export GRAPH_WRITER_STREAM=NAME" if "WRONGTYPE" in text else None
    return wrong(text, repair, error)
