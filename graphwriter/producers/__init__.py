"""Where events come from: an export, a dump, Telegram, a file of lines, a made-up stream.

Another service publishes its own with `EventPublisher`; `prepare_parsed_event` makes an event of a
Telethon message. Both are imported when asked for: reading a file needs no driver.
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
