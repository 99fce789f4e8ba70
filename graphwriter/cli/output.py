"""How commands print: tables and progress for people, JSON lines for programs."""

from __future__ import annotations

import logging
import shutil
import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self, TypeVar

import click
import orjson

from graphwriter.text import plain, rate, remaining

T = TypeVar("T")
LINE_INTERVAL = 10.0  # seconds between two lines of progress without a terminal

as_json = click.option("--json", is_flag=True, help="Print JSON, one line per row.")


def echo_json(value: Any) -> None:
    """Print `value` as one line of JSON; other types are printed as text."""
    click.echo(orjson.dumps(value, default=str).decode())


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    empty: str = "nothing",
    *,
    whole: bool = True,
    uncut: int = 0,
) -> None:
    """Print rows below their columns, folded to the terminal's width; `empty` without rows.

    If they need not be `whole` a row is one line, and longer cells are cut, except those of the
    first `uncut` columns. Cells are printed as plain text: no markup, no control characters.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        click.echo(empty)
        return

    def longest(number: int) -> int:
        return max(len(columns[number]), *(len(plain(row[number])) for row in rows))

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for number, name in enumerate(columns):
        numeric = all(_is_number(row[number]) for row in rows)
        shown.add_column(
            name,
            justify="right" if numeric else "left",
            overflow="fold" if whole else "ellipsis",
            no_wrap=not whole,
            min_width=longest(number) if number < uncut else None,
        )
    for row in rows:
        shown.add_row(*(Text(plain(cell)) for cell in row))
    Console().print(shown)


def folded(text: str, indent: str = "") -> str:
    """Return `text` in lines of the terminal's width; all but the first are indented."""
    width = shutil.get_terminal_size().columns
    return textwrap.fill(text, width, subsequent_indent=indent, break_on_hyphens=False)


def _is_number(cell: Any) -> bool:
    return str(cell).replace(",", "").replace(".", "").isdigit()


class Progress:
    """Shows the progress of long work on standard error, inside `with`.

    On a terminal one line is updated, with a bar if the total is known. Without a terminal a line
    is printed every ten seconds, or with `log` logged. Rate and remaining time count from the first
    `update`, which may come in the middle of resumed work.
    """

    def __init__(
        self, doing: str, noun: str = "", *, log: bool = False, quiet: bool = False
    ) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        console = Console(stderr=True)
        self._terminal = console.is_terminal
        self._doing, self._noun, self._log, self._quiet = doing, noun, log, quiet
        self._start: tuple[float, int] | None = None
        self._printed = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[text]}"),
            console=console,
            transient=True,
            disable=not self._terminal,
        )
        self._task = self._bar.add_task(doing, total=None, text="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()

    def update(self, done: int, total: int | None = None) -> None:
        """Show how many are done, of how many."""
        now = time.monotonic()
        self._start = self._start or (now, done)
        seconds, since = now - self._start[0], done - self._start[1]
        text = _progress_text(done, total, since / seconds if seconds else 0.0, self._noun)
        self._bar.update(self._task, completed=done, total=total, text=text)
        self._line(f"{self._doing} {text}")

    def show(self, text: str) -> None:
        """Show what is being done, in words."""
        self._bar.update(self._task, description=plain(text))
        self._line(plain(text))

    def _line(self, text: str) -> None:
        if self._terminal or self._quiet or time.monotonic() - self._printed < LINE_INTERVAL:
            return
        self._printed = time.monotonic()
        if self._log:
            logging.getLogger("graphwriter").info("%s", text)
        else:
            click.echo(text, err=True)


def counting(items: Iterable[T], doing: str, every: int = 100) -> Iterator[T]:
    """Yield `items`, and show on a terminal how many there were, after each `every`."""
    with Progress(doing, quiet=True) as progress:
        for number, item in enumerate(items, 1):
            if number % every == 0:
                progress.update(number)
            yield item


def _progress_text(done: int, total: int | None, per_second: float, noun: str) -> str:
    if total is None:
        return f"{done:,}"
    text = f"{done:,} of {max(total, done):,} {noun}s"
    if per_second:
        text += f", {rate(per_second)}, {remaining(max(0, total - done) / per_second)} left"
    return text
