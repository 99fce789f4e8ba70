"""Writes docs/reference.md from the commands and settings themselves: python docs/generate.py"""

from __future__ import annotations

from dataclasses import fields
from inspect import cleandoc
from pathlib import Path
from typing import Any

import click

from graphwriter.cli import COMMANDS, main
from graphwriter.config import Config
from graphwriter.errors import (
    EXIT_DIFFERENT,
    ConfigError,
    DeadLetterLimit,
    NameTaken,
    Unavailable,
    exit_code,
)

HEAD = """# Reference

Generated from the code by `python docs/generate.py`; a test checks that it is current. The
rationale of the defaults is in [settings](settings.md).
"""


def options(command: click.Command) -> list[str]:
    """Return a table row for each argument and option of a command."""
    rows = []
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
            rows.append(f"| {names} | {parameter.help or ''} |")
        else:
            rows.append(f"| `{parameter.human_readable_name}` | argument |")
    return rows


def section(path: str, command: click.Command) -> list[str]:
    """Return the lines that document a command and what is below it."""
    lines = [f"## `{path}`", "", cleandoc(command.help or ""), ""]
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            below = command.get_command(click.Context(command), name)
            assert below is not None
            lines += section(f"{path} {name}", below)
        return lines
    if rows := options(command):
        lines += ["| option | what it does |", "|---|---|", *rows, ""]
    return lines


def settings() -> list[str]:
    """Return the table of settings."""
    lines = ["## Settings", "", "| variable | default | what it does |", "|---|---|---|"]
    for setting in fields(Config):
        known: Any = setting.metadata
        default = "" if setting.default is None else f"`{setting.default}`"
        secret = f" Or the file that `{known['variable']}_FILE` names." if "secret" in known else ""
        lines.append(f"| `{known['variable']}` | {default} | {known['help']}{secret} |")
    return [*lines, ""]


def codes() -> list[str]:
    """Return the table of exit codes."""
    rows = [
        (0, "done"),
        (1, "the answer is no, or an unexpected error with its traceback"),
        (2, "wrong usage"),
        (EXIT_DIFFERENT, "`verify`: the graph differs"),
        (exit_code(DeadLetterLimit()), "too many dead letters: the producer must be wrong"),
        (exit_code(Unavailable()), "a server is unavailable (workers wait instead)"),
        (
            exit_code(NameTaken()),
            "another process works under this consumer name, or in this run directory",
        ),
        (
            exit_code(ConfigError()),
            "a setting, a file or a server's configuration must be corrected",
        ),
    ]
    lines = ["## Exit codes", "", "| code | meaning |", "|---|---|"]
    return [*lines, *(f"| {code} | {text} |" for code, text in rows), ""]


def text() -> str:
    """Return the whole page."""
    lines = [HEAD, *settings(), *codes()]
    for name in COMMANDS:
        command = main.get_command(click.Context(main), name)
        assert command is not None
        lines += section(f"graphwriter {name}", command)
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    (Path(__file__).parent / "reference.md").write_text(text())
