"""Dead letters: entries that can never be written, kept whole, with the reason."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from graphwriter.stream.client import Client, translated
from graphwriter.stream.consumer import Entry, tagged

# A dead letter is the entry's own fields, untouched, and after them these, always all and in order.
FIELDS = (b"reason", b"error", b"source_id", b"deliveries", b"consumer", b"time")
UNPACK = 3000  # fields of an entry that Lua can put on its stack with room to spare

# KEYS stream, dead; ARGV group, id, reason, error, consumer, time, the entry's fields as read.
# Added only where XACK removed the entry, so that one entry gives one dead letter. The fields are
# taken from the stream where they still are: a client's mapping has each name only once.
_ADD = """
local waiting = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1)
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
local found = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])
local fields = found[1] and found[1][2] or {}
if #fields == 0 then for i = 7, #ARGV do fields[#fields + 1] = ARGV[i] end end
local deliveries = waiting[1] and waiting[1][4] or 1
for _, pair in ipairs({{'reason', ARGV[3]}, {'error', ARGV[4]}, {'source_id', ARGV[2]},
    {'deliveries', tostring(deliveries)}, {'consumer', ARGV[5]}, {'time', ARGV[6]}}) do
  fields[#fields + 1] = 'dead.' .. pair[1]
  fields[#fields + 1] = pair[2]
end
redis.call('XADD', KEYS[2], '*', unpack(fields))
return 1
"""

# KEYS stream, dead; ARGV the dead letter's id. Only what is still there goes back, and only once.
_REPLAY = """
local found = redis.call('XRANGE', KEYS[2], ARGV[1], ARGV[1])
if not found[1] then return 0 end
local fields = {}
for i = 1, #found[1][2] - 12 do fields[i] = found[1][2][i] end
redis.call('XADD', KEYS[1], '*', unpack(fields))
redis.call('XDEL', KEYS[2], ARGV[1])
return 1
"""


class DeadLetter(NamedTuple):
    """One dead letter: `fields` are the entry's own; `time` is in seconds since 1970."""

    id: str
    source_id: str
    reason: str
    error: str
    deliveries: int
    consumer: str
    time: float
    fields: dict[bytes, bytes]


class DeadLetters:
    """The dead letters of one stream. Errors and blocking are those of `Stream`."""

    def __init__(self, client: Client, stream: str, group: str, consumer: str = "") -> None:
        self._client, self._stream = client, stream
        self._group, self._consumer = group, consumer
        self.name = f"{tagged(stream)}:dead"
        self._add = client.register_script(_ADD)
        self._replay = client.register_script(_REPLAY)

    def add(self, entry: Entry, reason: str, error: str) -> None:
        """Keep `entry` as a dead letter and acknowledge it, both or neither."""
        now = f"{time.time():.3f}"
        with translated(self._client):
            if len(entry.fields) > UNPACK:
                self._add_wide(entry, reason, error, now)
                return
            flat = [part for pair in entry.fields.items() for part in pair]
            self._add(
                keys=[self._stream, self.name],
                args=[self._group, entry.id, reason, error, self._consumer, now, *flat],
            )

    def _add_wide(self, entry: Entry, reason: str, error: str, now: str) -> None:
        # More fields than a script can pass on. A worker that was overtaken may add it twice.
        values = (reason, error, entry.id, entry.deliveries, self._consumer, now)
        dead = {b"dead." + name: value for name, value in zip(FIELDS, values, strict=True)}
        pipe = self._client.pipeline(transaction=True)
        pipe.xadd(self.name, {**entry.fields, **dead})  # type: ignore[dict-item]
        pipe.xack(self._stream, self._group, entry.id)
        pipe.execute()

    def __len__(self) -> int:
        with translated(self._client):
            return int(self._client.xlen(self.name))

    def list(self, reason: str | None = None, page: int = 100) -> Iterator[DeadLetter]:
        """Yield the dead letters, oldest first, one a source id, `page` in memory at a time."""
        seen: set[str] = set()
        start = "-"
        while True:
            with translated(self._client):
                rows: Any = self._client.xrange(self.name, start, "+", count=page)
            for key, fields in rows:
                letter = _letter(key, fields)
                if letter.source_id not in seen and reason in (None, letter.reason):
                    seen.add(letter.source_id)
                    yield letter
            if len(rows) < page:
                return
            start = f"({rows[-1][0].decode()}"

    def replay(self, letters: Iterable[DeadLetter]) -> int:
        """Put the entries of `letters` back at the end of the stream; return how many were.

        A letter that another replay took is left out, so running twice at once is safe.
        """
        done = 0
        for letter in letters:
            with translated(self._client):
                if len(letter.fields) > UNPACK:
                    pipe = self._client.pipeline(transaction=True)
                    pipe.xadd(self._stream, letter.fields)  # type: ignore[arg-type]
                    pipe.xdel(self.name, letter.id)
                    done += pipe.execute()[1]
                else:
                    done += self._replay(keys=[self._stream, self.name], args=[letter.id])
        return done

    def purge(self, letters: Iterable[DeadLetter]) -> int:
        """Delete `letters` for good; return how many were there."""
        with translated(self._client):
            return sum(int(self._client.xdel(self.name, letter.id)) for letter in letters)


def _letter(key: bytes, fields: dict[bytes, bytes]) -> DeadLetter:
    own = dict(fields)
    dead = [own.pop(b"dead." + name, b"").decode(errors="replace") for name in FIELDS]
    reason, error, source_id, deliveries, consumer, when = dead
    try:
        number, moment = int(deliveries or 0), float(when or 0)
    except ValueError:
        number, moment = 0, 0.0  # somebody else added it: show it, as far as it goes
    return DeadLetter(key.decode(), source_id, reason, error, number, consumer, moment, own)


class Limit:
    """Notices that so many entries end as dead letters that the producer must be wrong."""

    def __init__(self, share: float = 0.5, least: int = 1000, window: float = 300.0) -> None:
        self.share, self.least, self.window = share, least, window
        self._batches: deque[tuple[float, int, int]] = deque()
        self._entries = self._dead = 0

    def exceeded(self, entries: int, dead: int, now: float) -> bool:
        """Count a batch at `now` (monotonic seconds); return whether the limit is passed."""
        self._batches.append((now, entries, dead))
        self._entries += entries
        self._dead += dead
        while self._batches and self._batches[0][0] < now - self.window:
            _, old_entries, old_dead = self._batches.popleft()
            self._entries -= old_entries
            self._dead -= old_dead
        return self._entries >= self.least and self._dead > self.share * self._entries
