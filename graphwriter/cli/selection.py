"""Which posts of a PostgreSQL database a command is about."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from graphwriter.config import Config
from graphwriter.errors import ConfigError

if TYPE_CHECKING:
    from graphwriter.database import Selection

F = TypeVar("F", bound=Callable[..., Any])


def _time(_context: object, _parameter: object, value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        said = f"{value!r} is no time such as 2024-05-01 or 2024-05-01T10:00:00Z"
        raise click.BadParameter(said) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_OPTIONS = (
    click.option("--all", "every", is_flag=True, help="Every post, also without forward or reply."),
    click.option(
        "--since", callback=_time, metavar="TIME", help="Only posts of this time or later."
    ),
    click.option(
        "--channel",
        "channels",
        multiple=True,
        metavar="ID",
        help="Only posts of this chat: its marked Telegram id, or its channel_id. Can be repeated.",
    ),
    click.option(
        "--sql", type=Path, metavar="FILE", help="A query of your own, see docs/backfill.md."
    ),
    click.option(
        "--nulls-clear", is_flag=True, help="A facet that is all null clears the graph's."
    ),
    click.option("--as-tenant", metavar="NAME", help="The tenant_id of rows that have none."),
)


def selected(function: F) -> F:
    """Give a command the options that select posts; `selection` takes them."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def selection(config: Config, options: dict[str, Any], *, every: bool = False) -> Selection:
    """Return what the options select, and take them out of `options`.

    Args:
        every: also posts without forward or reply, whatever the options say.

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
