"""Shared by commands: flags for settings, selections of posts, and errors as exit codes."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import click

from graphwriter import logs
from graphwriter.config import Config, load
from graphwriter.errors import ConfigError, GraphwriterError, exit_code

if TYPE_CHECKING:
    from graphwriter.database import Selection

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
F = TypeVar("F", bound=Callable[..., Any])

# Names of settings by subject, for `settings`.
REDIS = ("redis_url", "stream", "group")
NEO4J = ("neo4j_uri", "neo4j_user", "neo4j_database")
SHARES = ("dead_share",)  # floats that are not times


account = click.option(
    "--account",
    type=click.IntRange(1, 10**18),
    metavar="ID",
    help="User id of the account that saw the messages; needed for private chats and basic groups. "
    "Default: as the export says.",
)


def settings(*names: str) -> Callable[[F], F]:
    """Give a command a flag for each named setting, and the first argument `config`.

    A GraphwriterError ends the command with one line on standard error and its exit code.
    """

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def wrapped(**arguments: Any) -> Any:
            given = {name: arguments.pop(name) for name in names}
            with reported():
                refuse_password(given)
                config = load(**given)
                logs.setup(config.log_level, config.log_format, config.secrets())
                return function(config, **arguments)

        command: Any = wrapped
        return flags(*names)(command)  # type: ignore[no-any-return]

    return decorate


def flags(*names: str) -> Callable[[F], F]:
    """Give a command a flag for each named setting; its value is the typed text, or None."""

    def decorate(function: F) -> F:
        command: Any = function
        for setting in reversed(fields(Config)):
            if setting.name in names:
                command = _flag(setting)(command)
        return command  # type: ignore[no-any-return]

    return decorate


def refuse_password(given: Mapping[str, str | None]) -> None:
    """Raise ConfigError if a flag holds a password."""
    for flag in ("redis_url", "database_url"):
        if _with_password(given.get(flag) or ""):
            name = flag.upper()
            raise ConfigError(
                f"--{flag.replace('_', '-')} contains a password, which every user of this "
                f"machine can read: set {name} or {name}_FILE instead"
            )


def _with_password(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False  # not a URL: connecting reports it
    return bool(parts.password) or "password" in parse_qs(parts.query)


def _flag(setting: Any) -> Callable[[Any], Any]:
    text, variable = setting.metadata["help"], setting.metadata["variable"]
    name = f"--{setting.name.replace('_', '-')}"
    default = "" if setting.default is None else f"; default {_shown(setting.default)}"
    text = f"{text} [{variable}{default}]"
    if setting.type == "bool":
        return click.option(f"{name}/--no-{name[2:]}", default=None, help=text)
    kind = {"int": "NUMBER", "float": "SECONDS"}.get(setting.type, "TEXT")
    kind = "NUMBER" if setting.name in SHARES else kind
    hidden = bool(setting.metadata.get("tuning"))
    return click.option(name, default=None, metavar=kind, help=text, hidden=hidden)


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


class Group(click.Group):
    """A group that suggests a similar command for an unknown one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or suggest a similar one."""
        names = self.list_commands(ctx)
        if args[0] not in names and (similar := get_close_matches(args[0], names, 1)):
            ctx.fail(f"No such command {args[0]!r}. Did you mean {similar[0]!r}?")
        return super().resolve_command(ctx, args)


@contextmanager
def reported() -> Iterator[None]:
    """End the process with one line and its exit code on a GraphwriterError."""
    try:
        yield
    except GraphwriterError as error:
        if logs.is_json():
            logs.log.critical("%s", error, extra={"exit_code": exit_code(error)})
        else:
            click.echo(f"graphwriter: {error}", err=True)
        sys.exit(exit_code(error))
    except BrokenPipeError:
        sys.exit(0)  # the reader of our output, such as head, has closed it


def moment(_context: object, _parameter: object, value: str | None) -> datetime | None:
    """Return the value of an option as a time, in UTC if it has no zone; a callback of click."""
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        text = f"{value!r} is not a time such as 2024-05-01 or 2024-05-01T10:00:00Z"
        raise click.BadParameter(text) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


_SELECTION = (
    click.option(
        "--all", "every", is_flag=True, help="All posts, also those without forward or reply."
    ),
    click.option(
        "--since", callback=moment, metavar="TIME", help="Only posts of this time or later."
    ),
    click.option(
        "--channel",
        "channels",
        multiple=True,
        metavar="ID",
        help="Only posts of this chat: its marked Telegram id or its channel_id. Repeatable.",
    ),
    click.option("--sql", type=Path, metavar="FILE", help="Your own query, see docs/backfill.md."),
    click.option(
        "--nulls-clear", is_flag=True, help="An all-null facet clears the one in the graph."
    ),
    click.option("--as-tenant", metavar="NAME", help="The tenant_id of rows without one."),
)


def selected(function: F) -> F:
    """Give a command the options that select posts; `selection` reads them."""
    for option in reversed(_SELECTION):
        function = option(function)
    return function


def selection(config: Config, options: dict[str, Any], *, every: bool = False) -> Selection:
    """Return the selected posts, and remove those options from `options`.

    Args:
        every: also posts without forward or reply, whatever the options are.

    Raises:
        ConfigError: the file of --sql cannot be read.
    """
    from graphwriter.database import Selection

    file = options.pop("sql")
    sql = _query(file)
    linked = not (options.pop("every") or every or sql)
    return Selection(
        sql=sql,
        linked=linked,
        since=options.pop("since"),
        channels=options.pop("channels"),
        tenant=options.pop("as_tenant") or config.tenant or Selection.tenant,
        nulls_clear=options.pop("nulls_clear"),
        file=None if file is None else str(file),
    )


def _query(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--sql {file}: {error}") from None
