"""Every setting: its variable, its default, its help text, and the checks across settings.

A flag overrides the environment, the environment overrides the default. A secret can come from the
file that `NAME_FILE` names, so that it is in no process's environment. A `tuning` setting is hidden
in help texts; docs/settings.md lists it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import MISSING, dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from graphwriter import files, keep, partitions, urls
from graphwriter.errors import ConfigError

PREFIX, TESTS = "GRAPH_WRITER_", "GRAPH_WRITER_TEST_"
OTHER_VARIABLES = {f"{PREFIX}CONSUMER_NAME", f"{PREFIX}CACHE"}  # used elsewhere


def _setting(variable: str, default: Any, help: str, **extra: Any) -> Any:  # noqa: A002 - as click's
    return field(default=default, metadata={"variable": variable, "help": help, **extra})


@dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of one process. Times are in seconds; None means no limit, or not set."""

    redis_url: str = _setting(
        "REDIS_URL",
        "redis://127.0.0.1:6379/0",
        "URL of Redis or Valkey; also redis+sentinel:// and redis+cluster://.",
        secret=True,
    )
    neo4j_uri: str = _setting("NEO4J_URI", "bolt://127.0.0.1:7687", "URI of Neo4j.")
    neo4j_user: str = _setting("NEO4J_USER", "neo4j", "User for Neo4j.")
    neo4j_password: str | None = _setting(
        "NEO4J_PASSWORD", None, "Password for Neo4j; without one no user is sent.", secret=True
    )
    neo4j_database: str = _setting("NEO4J_DATABASE", "neo4j", "Database of Neo4j.")
    database_url: str | None = _setting(
        "DATABASE_URL", None, "URL of the PostgreSQL with the posts, for the backfill.", secret=True
    )
    stream: str = _setting(
        partitions.FIELD,
        "stream:posts:parsed",
        "Name of the stream; or names with commas, or a range such as 'posts:{0..7}'.",
        named=True,
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
        "Maximum number of entries per batch, which is one transaction.",
        least=1,
    )
    workers: int = _setting(
        "GRAPH_WRITER_WORKERS", 2, "Number of worker processes in the pool.", least=1
    )
    tenant: str | None = _setting(
        "GRAPH_WRITER_TENANT", None, "Write only events of this tenant, and refuse others."
    )
    text: bool = _setting("GRAPH_WRITER_TEXT", False, "Store the texts of posts in the graph.")
    enrich: str | None = _setting(
        "GRAPH_WRITER_ENRICH",
        None,
        "What else to keep of posts: links, media, albums, separated by commas.",
    )
    block: float = _setting(
        "GRAPH_WRITER_BLOCK",
        1.0,
        "How long a read waits for the first entry.",
        least=0.01,
        tuning=True,
    )
    timeout: float = _setting(
        "GRAPH_WRITER_TIMEOUT", 20.0, "Time limit of one transaction.", least=0.1
    )
    retry: float = _setting(
        "GRAPH_WRITER_RETRY", 20.0, "Time limit for retries of one batch.", least=0
    )
    watchdog: float = _setting(
        "GRAPH_WRITER_WATCHDOG",
        90.0,
        "Time without progress after which a worker is killed.",
        least=1,
    )
    claim_idle: float = _setting(
        "GRAPH_WRITER_CLAIM_IDLE",
        180.0,
        "Pending time after which another worker claims an entry.",
        least=0.1,
    )
    consumer_expire: float = _setting(
        "GRAPH_WRITER_CONSUMER_EXPIRE",
        604_800.0,
        "Idle time after which a consumer without pending entries is deleted.",
        least=60,
    )
    stop_wait: float = _setting(
        "GRAPH_WRITER_STOP_WAIT", 90.0, "Time that a worker has to finish its batches.", least=1
    )
    tries: int = _setting(
        "GRAPH_WRITER_TRIES",
        3,
        "How often an entry that may crash workers is tried alone before it becomes a dead letter.",
        least=1,
        tuning=True,
    )
    dead_share: float = _setting(
        "GRAPH_WRITER_DEAD_SHARE",
        0.5,
        "Share of dead letters that stops a worker.",
        least=0,
        tuning=True,
    )
    dead_least: int = _setting(
        "GRAPH_WRITER_DEAD_LEAST",
        1000,
        "Minimum number of entries before the share of dead letters is checked.",
        least=1,
        tuning=True,
    )
    dead_window: float = _setting(
        "GRAPH_WRITER_DEAD_WINDOW",
        300.0,
        "Time over which the share of dead letters is computed.",
        least=1,
        tuning=True,
    )
    run_dir: str | None = _setting(
        "GRAPH_WRITER_RUN_DIR", None, "Directory of locks, heartbeats and the supervisor's socket."
    )
    require_tls: bool = _setting(
        "GRAPH_WRITER_REQUIRE_TLS",
        False,
        "Refuse connections to other machines without TLS and a verified certificate.",
    )
    telegram_api_id: str | None = _setting(
        "TELEGRAM_API_ID", None, "Telegram API id of your program.", secret=True
    )
    telegram_api_hash: str | None = _setting(
        "TELEGRAM_API_HASH", None, "Telegram API hash of your program.", secret=True
    )
    telegram_session: str | None = _setting(
        "TELEGRAM_SESSION", None, "A logged-in session, as a Telethon string.", secret=True
    )
    log_level: str = _setting(
        "GRAPH_WRITER_LOG_LEVEL",
        "INFO",
        "Lowest level that is logged.",
        among="DEBUG INFO WARNING ERROR",
    )
    log_format: str = _setting(
        "GRAPH_WRITER_LOG_FORMAT",
        "console",
        "Log format: console for people, json for programs.",
        among="console json",
    )
    exporter: bool = _setting(
        "GRAPH_WRITER_EXPORTER", True, "Whether the pool serves metrics and the status page."
    )
    exporter_host: str = _setting(
        "GRAPH_WRITER_EXPORTER_HOST",
        "127.0.0.1",
        "Address for metrics and the status page.",
    )
    exporter_port: int = _setting(
        "GRAPH_WRITER_EXPORTER_PORT",
        9640,
        "Port for metrics and the status page; 0 picks a free one.",
        least=0,
    )
    exporter_token: str | None = _setting(
        "GRAPH_WRITER_EXPORTER_TOKEN",
        None,
        "Token that clients must send; required if other machines can connect.",
        secret=True,
    )

    def check(self) -> Config:
        """Return self if the times are consistent, and connections are encrypted if required.

        Raises:
            ConfigError: they are not; the message names the settings to change.
        """
        for problem in self.inconsistent():
            raise ConfigError(problem)
        _ = self.keep
        return self

    def inconsistent(self) -> Iterator[str]:
        """Yield a line for each inconsistency, with the settings to change.

        A stuck worker must be dead before its entries can be claimed, and a merely slow one must
        not be killed: claim idle > watchdog > timeout + retry. A worker that stops finishes at most
        two batches, the current one and the one read ahead.
        """
        if self.require_tls and (exposed := self.exposed()):
            yield _unencrypted(exposed)
        longest, names = self.timeout + self.retry, "GRAPH_WRITER_TIMEOUT + _RETRY"
        for name, value, other, bound in (
            ("GRAPH_WRITER_WATCHDOG", self.watchdog, names, longest),
            ("GRAPH_WRITER_CLAIM_IDLE", self.claim_idle, "GRAPH_WRITER_WATCHDOG", self.watchdog),
            ("GRAPH_WRITER_STOP_WAIT", self.stop_wait, f"twice {names}", 2 * longest),
        ):
            if value <= bound:
                yield f"{name} is {value:g} s, but must be above {other}, which is {bound:g} s"

    @property
    def streams(self) -> tuple[str, ...]:
        """The names of the streams; raises ConfigError."""
        return partitions.names(self.stream)

    @property
    def keep(self) -> keep.Keep:
        """What the graph keeps of posts that it does not keep by default; raises ConfigError."""
        return keep.read(self.text, self.enrich)

    def secrets(self) -> tuple[str, ...]:
        """Return the texts that must never be shown."""
        names = [setting.name for setting in fields(self) if setting.metadata.get("secret")]
        values = {name: getattr(self, name) or "" for name in names}
        plain = [value for name, value in values.items() if not name.endswith("_url")]
        secret_urls = [value for name, value in values.items() if name.endswith("_url")]
        return (*plain, *(part for url in secret_urls for part in urls.passwords(url)))

    def exposed(self, *names: str) -> list[str]:
        """Return a line for each connection to another machine that is not encrypted or verified.

        `names` are the settings to check; by default those of a worker.
        """
        return [
            f"{name.upper()} {problem}"
            for name in names or ("redis_url", "neo4j_uri")
            if (problem := urls.exposed(getattr(self, name) or ""))
        ]

    def reread(self, environ: Mapping[str, str] | None = None) -> Config:
        """Return these settings with the secrets that their files hold now.

        A file that cannot be read, or is empty, changes nothing: it may be replaced just now.
        """
        environ = os.environ if environ is None else environ
        fresh: dict[str, Any] = {}
        for setting in fields(self):
            variable = setting.metadata["variable"]
            if setting.metadata.get("secret") and environ.get(f"{variable}_FILE"):
                with suppress(ConfigError):
                    value = _from_environment(variable, setting.metadata, environ)
                    fresh |= {setting.name: value} if value else {}
        return replace(self, **fresh)

    @property
    def neo4j_login(self) -> tuple[str | None, str | None]:
        """User and password for Neo4j; both None without a password."""
        return (None if self.neo4j_password is None else self.neo4j_user), self.neo4j_password

    def require(self, *names: str) -> None:
        """Raise ConfigError if TLS is required and one of these connections does not use it."""
        if self.require_tls and (exposed := self.exposed(*names)):
            raise ConfigError(_unencrypted(exposed))

    def directory(self) -> Path:
        """Return the run directory, created if missing and private; raises ConfigError."""
        return files.directory(self.run_path(), "GRAPH_WRITER_RUN_DIR")

    def run_path(self) -> Path:
        """Return the path of the run directory, which may not exist."""
        return Path(self.run_dir) if self.run_dir else _default_run_dir()


