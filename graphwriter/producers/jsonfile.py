"""A JSON file of any size, read value by value in the memory of one value.

It looks at brackets and strings only. The caller decodes each value, within `decoding`. So one
invalid value does not stop the file, and values may be nested to any depth. A file in UTF-16 is
converted to a temporary file first.
"""

from __future__ import annotations

import codecs
import re
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

import msgspec

from graphwriter.errors import BadEvent, ConfigError
from graphwriter.events.wire import refusal, unquoted

CHUNK = 1 << 18  # bytes of one read: large enough that the cost of the call does not count
VALUE_LIMIT = 1 << 24  # bytes of one value; a Telegram message is far below 1 MiB

_GAP = re.compile(rb"[\s,:]*+")  # commas and colons add nothing to the brackets
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_SCALAR = re.compile(rb'[^\s,:"{}\[\]]++(?=[\s,:"{}\[\]])')
# Up to and with the next bracket outside of strings. A string cut off by the end of the window
# does not match, so a bracket inside of it is never taken for one outside.
_BRACKET = re.compile(
    rb'[^"{}\[\]]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"{}\[\]]*+)*+([{}\[\]])', re.DOTALL
)


Rejected = Callable[[str, BadEvent], None]  # gets the place and the error of a rejected value


def raised(place: str, error: BadEvent) -> None:
    """Raise the error, with its place: nothing is left out."""
    raise BadEvent(error.reason, f"{place}: {error.message}") from None


