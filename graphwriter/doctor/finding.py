"""What a check comes to: a line that says how it is, and what mends it."""

from __future__ import annotations

import msgspec

from graphwriter.errors import EXIT_FAILED, EXIT_OK, GraphwriterError, exit_code

OK, WRONG, UNKNOWN = "ok", "wrong", "unknown"


class Finding(msgspec.Struct):
    """One line of a check. `mend` is a command to paste; None: none mends it, or the text says."""

    level: str  # ok, wrong, or unknown: the check could not be made
    text: str
    mend: str | None = None
    code: int = EXIT_OK  # what the command ends with if this is the worst
    check: str = ""


def ok(text: str) -> Finding:
    """Return that all is well."""
    return Finding(OK, text)


def wrong(text: str, mend: str | None, error: GraphwriterError | None = None) -> Finding:
    """Return that something has to be mended; `error` tells the exit code."""
    return Finding(WRONG, text, mend, exit_code(error) if error else EXIT_FAILED)


def unknown(text: str, mend: str | None = None) -> Finding:
    """Return that a check could not be made, and why."""
    return Finding(UNKNOWN, text, mend)
