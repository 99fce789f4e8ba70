"""The checks that a support engineer would make.

A check is a generator of findings over `Facts`. The facts are read before (`facts`), so a check
asks no server and cannot hang. A check whose fact is missing reports that it could not be made,
and why; an error that no other check reports becomes a finding.

To add a check: write the function in the file of its subject and add it to that file's `CHECKS`.
A new fact is a field of `facts.Facts` and a reader in its table `_STREAM`, `_NODE` or `_NEO4J`. The
name of the function, with spaces, is the check's name in the output. With several streams a check
in `EACH_STREAM` is made for each, and one in `EACH_NODE` for each node of a cluster.
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
EACH_STREAM = {*stream.CHECKS, workers.pending, workers.redelivered} - {stream.balance}
EACH_NODE = {*redis.CHECKS, servers.redis_clock}
SHOWN_NAMES = 3  # of the streams that a finding is about

_COMMAND = re.compile(r"'([\w|]+)' command")


def run_checks(facts: Facts) -> Iterator[Finding]:
    """Yield the findings of every check, in an order in which causes come before effects."""
    reported: set[str] = set()  # errors that are a finding already
    for check in CHECKS:
        kind = "parts" if check in EACH_STREAM else "nodes" if check in EACH_NODE else ""
        parts = dict(facts.each(kind))
        found = {name: _made(check, part, reported) for name, part in parts.items()}
        for finding in _same(found) if parts else _made(check, facts, reported):
            finding.check = check.__name__.replace("_", " ")
            yield finding


def _made(
    check: Callable[[Facts], Iterator[Finding]], facts: Facts, reported: set[str]
) -> list[Finding]:
    try:
        return list(check(facts))
    except Missing as missing:
        return [_not_made(missing.error, facts, reported)]


def _same(found: dict[str, list[Finding]]) -> Iterator[Finding]:
    """Yield the findings of several streams, equal ones once; the text names those concerned."""
    streams: dict[tuple[str, str, str | None], list[str]] = {}
    first: dict[tuple[str, str, str | None], Finding] = {}
    for name, findings in found.items():
        for one in findings:
            key = one.level, one.text, one.repair
            streams.setdefault(key, []).append(name)
            first.setdefault(key, one)
    for key, finding in first.items():
        names = streams[key]
        more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
        if len(names) < len(found) and names[0] not in finding.text:
            finding.text = f"{', '.join(names[:SHOWN_NAMES])}{more}: {finding.text}"
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
