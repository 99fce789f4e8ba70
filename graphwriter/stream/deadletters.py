"""Dead letters: entries that can never be written, kept whole, with the reason."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from graphwriter.stream.client import Client, GroupGone, translated
from graphwriter.stream.consumer import Entry, tagged

# What a dead letter may be one for, as docs/contracts.md has it.
REASONS = [
    "not_json",
    "bad_utf8",
    "too_deep",
    "too_large",
    "schema_version",
    "missing_field",
    "wrong_type",
    "integer_range",
    "id_too_long",
    "self_link",
    "occurred_at",
    "tenant",
    "post_id_taken",
    "refused",
    "deliveries",
]
# A dead letter is the entry's own fields, untouched, and after them these, always all and in order.
FIELDS = (b"reason", b"error", b"source_id", b"deliveries", b"consumer", b"time")

# KEYS stream, dead; ARGV group, id, reason, error, consumer, time, the entry's fields as read.
# Added only where the entry is pending, and before XACK: a script that fails half-way is not rolled
# back. The fields are taken from the stream where they still are: a client's mapping has each name
# only once. More of them than Lua's stack holds (8000) are returned, and nothing is done.
_ADD = """
local waiting = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1)
if not waiting[1] then return 0 end
local found = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])
local fields = found[1] and found[1][2] or {}
if #fields == 0 then for i = 7, #ARGV do fields[#fields + 1] = ARGV[i] end end
for _, pair in ipairs({{'reason', ARGV[3]}, {'error', ARGV[4]}, {'source_id', ARGV[2]},
    {'deliveries', tostring(waiting[1][4])}, {'consumer', ARGV[5]}, {'time', ARGV[6]}}) do
  fields[#fields + 1] = 'dead.' .. pair[1]
  fields[#fields + 1] = pair[2]
end
if #fields > 6000 then return fields end
redis.call('XADD', KEYS[2], '*', unpack(fields))
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
return 1
"""

# KEYS stream, dead; ARGV the dead letter's id. Only what is still there goes back, and only once.
_REPLAY = """
local found = redis.call('XRANGE', KEYS[2], ARGV[1], ARGV[1])
if not found[1] then return 0 end
local fields = {}
for i = 1, #found[1][2] - 12 do fields[i] = found[1][2][i] end
if #fields > 6000 then return fields end
redis.call('XADD', KEYS[1], '*', unpack(fields))
redis.call('XDEL', KEYS[2], ARGV[1])
return 1
"""

# KEYS where an entry was just added, where it came from; ARGV the command that takes it from there.
# In one transaction with the adding: where the command finds nothing, the entry goes again.
_TAKE = """
local added = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local taken = redis.call(unpack(ARGV))
if taken == 0 then redis.call('XDEL', KEYS[1], added[1][1]) end
return taken
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
        """Keep `entry` as a dead letter and acknowledge it, both or neither.

        Does nothing where the entry is acknowledged already, or the group is gone: then the entry
        is not lost, it will be delivered again.
        """
        flat = [part for pair in entry.fields.items() for part in pair]
        said = [reason, error, self._consumer, f"{time.time():.3f}"]
        keys = [self._stream, self.name]
        with suppress(GroupGone), translated(self._client):
            done: Any = self._add(keys=keys, args=[self._group, entry.id, *said, *flat])
            if isinstance(done, list):
                self._move(
                    done, self.name, self._stream, "XACK", self._stream, self._group, entry.id
                )

    def _move(self, fields: list[bytes], to: str, source: str, *take: str | bytes) -> int:
        """Add more fields than a script can; return 0 where `take` had nothing to take."""
        pipe: Any = self._client.pipeline(transaction=True)
        pipe.execute_command("XADD", to, "*", *fields)
        pipe.eval(_TAKE, 2, to, source, *take)
        return int(pipe.execute()[1])

    def __len__(self) -> int:
        with translated(self._client):
            return int(self._client.xlen(self.name))

    def latest(self, count: int) -> tuple[DeadLetter, ...]:
        """Return the newest `count` dead letters, newest first."""
        with translated(self._client):
            rows: Any = self._client.xrevrange(self.name, count=count)
        return tuple(_letter(key, fields) for key, fields in rows)

    def list(
        self, reason: str | None = None, page: int = 100, after: str | None = None
    ) -> Iterator[DeadLetter]:
        """Yield the dead letters, oldest first, one a source id, `page` in memory at a time.

        `after` is the id of one that is passed over, with all before it.
        """
        seen: set[str] = set()
        start = "-" if after is None else f"({after}"
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
                one: Any = self._replay(keys=[self._stream, self.name], args=[letter.id])
                if isinstance(one, list):
                    one = self._move(one, self._stream, self.name, "XDEL", self.name, letter.id)
                done += one
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
