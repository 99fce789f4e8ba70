"""What the commands share: flags made from the settings, and errors made into exit codes."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import click

from graphwriter import logs
from graphwriter.config import Config, load
from graphwriter.errors import ConfigError, GraphwriterError, exit_code

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
F = TypeVar("F", bound=Callable[..., Any])

# Settings by what they are about, for `settings`.
REDIS = ("redis_url", "stream", "group")
NEO4J = ("neo4j_uri", "neo4j_user", "neo4j_database")
SHARES = ("dead_share",)  # floats that are no times


def settings(*names: str) -> Callable[[F], F]:
    """Give a command a flag for each named setting, and a first argument `config`.

    Errors of ours end the command with one line on standard error and their exit code.
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
    """Give a command a flag for each named setting, as it was typed; None: not given."""

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
                f"--{flag.replace('_', '-')} holds a password, which every user of the "
                f"machine can read there: set {name} or {name}_FILE instead"
            )


def _with_password(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False  # no URL: who connects says so
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
    return click.option(name, default=None, metavar=kind, help=text)


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


class Group(click.Group):
    """A group that asks whether another command was meant, as click does for options."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one has a name like it."""
        names = self.list_commands(ctx)
        if args[0] not in names and (meant := get_close_matches(args[0], names, 1)):
            ctx.fail(f"No such command {args[0]!r}. Did you mean {meant[0]!r}?")
        return super().resolve_command(ctx, args)


class reported:  # noqa: N801 - reads as a statement: with reported()
    """Ends the process with one line and its exit code on an error of ours."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, GraphwriterError):
            if logs.is_json():
                logs.log.critical("%s", error, extra={"exit_code": exit_code(error)})
            else:
                click.echo(f"graphwriter: {error}", err=True)
            sys.exit(exit_code(error))
        if isinstance(error, BrokenPipeError):
            sys.exit(0)  # the reader of our output, such as head, has seen enough
