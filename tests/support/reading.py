"""What a reader of exports gives, kept to be looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from graphwriter.errors import BadEvent, ConfigError


class Read:
    """Events, what was rejected where, counts and the error of one file."""

    def __init__(
        self, events: Callable[..., Iterator[dict[str, Any]]], path: Path, **options: Any
    ) -> None:
        self.events: list[dict[str, Any]] = []
        self.rejected: list[tuple[str, BadEvent]] = []
        self.counts: Counter[str] = Counter()
        self.error: ConfigError | None = None
        try:
            for event in events(
                path,
                rejected=lambda place, error: self.rejected.append((place, error)),
                counts=self.counts,
                **options,
            ):
                self.events.append(event)  # one by one: those before an error count
        except ConfigError as error:
            self.error = error

    @property
    def ids(self) -> list[int]:
        """The message ids, in the order of the file."""
        return [event["telegram_message_id"] for event in self.events]

    @property
    def by_id(self) -> dict[int, dict[str, Any]]:
        """The events by message id."""
        return {event["telegram_message_id"]: event for event in self.events}

    @property
    def reasons(self) -> list[str]:
        """Why what was rejected was."""
        return [error.reason for _, error in self.rejected]
