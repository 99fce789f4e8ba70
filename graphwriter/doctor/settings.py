"""Checks of what was set: values, names, times that are tied, links, the run directory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from shlex import quote

from graphwriter import urls
from graphwriter.config import PREFIX, Config, unknown
from graphwriter.doctor.finding import Finding, ok, wrong
from graphwriter.errors import ConfigError

# Names of other programs that are easily taken for ours.
ALIKE = {
    "NEO4J_URL": "NEO4J_URI",
    "NEO4J_USERNAME": "NEO4J_USER",
    "REDIS_URI": "REDIS_URL",
    "POSTGRES_URL": "DATABASE_URL",
}
TIED = ("timeout", "retry", "watchdog", "claim_idle", "stop_wait")
OURS = ("redis", "bolt", "neo4j", "postgres")  # another scheme is another finding
FEW, MANY = 10, 10_000  # events of a batch


def settings(
    wrong_values: list[ConfigError], config: Config, environ: Mapping[str, str]
) -> Iterator[Finding]:
    """Every value has its form, and the times that are tied fit together."""
    for error in wrong_values:
        yield _wrong(str(error), f"unset {str(error).split()[0]}")
    given = [f"{PREFIX}{name.upper()}" for name in TIED]
    mend = f"unset {' '.join(name for name in given if name in environ)}"
    fit = [said for said in config.inconsistent() if "REQUIRE_TLS" not in said]
    for said in fit:
        yield _wrong(said, mend)
    if not wrong_values and not fit:
        yield ok("every setting has its form, and the times fit together")


def _wrong(text: str, mend: str) -> Finding:
    return wrong(text, mend, ConfigError())


def variables(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Every variable of our prefix is a setting; none has the name of another program's."""
    others = [name for name in ALIKE if name in environ and not environ.get(ALIKE[name])]
    found = [*unknown(environ), *((name, ALIKE[name]) for name in others)]
    for name, near in found:
        if near:
            mend = f'export {near}="${name}"' + ("" if name in others else f"; unset {name}")
            yield wrong(f"{name} is no setting: is {near} meant?", mend)
        else:
            yield wrong(f"{name} is no setting", f"unset {name}")
    if not found:
        yield ok(f"every variable {PREFIX}… is a setting")


def batch_size(config: Config) -> Iterator[Finding]:
    """A batch is neither so small that commits take the time, nor more than Neo4j can carry."""
    size, mend = config.batch_size, f"unset {PREFIX}BATCH_SIZE"
    if size > MANY:
        yield wrong(f"a batch of {size:,} events is more than one transaction should carry", mend)
    elif size < FEW:
        yield wrong(f"with batches of {size} the commits take most of the time", mend)
    else:
        yield ok(f"batches of {size:,}")


def exposed_links(config: Config) -> Iterator[Finding]:
    """Nobody on the way can read along or answer in a server's place."""
    found = False
    for name in ("redis_url", "neo4j_uri", "database_url"):
        url = getattr(config, name) or ""
        if url.startswith(OURS) and (said := urls.exposed(url)):
            found = True
            must = "; GRAPH_WRITER_REQUIRE_TLS is set, so nothing starts"
            text = f"{name.upper()} {said}{must if config.require_tls else ''}"
            mend = f"export {name.upper()}={_SAFE[name]}"
            yield _wrong(text, mend) if config.require_tls else wrong(text, mend)
    if not found:
        must = "is set" if config.require_tls else "is not set"
        yield ok(f"no link to another machine is exposed (GRAPH_WRITER_REQUIRE_TLS {must})")


_SAFE = {
    "redis_url": "rediss://HOST:6379/0",
    "neo4j_uri": "neo4j+s://HOST:7687",
    "database_url": "'postgresql://HOST/DATABASE?sslmode=verify-full'",
}


def run_directory(config: Config) -> Iterator[Finding]:
    """Where workers leave their heartbeats is a directory of ours alone."""
    path = config.run_path()
    if not path.exists():  # `directory` would make it
        yield ok(f"{path} is not there: no worker of ours has run here with it")
        return
    try:
        config.directory()
    except ConfigError as error:
        yield _wrong(str(error), f"chmod 700 {quote(str(path))}")
    else:
        yield ok(str(path))


CHECKS = (settings, variables, batch_size, exposed_links, run_directory)
