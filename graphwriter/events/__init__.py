"""What an event is: its two forms on the wire, and what it means. Pure."""

from __future__ import annotations

from graphwriter.events.facets import (
    Address,
    Author,
    Endpoint,
    Event,
    Forward,
    Links,
    Media,
    Post,
    Reply,
    day,
    decode,
    digest,
    from_values,
    latest,
    normalise,
)
from graphwriter.events.wire import PostParsedEventV1

__all__ = [
    "Address",
    "Author",
    "Endpoint",
    "Event",
    "Forward",
    "Links",
    "Media",
    "Post",
    "PostParsedEventV1",
    "Reply",
    "day",
    "decode",
    "digest",
    "from_values",
    "latest",
    "normalise",
]
