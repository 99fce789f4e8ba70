"""Redis or Valkey: the only room that knows the client. All scripts are in *.lua.

`Stream` is a consumer of one stream, `Streams` of several; `consumer_of` makes the one that a
setting asks for.

Keys, for the stream `s` and the group `g`:

    s                    stream  the events, as producers add them
    {s}:dead             stream  entries that can never be written, with the reason (`deadletters`)
    {s}:tries:g          hash    entry id -> number of tries alone; only for entries that were
                                 delivered too often, deleted when they are done
    {s}:paused:g         string  since when, by whom and why the group is paused; only while it is
"""

from __future__ import annotations

from graphwriter.stream.client import connect
from graphwriter.stream.consumer import Stream
from graphwriter.stream.deadletters import DeadLetter, DeadLetters
from graphwriter.stream.entry import Entry
from graphwriter.stream.streams import Streams, consumer_of

__all__ = [
    "DeadLetter",
    "DeadLetters",
    "Entry",
    "Stream",
    "Streams",
    "connect",
    "consumer_of",
]
