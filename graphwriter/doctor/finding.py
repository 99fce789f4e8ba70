"""The result of a check: a line about one problem, and a command that repairs it."""

from __future__ import annotations

import msgspec

from graphwriter.errors import EXIT_FAILED, EXIT_OK, GraphwriterError, exit_code

OK, WRONG, UNKNOWN = "ok", "wrong", "unknown"


class Finding(msgspec.Struct, rename={"repair": "mend"}):
    """One line of a check. `repair` is a command to paste, None without one; "mend" in JSON."""

    level: str  # ok, wrong, or unknown: the check could not be made
    text: str
    repair: str | None = None
    code: int = EXIT_OK  # exit code of the command if this is the worst finding
    check: str = ""


def ok(text: str) -> Finding:
    """Return that a check passed."""
    return Finding(OK, text)


def wrong(text: str, repair: str | None, error: GraphwriterError | None = None) -> Finding:
    """Return a problem; `error` decides the exit code."""
    return Finding(WRONG, text, repair, exit_code(error) if error else EXIT_FAILED)


def unknown(text: str, repair: str | None = None) -> Finding:
    """Return that a check could not be made, and why."""
    return Finding(UNKNOWN, text, repair)
