"""Every setting: its variable, its default, and the checks that tie settings together.

A flag beats the environment, the environment beats the default. A secret may come from the file
that `NAME_FILE` names instead, so that it stands in no process's environment.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from graphwriter import files, urls
from graphwriter.errors import ConfigError

PREFIX, TESTS = "GRAPH_WRITER_", "GRAPH_WRITER_TEST_"
BESIDE = {f"{PREFIX}CONSUMER_NAME", f"{PREFIX}CACHE"}  # which are read, and no settings


def _setting(variable: str, default: Any, help: str, **extra: Any) -> Any:  # noqa: A002 - as click's
    return field(default=default, metadata={"variable": variable, "help": help, **extra})


@dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of one process. Times are in seconds; None means no limit, or not set."""

    redis_url: str = _setting(
        "REDIS_URL",
        "redis://127.0.0.1:6379/0",
        "Redis or Valkey with the stream; redis+sentinel:// and redis+cluster:// too.",
        secret=True,
    )
    neo4j_uri: str = _setting("NEO4J_URI", "bolt://127.0.0.1:7687", "Neo4j with the graph.")
    neo4j_user: str = _setting("NEO4J_USER", "neo4j", "Neo4j user.")
    neo4j_password: str | None = _setting(
        "NEO4J_PASSWORD", None, "Neo4j password; without one no user is sent.", secret=True
    )
    neo4j_database: str = _setting("NEO4J_DATABASE", "neo4j", "Neo4j database.")
    database_url: str | None = _setting(
        "DATABASE_URL", None, "PostgreSQL with the posts, for the backfill.", secret=True
    )
    stream: str = _setting(
        "GRAPH_WRITER_STREAM", "stream:posts:parsed", "Stream with the events.", named=True
    )
    group: str = _setting(
        "GRAPH_WRITER_CONSUMER_GROUP",
        "graph_writer",
        "Consumer group that the workers share.",
        named=True,
    )
    batch_size: int = _setting(
        "GRAPH_WRITER_BATCH_SIZE",
        1000,
        "Most events of one transaction.",
        least=1,
    )
    workers: int = _setting("GRAPH_WRITER_WORKERS", 2, "Worker processes of the pool.", least=1)
    tenant: str | None = _setting(
        "GRAPH_WRITER_TENANT", None, "Write this tenant's events only, refuse the others'."
    )
    text: bool = _setting("GRAPH_WRITER_TEXT", False, "Keep the posts' texts in the graph too.")
    block: float = _setting(
        "GRAPH_WRITER_BLOCK", 1.0, "How long a read waits for the first event.", least=0.01
    )
    timeout: float = _setting(
        "GRAPH_WRITER_TIMEOUT", 20.0, "How long one transaction may take.", least=0.1
    )
    retry: float = _setting(
        "GRAPH_WRITER_RETRY", 20.0, "How long one batch is tried again at once.", least=0
    )
    watchdog: float = _setting(
        "GRAPH_WRITER_WATCHDOG", 90.0, "Progress older than this ends the worker.", least=1
    )
    claim_idle: float = _setting(
        "GRAPH_WRITER_CLAIM_IDLE", 180.0, "Pending for longer than this is taken over.", least=0.1
    )
    stop_wait: float = _setting(
        "GRAPH_WRITER_STOP_WAIT", 90.0, "How long a worker gets to finish its batches.", least=1
    )
    tries: int = _setting(
        "GRAPH_WRITER_TRIES", 3, "Tries alone that an event gets which ends workers.", least=1
    )
    dead_share: float = _setting(
        "GRAPH_WRITER_DEAD_SHARE",
        0.5,
        "Share of dead letters that stops a worker.",
        least=0,
    )
    dead_least: int = _setting(
        "GRAPH_WRITER_DEAD_LEAST", 1000, "Events that the share is taken of, at least.", least=1
    )
    dead_window: float = _setting(
        "GRAPH_WRITER_DEAD_WINDOW", 300.0, "Time that the share is taken over.", least=1
    )
    run_dir: str | None = _setting(
        "GRAPH_WRITER_RUN_DIR", None, "Directory of locks, heartbeats and the supervisor's socket."
    )
    require_tls: bool = _setting(
        "GRAPH_WRITER_REQUIRE_TLS",
        False,
        "Refuse to talk to another machine without TLS and a checked certificate.",
    )
    telegram_api_id: str | None = _setting(
        "TELEGRAM_API_ID", None, "Telegram's number for your program.", secret=True
    )
    telegram_api_hash: str | None = _setting(
        "TELEGRAM_API_HASH", None, "The hash beside that number.", secret=True
    )
    telegram_session: str | None = _setting(
        "TELEGRAM_SESSION", None, "A logged in session, as Telethon's text.", secret=True
    )
    log_level: str = _setting(
        "GRAPH_WRITER_LOG_LEVEL",
        "INFO",
        "Least severe line logged.",
        among="DEBUG INFO WARNING ERROR",
    )
    log_format: str = _setting(
        "GRAPH_WRITER_LOG_FORMAT",
        "console",
        "Lines for people (console), or for programs (json).",
        among="console json",
    )
    exporter: bool = _setting(
        "GRAPH_WRITER_EXPORTER", True, "Let the pool serve metrics and the status page."
    )
    exporter_host: str = _setting(
        "GRAPH_WRITER_EXPORTER_HOST",
        "127.0.0.1",
        "Address that metrics and the status page are served on.",
    )
    exporter_port: int = _setting(
        "GRAPH_WRITER_EXPORTER_PORT", 9640, "Port of it; 0 takes any.", least=0
    )
    exporter_token: str | None = _setting(
        "GRAPH_WRITER_EXPORTER_TOKEN",
        None,
        "Token that readers have to show; needed where others than this machine can connect.",
        secret=True,
    )

    def check(self) -> Config:
        """Return self if the times fit together, and the links are as safe as they have to be.

        Raises:
            ConfigError: they do not; the message names the settings to change.
        """
        for said in self.inconsistent():
            raise ConfigError(said)
        return self

    def inconsistent(self) -> Iterator[str]:
        """Yield what does not fit together, each in a line that names the settings to change.

        A worker that is overtaken must be dead before its entries can be claimed, and one that is
        merely slow must not be ended: claim idle > watchdog > timeout + retry. One that stops
        finishes two batches at most, the one in hand and the one read ahead.
        """
        if self.require_tls and (exposed := self.exposed()):
            yield _not_safe(exposed)
        longest, tied = self.timeout + self.retry, "GRAPH_WRITER_TIMEOUT + _RETRY"
        for name, value, other, bound in (
            ("GRAPH_WRITER_WATCHDOG", self.watchdog, tied, longest),
            ("GRAPH_WRITER_CLAIM_IDLE", self.claim_idle, "GRAPH_WRITER_WATCHDOG", self.watchdog),
            ("GRAPH_WRITER_STOP_WAIT", self.stop_wait, f"twice {tied}", 2 * longest),
        ):
            if value <= bound:
                yield f"{name} is {value:g} s, but must be above {other}, which is {bound:g} s"

    def secrets(self) -> tuple[str, ...]:
        """Return what must never be shown."""
        known = [one.name for one in fields(self) if one.metadata.get("secret")]
        values = {name: getattr(self, name) or "" for name in known}
        found = [value for name, value in values.items() if not name.endswith("_url")]
        named = [value for name, value in values.items() if name.endswith("_url")]
        return (*found, *(part for url in named for part in urls.passwords(url)))

    def exposed(self, *names: str) -> list[str]:
        """Return a line for each link to another machine that others could read or answer on.

        `names` are the settings looked at; none: those of a worker.
        """
        return [
            f"{name.upper()} {said}"
            for name in names or ("redis_url", "neo4j_uri")
            if (said := urls.exposed(getattr(self, name) or ""))
        ]

    @property
    def neo4j_login(self) -> tuple[str | None, str | None]:
        """User and password for Neo4j; without a password no user is sent."""
        return (None if self.neo4j_password is None else self.neo4j_user), self.neo4j_password

    def require(self, *names: str) -> None:
        """Raise ConfigError where TLS is required and one of these links is exposed."""
        if self.require_tls and (exposed := self.exposed(*names)):
            raise ConfigError(_not_safe(exposed))

    def directory(self) -> Path:
        """Return the run directory, made if missing, ours alone; raises ConfigError."""
        return files.directory(self.run_path(), "GRAPH_WRITER_RUN_DIR")

    def run_path(self) -> Path:
        """Return where the run directory is, or would be."""
        return Path(self.run_dir) if self.run_dir else _default_run_dir()


