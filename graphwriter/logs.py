"""Logging: lines for people or JSON for programs, with a limit of repeats and without secrets.

A line may have fields (`extra=`), such as an entry's id: JSON shows them by name.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from types import TracebackType
from typing import Any

import orjson

log = logging.getLogger("graphwriter")

FORMATS = ("console", "json")
BURST, WINDOW = 10, 60.0  # lines of one kind that are logged within so many seconds
KINDS = 256  # kinds of lines that are counted
SHORTEST_SECRET = 4  # characters; hiding a shorter one would garble every line

_URL_USER = re.compile(r"(\w://)[^\s/@]*@")
_OWN = {*vars(logging.makeLogRecord({})), "message", "asctime", "left_out"}


class Scrubber:
    """Removes secrets from a text: the given ones, and user and password in any URL."""

    def __init__(self, secrets: tuple[str | None, ...] = ()) -> None:
        self._secrets = sorted(
            {secret for secret in secrets if secret and len(secret) >= SHORTEST_SECRET}, key=len
        )[::-1]

    def __call__(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return _URL_USER.sub(r"\1***@", text)


class Console(logging.Formatter):
    """Formats a line for people."""

    def __init__(self, scrub: Scrubber) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s")
        self._scrub = scrub

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, followed by the traceback if there is one."""
        return self._scrub(super().format(record)) + _left_out(record)


class Json(logging.Formatter):
    """Formats a line as a JSON object: time, level, message, who, and the line's own fields."""

    def __init__(self, scrub: Scrubber, who: dict[str, str]) -> None:
        super().__init__()
        self._scrub, self._who = scrub, who

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields: dict[str, Any] = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}"
            f".{record.msecs:03.0f}Z",
            "level": record.levelname.lower(),
            "message": self._scrub(record.getMessage()) + _left_out(record),
            "process": record.process,
            **self._who,
        }
        if record.name != log.name:
            fields["logger"] = record.name
        for name, value in vars(record).items():
            if name not in _OWN:
                text = value.decode(errors="replace") if isinstance(value, bytes) else value
                fields[name] = self._scrub(text) if isinstance(text, str) else text
        if record.exc_info:
            fields["traceback"] = self._scrub(self.formatException(record.exc_info))
        return orjson.dumps(fields, default=str).decode()


def _left_out(record: logging.LogRecord) -> str:
    number = getattr(record, "left_out", 0)
    return f" (and {number:,} similar lines were left out)" if number else ""


class Calm(logging.Filter):
    """Passes ten lines of a kind per minute; the next line later says how many were left out.

    A kind is a level and the text without its arguments. Debug lines always pass.
    """

    def __init__(self) -> None:
        super().__init__()
        self._kinds: dict[tuple[int, str], list[float]] = {}  # start, lines let through, left out

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the line is logged."""
        if record.levelno <= logging.DEBUG:
            return True
        kind, now = (record.levelno, str(record.msg)), time.monotonic()
        seen = self._kinds.get(kind)
        if seen is None or now - seen[0] > WINDOW:
            record.left_out = int(seen[2]) if seen else 0
            if len(self._kinds) >= KINDS:
                self._kinds.pop(next(iter(self._kinds)))
            self._kinds[kind] = [now, 1, 0]
            return True
        through = seen[1] < BURST
        seen[1 if through else 2] += 1
        return through


def setup(
    level: str = "INFO", form: str = "console", secrets: tuple[str | None, ...] = (), **who: str
) -> None:
    """Log to standard error from now on; `who` are fields of every JSON line.

    An uncaught exception is logged too, so that secrets are removed from its text.
    """
    scrub = Scrubber(secrets)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Json(scrub, who) if form.lower() == "json" else Console(scrub))
    handler.addFilter(Calm())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    sys.excepthook = _uncaught


def is_json() -> bool:
    """Whether the log format is JSON."""
    return any(isinstance(one.formatter, Json) for one in logging.getLogger().handlers)


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        log.critical("unexpected error", exc_info=(kind, error, trace))
