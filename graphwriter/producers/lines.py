"""Events as JSON lines: a file, plain or gzipped, or standard input."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

import orjson

from graphwriter.errors import ConfigError

LINE_LIMIT = 1 << 24  # bytes; 16 times the limit of a worker, so a longer line cannot be an event
_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"


def checked(path: Path | str) -> Iterator[tuple[int, bytes]]:
    """Yield what `numbered` does; raises ConfigError too if the first line is not an event."""
    lines = numbered(path)
    for number, line in islice(lines, 1):
        _check_first(line, str(path))
        yield number, line
    yield from lines


def numbered(path: Path | str) -> Iterator[tuple[int, bytes]]:
    """Yield number and text of each line of the file at `path` ("-": standard input).

    White space around a line is removed, and blank lines are skipped. The lines are not decoded: a
    line that is not an event becomes a dead letter with its reason. A gzipped file is recognized by
    its first bytes, not by its name. One line is in memory at a time; blocks while reading does.

    Raises:
        ConfigError: the file is missing, a directory, truncated, damaged, or has a line of more
            than `LINE_LIMIT` bytes (most likely JSON that is not one event a line). The error names
            file and line; everything before has been yielded.
    """
    name = "standard input" if str(path) == "-" else str(path)
    read = 0
    try:
        with _opened(path) as file:
            while line := file.readline(LINE_LIMIT + 1):
                if len(line) > LINE_LIMIT:
                    raise _error(name, read, f"longer than {LINE_LIMIT} bytes, the limit of a line")
                if read == 0:
                    if line.startswith(_GZIP):
                        raise _error(name, read, "gzipped: only a file may be, and only once")
                    line = line.removeprefix(_BOM)
                read += 1
                if line := line.strip():
                    yield read, line
    except EOFError:
        raise _error(name, read, "the gzip file is truncated") from None
    except (zlib.error, gzip.BadGzipFile) as error:
        raise _error(name, read, f"the gzip file is damaged: {error}") from None
    except OSError as error:
        problem = error.strerror or str(error)
        raise (_error(name, read, problem) if read else ConfigError(f"{name}: {problem}")) from None


@contextmanager
def _opened(path: Path | str) -> Iterator[BinaryIO]:
    if str(path) == "-":
        yield sys.stdin.buffer  # not ours to close
        return
    with Path(path).open("rb") as file:
        if file.peek(len(_GZIP)).startswith(_GZIP):
            with gzip.open(file) as unzipped:
                yield cast("BinaryIO", unzipped)
        else:
            yield file


def _error(name: str, read: int, problem: str) -> ConfigError:
    return ConfigError(f"{name}, line {read + 1}: {problem}")


def _check_first(line: bytes, name: str) -> None:
    """Raise ConfigError if the first line of the file `name` is not an event."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        value = None
    # An export without line feeds is also an object on one line, and so is a Telethon message.
    if not isinstance(value, dict) or value.keys() & {"messages", "chats", "_"}:
        raise ConfigError(
            f"{name}: its first line is not an event (a JSON object on one line); a "
            "Telegram Desktop export goes through `graphwriter import desktop`, a Telethon dump "
            "through `graphwriter import telethon`"
        )
