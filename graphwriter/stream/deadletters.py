"""Dead letters: entries that can never be written, kept complete and with the reason."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from graphwriter.partitions import tagged
from graphwriter.stream.client import Client, GroupGone, script, translated
from graphwriter.stream.entry import Entry

# Every dead-letter reason; documented in docs/contracts.md.
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
# A dead letter has the entry's fields, unchanged, followed by all of these with the prefix `dead.`.
FIELDS = (b"reason", b"error", b"source_id", b"deliveries", b"consumer", b"time")


class DeadLetter(NamedTuple):
    """One dead letter: `fields` are those of the entry; `time` is in seconds since 1970."""

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
        self._client, self.stream = client, stream
        self._group, self._consumer = group, consumer
        self.name = f"{tagged(stream)}:dead"
        self._add = client.register_script(script("bury"))
        self._replay = client.register_script(script("replay"))

    def add(self, entry: Entry, reason: str, error: str) -> None:
        """Keep `entry` as a dead letter and acknowledge it: both or neither.

        Does nothing if the entry is acknowledged already, or if the group was deleted: then the
        entry is not lost but will be delivered again.
        """
        flat = [part for pair in entry.fields.items() for part in pair]
        details = [reason, error, self._consumer, f"{time.time():.3f}"]
        keys = [self.stream, self.name]
        with suppress(GroupGone), translated(self._client):
            done: Any = self._add(keys=keys, args=[self._group, entry.id, *details, *flat])
            if isinstance(done, list):
                self._move(done, self.name, self.stream, "XACK", self.stream, self._group, entry.id)

    def _move(self, fields: list[bytes], to: str, source: str, *take: str | bytes) -> int:
        """Add more fields than a script can; return 0 if `take` removed nothing."""
        pipe: Any = self._client.pipeline(transaction=True)
        pipe.execute_command("XADD", to, "*", *fields)
        pipe.eval(script("take"), 2, to, source, *take)
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
        """Yield the dead letters, oldest first, one per source id, `page` in memory at a time.

        `after` skips the dead letter with this id and all before it.
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
        """Put the entries of `letters` back at the end of the stream; return how many.

        A letter that another replay took is skipped, so two replays at the same time are safe.
        """
        done = 0
        for letter in letters:
            with translated(self._client):
                one: Any = self._replay(keys=[self.stream, self.name], args=[letter.id])
                if isinstance(one, list):
                    one = self._move(one, self.stream, self.name, "XDEL", self.name, letter.id)
                done += one
        return done

    def purge(self, letters: Iterable[DeadLetter]) -> int:
        """Delete `letters`; return how many existed."""
        with translated(self._client):
            return sum(int(self._client.xdel(self.name, letter.id)) for letter in letters)


def _letter(key: bytes, fields: dict[bytes, bytes]) -> DeadLetter:
    own = dict(fields)
    dead = [own.pop(b"dead." + name, b"").decode(errors="replace") for name in FIELDS]
    reason, error, source_id, deliveries, consumer, when = dead
    try:
        number, moment = int(deliveries or 0), float(when or 0)
    except ValueError:
        number, moment = 0, 0.0  # another program added it: show what it has
    return DeadLetter(key.decode(), source_id, reason, error, number, consumer, moment, own)


class Limit:
    """Detects that so many entries become dead letters that the producer must be wrong.

    The limit is passed when at least `least` entries were handled in the last `window` seconds and
    more than `share` of them became dead letters.
    """

    def __init__(self, share: float = 0.5, least: int = 1000, window: float = 300.0) -> None:
        self.share, self.least, self.window = share, least, window
        self._batches: deque[tuple[float, int, int]] = deque()
        self._entries = self._dead = 0

    def exceeded(self, entries: int, dead: int, now: float) -> bool:
        """Count a batch at `now` (monotonic seconds); return whether the limit is exceeded."""
        self._batches.append((now, entries, dead))
        self._entries += entries
        self._dead += dead
        while self._batches and self._batches[0][0] < now - self.window:
            _, old_entries, old_dead = self._batches.popleft()
            self._entries -= old_entries
            self._dead -= old_dead
        return self._entries >= self.least and self._dead > self.share * self._entries
