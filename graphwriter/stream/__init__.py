"""Redis or Valkey: the only room that knows the client. All scripts are in *.lua.

Keys, for the stream `s` and the group `g`:

    s                    stream  the events, as producers add them
    {s}:dead             stream  entries that can never be written, with the reason (`deadletters`)
    {s}:tries:g          hash    entry id -> number of tries alone; only for entries that were
                                 delivered too often, deleted when they are done
"""

from __future__ import annotations

from graphwriter.stream.client import connect
from graphwriter.stream.consumer import Stream
from graphwriter.stream.deadletters import DeadLetter, DeadLetters
from graphwriter.stream.entry import Entry

__all__ = ["DeadLetter", "DeadLetters", "Entry", "Stream", "connect"]
