"""The errors of graphwriter, in families that decide what happens next, and their exit codes.

`BadEvent`: the event can never be written, however often it is tried, and becomes a dead letter.
`Unavailable`: an outage, which passes; the loop waits and retries, and acknowledges nothing
meanwhile. `ConfigError`: a person has to change something; the process exits with its own code.
"""

from __future__ import annotations


class GraphwriterError(Exception):
    """Base of all errors that graphwriter raises. The text is one line for people."""


class BadEvent(GraphwriterError):
    """Raised when an event can never be written.

    `reason` is a word to group by, such as `wrong_type`; `message` names the field, the value and
    what was expected.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


class Unavailable(GraphwriterError):
    """Raised when a server does not answer, or takes no requests now: retry later."""


class TooBig(GraphwriterError):
    """Raised when a batch is too big for Neo4j: write it in halves."""


class ConfigError(GraphwriterError):
    """Raised when a person has to change a setting, a file or a server's set-up."""


class DeadLetterLimit(GraphwriterError):
    """Raised when so many events are refused that the producer must be wrong."""


class NameTaken(GraphwriterError):
    """Raised when another process uses this consumer name, run directory or data."""


class NotFound(GraphwriterError):
    """Raised when the graph does not have what a question names, or the name is not understood."""


# Exit codes of all commands; from sysexits.h where one fits.
EXIT_OK = 0
EXIT_FAILED = 1  # a negative result, or an unexpected error with its traceback
EXIT_USAGE = 2  # by click: a wrong option or argument
EXIT_DIFFERENT = 3  # verify found differences, as opposed to not having checked
EXIT_LEFT_OUT = 65  # an import left out messages that it could not read
EXIT_DEAD_LETTER_LIMIT = 65  # supervisord leaves the worker stopped
EXIT_UNAVAILABLE = 69  # a server that a command needs does not answer (workers wait)
EXIT_NAME_TAKEN = 75  # another process uses the consumer name, run directory or data
EXIT_CONFIG = 78  # supervisord leaves the worker stopped


def exit_code(error: GraphwriterError) -> int:
    """Return the exit code of a command that ends with `error`."""
    for family, code in (
        (ConfigError, EXIT_CONFIG),
        (Unavailable, EXIT_UNAVAILABLE),
        (DeadLetterLimit, EXIT_DEAD_LETTER_LIMIT),
        (NameTaken, EXIT_NAME_TAKEN),
    ):
        if isinstance(error, family):
            return code
    return EXIT_FAILED
