"""Sources of events: a Telegram Desktop export, a Telethon dump, Telegram, JSON lines, the demo.

Another service publishes its own events with `EventPublisher`; `prepare_parsed_event` converts a
Telethon message. Both are imported on first use: reading a file needs no driver.

To add an import format, write a file here with a function `events(path, *, tenant, rejected,
counts, account)` that yields events of form (a), as `desktop.py` does: `JsonFile` reads large JSON
files, `identity` makes the required fields. Then add a command beside `desktop` in cli/imports.py,
and name the format in `foreign.py`, by which the other imports say what a wrong file is.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphwriter.producers.publisher import EventPublisher as EventPublisher
    from graphwriter.producers.telethon import prepare_parsed_event as prepare_parsed_event

_HOMES = {"EventPublisher": "publisher", "prepare_parsed_event": "telethon"}
__all__ = ["EventPublisher", "prepare_parsed_event"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"graphwriter.producers.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'graphwriter.producers' has no attribute {name!r}")