def _unencrypted(exposed: list[str]) -> str:
    return f"GRAPH_WRITER_REQUIRE_TLS is set, but {'; '.join(exposed)}"


def _default_run_dir() -> Path:
    # Not $XDG_RUNTIME_DIR, which is deleted at the last logout, nor /tmp, which is cleaned.
    with suppress(RuntimeError, OSError):  # without a home
        state = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
        above = next(path for path in (state, *state.parents) if path.exists())
        if state.is_absolute() and os.access(above, os.W_OK):
            return state / "graphwriter" / "run"
    return Path(tempfile.gettempdir()) / f"graphwriter-{os.geteuid()}"


def load(environ: Mapping[str, str] | None = None, **flags: Any) -> Config:
    """Return the settings from flags (None: not given), the environment and the defaults.

    Raises:
        ConfigError: a value is invalid; the message names the variable and the value.
    """
    config, wrong = read(environ, **flags)
    for error in wrong:
        raise error
    return config.check()


def read(
    environ: Mapping[str, str] | None = None, **flags: Any
) -> tuple[Config, list[ConfigError]]:
    """Return the settings without the checks across settings, and the errors of invalid values.

    Settings with an invalid value have their default.
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
            return Path(path).read_text("utf-8-sig").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{variable}_FILE {path!r} cannot be read: {_reason(error)}"
            ) from None
    # An empty variable counts as not set, except for names: with the default stream it would read
    # the data of somebody else.
    return environ.get(variable) or (environ.get(variable) if metadata.get("named") else None)


def _reason(error: OSError | UnicodeDecodeError) -> str:
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
        raise ConfigError(f"{variable} is {value!r}, expected a name, not an empty text")
    if variable == partitions.FIELD:
        partitions.names(value)
    if "least" in metadata and not metadata["least"] <= value < float("inf"):
        raise ConfigError(f"{variable} is {value:g}, expected at least {metadata['least']:g}")
    if "among" in metadata and value.upper() not in metadata["among"].upper().split():
        raise ConfigError(f"{variable} is {value!r}, expected one of {metadata['among']}")
    return value


_BOOLS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
_EXPECTED = {"bool": "true or false", "int": "a whole number", "float": "a number (seconds)"}


def default(name: str) -> Any:
    """Return the default of a setting."""
    setting = next(f for f in fields(Config) if f.name == name)
    return None if setting.default is MISSING else setting.default


def unknown(environ: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    """Yield each variable with our prefix that is no setting, and the most similar setting."""
    names = {setting.metadata["variable"] for setting in fields(Config)}
    secrets = {s.metadata["variable"] for s in fields(Config) if s.metadata.get("secret")}
    known = names | {f"{name}_FILE" for name in secrets} | OTHER_VARIABLES
    for name in sorted(environ):
        if name.startswith(PREFIX) and not name.startswith(TESTS) and name not in known:
            yield name, next(iter(get_close_matches(name, known, 1)), None)