@contextmanager
def opened(path: Path) -> Iterator[JsonFile]:
    """Give the file at `path`; raises ConfigError where it cannot be opened."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    with file:
        start = file.peek(2)[:2]
        if start not in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            yield JsonFile(file, str(path))
            return
        with tempfile.TemporaryFile() as converted:
            _convert(file, converted, str(path))
            converted.seek(0)
            yield JsonFile(converted, str(path))


def _convert(file: BinaryIO, converted: IO[bytes], name: str) -> None:
    """Write the UTF-16 text of `file` as UTF-8, with the memory of one read."""
    decoder = codecs.getincrementaldecoder("utf-16")("replace")
    try:
        while chunk := file.read(CHUNK):
            converted.write(decoder.decode(chunk).encode("utf-8", "replace"))
        converted.write(decoder.decode(b"", final=True).encode())
    except OSError as error:
        raise ConfigError(f"{name}: converting it from UTF-16: {error.strerror}") from None


class JsonFile:
    """A pull reader over an open binary file; `name` is what its errors call the file.

    Every method may block on reading the file and raises ConfigError, which names file and byte, if
    the file is truncated, cannot be read, or has a bracket in a wrong place.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self.name = name
        self._file = file
        self._window = b""
        self._at = 0  # where in the window the next value starts
        self._passed = 0  # bytes of the file before the window
        if self.kind() and self._window.startswith(b"\xef\xbb\xbf"):
            self._at = max(self._at, 3)  # a byte order mark, left by editors on Windows

    @property
    def place(self) -> str:
        """File and byte where the next value starts, for an error message."""
        self.kind()
        return f"{self.name}, byte {self._passed + self._at}"

    def error(self, problem: str) -> ConfigError:
        """Return the error of a `problem` at this place; the caller raises it."""
        return ConfigError(f"{self.name}, byte {self._passed + self._at}: {problem}")

    def kind(self) -> str:
        """Return the first character of the next value or closing bracket, "" at the end."""
        while True:
            gap = _GAP.match(self._window, self._at)
            self._at = gap.end() if gap else self._at
            if self._at < len(self._window):
                return chr(self._window[self._at])
            if not self._more():
                return ""

    def members(self) -> Iterator[str]:
        """Yield the keys of the next object; the caller takes each value before the next key."""
        self._enter("{")
        while self.kind() != "}":
            if self.kind() != '"':
                raise self._unexpected("a key or }")
            yield self.value()[1:-1].decode("utf-8", "replace")
        self._at += 1

    def items(self) -> Iterator[None]:
        """Yield once for each value of the array that comes next; the caller takes the value."""
        self._enter("[")
        while self.kind() != "]":
            if self.kind() in ("}", ""):
                raise self._unexpected("a value or ]")
            yield
        self._at += 1

    def value(self) -> bytes:
        """Return the bytes of the next value, which may be invalid JSON inside."""
        end = self._end(keep=True)
        value = self._window[self._at : end]
        self._at = end
        return value

    def skip(self) -> None:
        """Skip the next value without storing it; only a string has to fit into the limit."""
        self._at = self._end(keep=False)

    @contextmanager
    def rewinding(self) -> Iterator[None]:
        """Within it, read ahead; afterwards the next value is the same as before. Needs a file
        that can seek: with a pipe it raises ConfigError.
        """
        try:
            held = (self._window, self._at, self._passed, self._file.tell())
        except OSError:
            raise self.error("this has to be read twice: give a file, not a pipe") from None
        try:
            yield
        finally:
            self._window, self._at, self._passed, end = held
            self._file.seek(end)

    def following(self, names: Collection[str]) -> dict[str, bytes]:
        """Return the members `names` that come after the next value in the same object.

        Nothing is taken. If the file is truncated before the end of the object, it returns those
        that were found.
        """
        found: dict[str, bytes] = {}
        with self.rewinding():
            try:
                self.skip()
                while self.kind() == '"':
                    key = self.value()[1:-1].decode("utf-8", "replace")
                    if key in names:
                        found[key] = self.value()
                    else:
                        self.skip()
            except ConfigError:
                pass  # told when the file is read up to there
        return found

    def _enter(self, bracket: str) -> None:
        if self.kind() != bracket:
            raise self._unexpected(bracket)
        self._at += 1

    def _unexpected(self, wanted: str) -> ConfigError:
        found = self.kind()
        if not found:
            return self.error("the file is truncated here; everything before was read")
        return self.error(f"expected {wanted}, found {found!r}")

    def _end(self, *, keep: bool) -> int:
        """Return where in the window the next value ends, reading on until it is there."""
        first = self.kind()
        if first in ("}", "]", ""):
            raise self._unexpected("a value")
        nested = first in ("{", "[")
        pattern = _BRACKET if nested else _STRING if first == '"' else _SCALAR
        depth, at = 0, self._at
        while True:
            found = pattern.match(self._window, at)
            if found is None:
                if not keep:
                    self._at = at
                at -= self._at
                if not self._more():
                    raise self.error("the file is truncated here; everything before was read")
                continue
            at = found.end()
            if nested:
                depth += 1 if found[1] in b"{[" else -1
            if depth == 0:
                return at

    def _more(self) -> bool:
        """Drop what was read from the window, and read more; False at the end of the file."""
        if len(self._window) - self._at > VALUE_LIMIT:
            raise self.error(f"one value is longer than {VALUE_LIMIT >> 20} MiB")
        try:
            chunk = self._file.read(CHUNK)
        except OSError as error:
            raise self.error(str(error)) from None
        self._passed += self._at
        self._window = self._window[self._at :] + chunk
        self._at = 0
        return bool(chunk)


@contextmanager
def decoding(raw: bytes, repaired: Callable[[bytes], bytes] = bytes) -> Iterator[None]:
    """Turn msgspec's errors about the message `raw` into BadEvents that name field and value."""
    try:
        yield
    except RecursionError:
        raise BadEvent("too_deep", "the JSON is nested too deeply for a message") from None
    except msgspec.ValidationError as error:
        raise refusal(error, _untyped(repaired(raw))) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if not _is_utf8(raw):  # the error itself says so in msgspec before 0.23 only
            raise BadEvent("bad_utf8", "the message contains text that is not UTF-8") from None
        raise BadEvent("not_json", unquoted(error)) from None


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _untyped(raw: bytes) -> dict[str, Any]:
    try:
        values = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}  # it has more than one error
    return values if isinstance(values, dict) else {}
