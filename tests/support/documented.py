"""What the pages tell people to type: code blocks, code in sentences, the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import takewhile
from typing import NamedTuple

from markdown_it import MarkdownIt

from support.paths import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "bench" / "README.md"])
SHELL = ("", "sh", "shell", "bash", "console")
PROGRAMS = ("graphwriter", "graphwriter-worker", "make", "redis-cli", "python", "pip")
_ENDS = {"|", "||", "&", "&&", ";", ">", ">>", "<"}


class Block(NamedTuple):
    """A code block, its language (empty: none was given), and its page."""

    page: str
    language: str
    text: str


class Command(NamedTuple):
    """A command as words, the program first; `whole` unless a sentence only mentions it."""

    page: str
    words: tuple[str, ...]
    whole: bool

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.words)}"


def blocks() -> Iterator[Block]:
    """Every code block of every page, in order."""
    for page in PAGES:
        for token in MarkdownIt("commonmark").parse(page.read_text()):
            if token.type in ("fence", "code_block"):
                yield Block(page.name, token.info.strip(), token.content)


def commands() -> list[Command]:
    """Every command of every page, each once."""
    found = [
        Command(block.page, words, whole=True)
        for block in blocks()
        if block.language in SHELL
        for words in lines(block.text)
    ]
    for page in PAGES:
        for token in MarkdownIt("commonmark").enable("table").parse(page.read_text()):
            for child in token.children or ():
                if child.type == "code_inline":
                    found += [
                        Command(page.name, words, whole=False) for words in lines(child.content)
                    ]
    return [*dict.fromkeys(found)]


def lines(text: str) -> Iterator[tuple[str, ...]]:
    """The commands of a text that start one of PROGRAMS, without variables and pipes.

    A quoted argument may go on over several lines. What follows "> " is typed within redis-cli.
    """
    rest = text.replace("\\\n", " ").splitlines()
    while rest:
        line = rest.pop(0)
        if line.startswith("> "):
            yield "redis-cli", *line.split()[1:]
        if _program(line) is None:
            continue
        while (words := _split(line)) is None and rest:
            line += "\n" + rest.pop(0)
        if words is None:
            raise ValueError(f"a quote is not closed in {line!r}")
        while re.match(r"[A-Z_]+=", words[0]):
            words.pop(0)
        words[0] = _program(words[0]) or words[0]
        yield tuple(takewhile(lambda word: word not in _ENDS, words))


def _program(line: str) -> str | None:
    first = re.match(r"\s*(?:[A-Z_]+=\S* )*(?:\.venv/bin/)?([\w.-]+)(?=\s|$)", line)
    name = re.sub(r"^python3?$", "python", first[1]) if first else ""
    return name if name in PROGRAMS else None


def _split(line: str) -> list[str] | None:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        return [*lexer]
    except ValueError:
        return None