def _not_safe(exposed: list[str]) -> str:
    return f"GRAPH_WRITER_REQUIRE_TLS is set, but {'; '.join(exposed)}"


def _default_run_dir() -> Path:
    if base := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(base) / "graphwriter"
    return Path(tempfile.gettempdir()) / f"graphwriter-{os.geteuid()}"


def load(environ: Mapping[str, str] | None = None, **flags: Any) -> Config:
    """Return the settings from flags (None: not given), the environment and the defaults.

    Raises:
        ConfigError: a value has the wrong form; the message names the variable and the value.
    """
    config, wrong = read(environ, **flags)
    for error in wrong:
        raise error
    return config.check()


def read(
    environ: Mapping[str, str] | None = None, **flags: Any
) -> tuple[Config, list[ConfigError]]:
    """Return the settings as `load` does, unchecked, and what is wrong with some of them.

    Those have their default.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    wrong = []
    for setting in fields(Config):
        given = flags.get(setting.name)
        try:
            if given is None:
                given = _from_environment(setting.metadata["variable"], setting.metadata, environ)
            if given is not None:
                values[setting.name] = _parsed(setting.metadata, setting.type, given)
        except ConfigError as error:
            wrong.append(error)
    return Config(**values), wrong


def _from_environment(
    variable: str, metadata: Mapping[str, Any], environ: Mapping[str, str]
) -> str | None:
    if metadata.get("secret") and (path := environ.get(f"{variable}_FILE")):
        if environ.get(variable):
            raise ConfigError(f"{variable} and {variable}_FILE are both set: keep one of them")
        try:
            return Path(path).read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{variable}_FILE {path!r} cannot be read: {_why(error)}") from None
    # An empty variable is one that is not set, but for a name: the default's would be another's.
    return environ.get(variable) or (environ.get(variable) if metadata.get("named") else None)


def _why(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _parsed(metadata: Mapping[str, Any], type_name: Any, given: Any) -> Any:
    """Return a value in the setting's type; `type_name` is the annotation's text."""
    variable = metadata["variable"]
    kind = str(type_name).removesuffix(" | None")
    value = given
    if isinstance(given, str) and kind != "str":
        text = given.strip()
        try:
            value = (
                _BOOLS[text.lower()] if kind == "bool" else {"int": int, "float": float}[kind](text)
            )
        except (ValueError, KeyError):
            raise ConfigError(f"{variable} is {given!r}, expected {_EXPECTED[kind]}") from None
    if metadata.get("named") and not value.strip():
        raise ConfigError(f"{variable} is {value!r}, expected a name, not an empty one")
    if "least" in metadata and not metadata["least"] <= value < float("inf"):
        raise ConfigError(f"{variable} is {value:g}, expected at least {metadata['least']:g}")
    if "among" in metadata and value.upper() not in metadata["among"].upper().split():
        raise ConfigError(f"{variable} is {value!r}, expected one of {metadata['among']}")
    return value


_BOOLS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
_EXPECTED = {"bool": "true or false", "int": "a whole number", "float": "a number (seconds)"}


def default(name: str) -> Any:
    """Return the default of a setting, for help texts."""
    setting = next(f for f in fields(Config) if f.name == name)
    return None if setting.default is MISSING else setting.default


def unknown(environ: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    """Yield each variable of our prefix that is no setting, and the setting that may be meant."""
    names = {setting.metadata["variable"] for setting in fields(Config)}
    secrets = {s.metadata["variable"] for s in fields(Config) if s.metadata.get("secret")}
    known = names | {f"{name}_FILE" for name in secrets} | BESIDE
    for name in sorted(environ):
        if name.startswith(PREFIX) and not name.startswith(TESTS) and name not in known:
            yield name, next(iter(get_close_matches(name, known, 1)), None)
