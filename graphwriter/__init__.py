"""Keeps a Neo4j graph of Telegram posts up to date from a Redis stream."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphwriter.errors import BadEvent as BadEvent
    from graphwriter.errors import ConfigError as ConfigError
    from graphwriter.errors import DeadLetterLimit as DeadLetterLimit
    from graphwriter.errors import GraphwriterError as GraphwriterError
    from graphwriter.errors import Unavailable as Unavailable
    from graphwriter.events import PostParsedEventV1 as PostParsedEventV1
    from graphwriter.library import GraphWriter as GraphWriter
    from graphwriter.library import Neo4jClient as Neo4jClient
    from graphwriter.producers.publisher import EventPublisher as EventPublisher
    from graphwriter.producers.telethon import prepare_parsed_event as prepare_parsed_event

__version__ = "0.1.0"

# What the package offers, and where it lies: imported when asked for, so that a command's help does
# not wait for the drivers.
_HOMES = {
    "BadEvent": "errors",
    "ConfigError": "errors",
    "DeadLetterLimit": "errors",
    "EventPublisher": "producers.publisher",
    "GraphWriter": "library",
    "GraphwriterError": "errors",
    "Neo4jClient": "library",
    "PostParsedEventV1": "events",
    "Unavailable": "errors",
    "prepare_parsed_event": "producers.telethon",
}
__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"graphwriter.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'graphwriter' has no attribute {name!r}")
