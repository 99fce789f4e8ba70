"""Checks of the settings: values, names, times that depend on each other, TLS, run directory."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from graphwriter import files, urls
from graphwriter.config import PREFIX, unknown
from graphwriter.doctor.facts import Facts
from graphwriter.doctor.finding import Finding, ok, wrong
from graphwriter.errors import ConfigError

# Variables of other programs that are easily confused with ours.
SIMILAR = {
    "NEO4J_URL": "NEO4J_URI",
    "NEO4J_USERNAME": "NEO4J_USER",
    "REDIS_URI": "REDIS_URL",
    "POSTGRES_URL": "DATABASE_URL",
}
TIMES = ("timeout", "retry", "watchdog", "claim_idle", "stop_wait")  # they depend on each other
SCHEMES = ("redis", "bolt", "neo4j", "postgres")  # another scheme is another finding
SMALL_BATCH, LARGE_BATCH = 10, 10_000  # events


def settings(facts: Facts) -> Iterator[Finding]:
    """Every value is valid, and the times that depend on each other are consistent."""
    for error in facts.wrong_values:
        yield _wrong(str(error), f"unset {str(error).split()[0]}")
    variables = [f"{PREFIX}{name.upper()}" for name in TIMES]
    repair = f"unset {' '.join(name for name in variables if name in facts.environ)}"
    inconsistent = [text for text in facts.config.inconsistent() if "REQUIRE_TLS" not in text]
    for text in inconsistent:
        yield _wrong(text, repair)
    if not facts.wrong_values and not inconsistent:
        yield ok("every setting is valid, and the times are consistent")


def _wrong(text: str, repair: str) -> Finding:
    return wrong(text, repair, ConfigError())


def variables(facts: Facts) -> Iterator[Finding]:
    """Every variable with our prefix is a setting; none has a name of another program."""
    environ = facts.environ
    foreign = [name for name in SIMILAR if name in environ and not environ.get(SIMILAR[name])]
    found = [*unknown(environ), *((name, SIMILAR[name]) for name in foreign)]
    for name, similar in found:
        if similar:
            unset = "" if name in foreign else f"; unset {name}"
            text = f"{name} is no setting: did you mean {similar}?"
            yield wrong(text, f'export {similar}="${name}"{unset}')
        else:
            yield wrong(f"{name} is no setting", f"unset {name}")
    if not found:
        yield ok(f"every variable {PREFIX}… is a setting")


def batch_size(facts: Facts) -> Iterator[Finding]:
    """Batches are neither so small that commits dominate, nor too large for a transaction."""
    number, repair = facts.config.batch_size, f"unset {PREFIX}BATCH_SIZE"
    if number < len(facts.config.streams):
        text = f"a batch of {number} events has no room for an entry of each stream"
        yield wrong(f"{text}: workers refuse to start", repair)
    elif number > LARGE_BATCH:
        yield wrong(f"a batch of {number:,} events is too large for one transaction", repair)
    elif number < SMALL_BATCH:
        yield wrong(f"with batches of {number} events commits take most of the time", repair)
    else:
        yield ok(f"batches of {number:,} events")


def exposed_links(facts: Facts) -> Iterator[Finding]:
    """Connections to other machines are encrypted, and check the server's certificate."""
    config = facts.config
    found = False
    for name in ("redis_url", "neo4j_uri", "database_url"):
        url = getattr(config, name) or ""
        if url.startswith(SCHEMES) and (problem := urls.exposed(url)):
            found = True
            consequence = "; GRAPH_WRITER_REQUIRE_TLS is set, so nothing starts"
            text = f"{name.upper()} {problem}{consequence if config.require_tls else ''}"
            repair = f"export {name.upper()}={_ENCRYPTED[name]}"
            yield _wrong(text, repair) if config.require_tls else wrong(text, repair)
    if not found:
        state = "is set" if config.require_tls else "is not set"
        yield ok(f"no unencrypted connection to another machine (GRAPH_WRITER_REQUIRE_TLS {state})")


_ENCRYPTED = {
    "redis_url": "rediss://HOST:6379/0",
    "neo4j_uri": "neo4j+s://HOST:7687",
    "database_url": "'postgresql://HOST/DATABASE?sslmode=verify-full'",
}


def run_directory(facts: Facts) -> Iterator[Finding]:
    """Only our account can write to the directory of the heartbeats."""
    config = facts.config
    path = config.run_path()
    if not path.exists():  # `directory` would create it
        yield ok(f"{path} does not exist: no worker has used it on this machine")
        return
    try:
        config.directory()
    except ConfigError as error:
        yield _wrong(str(error), f"chmod 700 {quote(str(path))}")
    else:
        if why := files.problem(path):
            text = f"{path}: {why}: locks and heartbeats cannot be written; workers go on"
            yield wrong(text, f"df -h {quote(str(path))}")
        else:
            yield ok(str(path))


CHECKS = (settings, variables, batch_size, exposed_links, run_directory)
