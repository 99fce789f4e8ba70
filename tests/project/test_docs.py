"""The documentation is tested: every command and setting is in it, and its links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import click
import pytest
from support.paths import ROOT

from graphwriter.cli import COMMANDS, main
from graphwriter.config import Config

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def generator() -> ModuleType:
    """docs/generate.py, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def commands(path: str = "", group: click.Command = main) -> list[tuple[str, click.Command]]:
    """Every command with its path."""
    if not isinstance(group, click.Group):
        return [(path, group)]
    context = click.Context(group)
    below = [(name, group.get_command(context, name)) for name in group.list_commands(context)]
    return [
        found for name, command in below if command for found in commands(f"{path} {name}", command)
    ]


def test_the_reference_is_what_the_code_says() -> None:
    """`python docs/generate.py` was run after the last change of a command or setting."""
    assert (ROOT / "docs" / "reference.md").read_text() == generator().text()


@pytest.mark.parametrize(("path", "command"), commands(), ids=[path for path, _ in commands()])
def test_every_command_and_option_has_help(path: str, command: click.Command) -> None:
    """The docstring is the help, and each option says what it does."""
    assert command.help, path
    assert command.context_settings["help_option_names"] == ["-h", "--help"]
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{path} {parameter.name}"


def test_no_flag_takes_a_secret() -> None:
    """Every user of a machine can read arguments; a URL with a password is refused."""
    secrets = {setting.name for setting in fields(Config) if setting.metadata.get("secret")}
    given = {parameter.name for _, command in commands() for parameter in command.params}
    assert given & secrets == {"redis_url", "database_url"}


def test_the_list_of_commands_is_the_readmes() -> None:
    """The README names every command that a person starts."""
    readme = (ROOT / "README.md").read_text()
    for name in set(COMMANDS) - {"worker", "watchdog", "trim", "demo"}:
        assert f"graphwriter {name}" in readme, name


def test_every_default_is_argued() -> None:
    """A number without a reason is an option without a reason."""
    argued = (ROOT / "docs" / "settings.md").read_text()
    for setting in fields(Config):
        variable = setting.metadata["variable"]
        if variable.startswith("GRAPH_WRITER_") and isinstance(setting.default, int | float):
            assert f"`{variable}`" in argued, variable


def test_every_dependency_has_a_reason() -> None:
    """setup.cfg asks for nothing that docs/dependencies.md does not name."""
    reasons = (ROOT / "docs" / "dependencies.md").read_text()
    for block in re.findall(
        r"(?:install_requires|embedded|telethon|test|docs|lint) =\n((?:    .+\n)+)", _setup()
    ):
        for name in re.findall(r"^    ([a-z0-9-]+)", block, re.MULTILINE):
            assert name in reasons or name == "graphwriter", name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """Relative links and pictures."""
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_readme_keeps_the_two_commands() -> None:
    """make demo and make test do all the set-up."""
    readme = (ROOT / "README.md").read_text()
    assert "make demo" in readme
    assert "make test" in readme


def _setup() -> str:
    return (ROOT / "setup.cfg").read_text()


def test_every_test_that_the_readme_names_is_there() -> None:
    """A fault's line is worth its test."""
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "README.md").read_text()))
    source = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(named) > 10
    assert {name for name in named if f"def {name}(" not in source} == set()
