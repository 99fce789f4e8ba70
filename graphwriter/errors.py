"""What can go wrong, in the two families that the loop treats differently, plus configuration.

`BadEvent` is never right however often it is tried: it ends as a dead letter. `Unavailable` passes
by itself: the loop waits and tries again, and nothing is acknowledged meanwhile. `ConfigError` is
for a person to mend: the process ends with an exit code of its own.
"""

from __future__ import annotations


class GraphwriterError(Exception):
    """Base of every error that graphwriter raises on purpose. Its text is one line for a person."""


class BadEvent(GraphwriterError):
    """Raised when an event can never be written, with a `reason` to group by and the details.

    The reason is one lower-case word with underscores, such as `wrong_type`; the message names the
    field, the value and the way out.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


class Unavailable(GraphwriterError):
    """Raised when a server does not answer, or refuses for now: try again later."""


class TooBig(GraphwriterError):
    """Raised when Neo4j cannot carry a batch of this size: write it in halves."""


class ConfigError(GraphwriterError):
    """Raised when a setting, a file or a server's set-up has to be mended by a person."""


class DeadLetterLimit(GraphwriterError):
    """Raised when so much is refused that the producer, not the event, must be wrong."""


class NameTaken(GraphwriterError):
    """Raised when another process has this consumer name, this run directory or this data."""


# Exit codes of every command, after sysexits.h where it has one that fits.
EXIT_OK = 0
EXIT_FAILED = 1  # the command ran and the answer is no, or an unexpected error with its traceback
EXIT_USAGE = 2  # click's own: an option or argument is wrong
EXIT_DIFFERENT = 3  # an audit found differences, which is another thing than not having looked
EXIT_DEAD_LETTER_LIMIT = 65  # supervisord leaves the worker stopped
EXIT_UNAVAILABLE = 69  # a server a command needs does not answer (workers wait instead)
EXIT_NAME_TAKEN = 75  # another process holds the consumer name, the run directory or the data
EXIT_CONFIG = 78  # supervisord leaves the worker stopped


def exit_code(error: GraphwriterError) -> int:
    """Return the exit code that a command ends with after `error`."""
    for family, code in (
        (ConfigError, EXIT_CONFIG),
        (Unavailable, EXIT_UNAVAILABLE),
        (DeadLetterLimit, EXIT_DEAD_LETTER_LIMIT),
        (NameTaken, EXIT_NAME_TAKEN),
    ):
        if isinstance(error, family):
            return code
    return EXIT_FAILED
