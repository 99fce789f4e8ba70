"""The Redis side: the only place that knows the client.

Keys, for the stream `s` and the group `g`:

    s                    stream  the events, as producers add them
    {s}:dead             stream  entries that can never be written, with the reason (`deadletters`)
    {s}:tries:g          hash    entry id -> how often it was tried alone; only for entries that
                                 came back more than once, gone when they are done
"""

from __future__ import annotations

from graphwriter.stream.client import connect
from graphwriter.stream.consumer import Entry, Stream
from graphwriter.stream.deadletters import DeadLetter, DeadLetters

__all__ = ["DeadLetter", "DeadLetters", "Entry", "Stream", "connect"]
