"""How commands print: a table for people, a JSON line a row for programs."""

from __future__ import annotations

import logging
import shutil
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import click
import orjson

from graphwriter.text import counted as counted
from graphwriter.text import plain as plain

T = TypeVar("T")
TOLD_EVERY = 30.0  # seconds between two lines about what is being done, where there is no terminal

as_json = click.option("--json", is_flag=True, help="Print JSON, a line a row.")


def echo_json(value: Any) -> None:
    """Print `value` as one line of JSON; what JSON cannot hold is printed as text."""
    click.echo(orjson.dumps(value, default=str).decode())


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    empty: str = "nothing",
    *,
    whole: bool = True,
) -> None:
    """Print rows under their columns, folded to the terminal's width; `empty` where there are none.

    Where they need not be `whole` a row is a line, and what is too long for it is cut.
    Whatever came from outside is printed as text: no markup, no control characters.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        click.echo(empty)
        return
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        numeric = all(_digits(row[columns.index(name)]) for row in rows)
        shown.add_column(
            name,
            justify="right" if numeric else "left",
            overflow="fold" if whole else "ellipsis",
            no_wrap=not whole,
        )
    for row in rows:
        shown.add_row(*(Text(plain(cell)) for cell in row))
    Console().print(shown)


def folded(text: str, indent: str = "") -> str:
    """Return `text` in lines of the terminal's width, those after the first indented."""
    width = shutil.get_terminal_size().columns
    return textwrap.fill(text, width, subsequent_indent=indent, break_on_hyphens=False)


def _digits(cell: Any) -> bool:
    return str(cell).replace(",", "").replace(".", "").isdigit()


def utc(seconds: float) -> str:
    """Return a time of seconds since 1970 as people read it."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))


def progress(items: Iterable[T], doing: str, every: int = 100) -> Iterator[T]:
    """Yield `items`, and show on a terminal how many there were, anew after `every`."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    columns = SpinnerColumn(), TextColumn("{task.description} {task.completed:,.0f}")
    console = Console(stderr=True)
    if not console.is_terminal:
        yield from items
        return
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task(doing, total=None)
        for number, item in enumerate(items, 1):
            if number % every == 0:
                shown.update(task, completed=number)
            yield item


@contextmanager
def telling() -> Iterator[Callable[[str], None]]:
    """Give a function that says what is being done: in one line, or now and then in the log."""
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal:
        with console.status("starting") as shown:
            yield lambda text: shown.update(plain(text))
        return
    last = -TOLD_EVERY

    def say(text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= TOLD_EVERY:
            last = time.monotonic()
            logging.getLogger("graphwriter").info("%s", plain(text))

    yield say


@contextmanager
def meter(doing: str, noun: str) -> Iterator[Callable[[int, int], None]]:
    """Show how far something long is: a bar on a terminal, else a line every 10 s.

    Yields a function that takes how many `noun`s are done, and of how many. Rate and time left are
    those since its first call, which may come in the midst of the work.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    began: tuple[float, int] | None = None
    said = time.monotonic()
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[told]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task(doing, total=None, told="")

        def tell(done: int, total: int) -> None:
            nonlocal began, said
            now = time.monotonic()
            began = began or (now, done)
            told = _told(done, total, now - began[0], done - began[1], noun)
            bar.update(task, completed=done, total=total, told=told)
            if not console.is_terminal and now - said >= LINE:
                said = now
                click.echo(f"{doing} {told}", err=True)

        yield tell


LINE = 10.0  # seconds between lines where there is no terminal


def _told(done: int, total: int, seconds: float, since: int, noun: str) -> str:
    rate = since / seconds if seconds > 0 else 0
    text = f"{done:,} of {max(total, done):,} {noun}s"
    if rate:
        left = int(max(0, total - done) / rate)
        text += f", {rate:,.0f}/s, {left // 3600}:{left % 3600 // 60:02}:{left % 60:02} left"
    return text
