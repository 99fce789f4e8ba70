"""A generated stream of posts with the properties of real ones, so that a demo needs no data.

Chats of very unequal size, forwards to popular sources and between the chats, replies also to what
comes later or never, threads, signatures, edits that move or clear links, repeated and late
entries, both wire forms, and entries that are broken on purpose.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

from graphwriter.producers.demo.entries import BROKEN, Fields, form_a, form_b
from graphwriter.producers.demo.world import STEP, Event, World

BROKEN_EVERY, BROKEN_AT = 250, 180  # every 250th entry is broken, the one at position 180 first
REPEATABLE = 300  # entries that may come once more


def expected_dead(count: int) -> Counter[str]:
    """Return how many of `count` entries a worker refuses, by its reason."""
    number = len(range(BROKEN_AT, count, BROKEN_EVERY))
    return Counter(BROKEN[n % len(BROKEN)][0] for n in range(number))


def events(count: int, seed: int = 1, start: datetime | None = None) -> Iterator[Fields]:
    """Yield the entries of `Demo`, for whom the counts do not matter."""
    return iter(Demo(count, seed, start))


class Demo:
    """`count` entries, the same for the same `count`, `seed` and `start`, as fields for XADD.

    Without `start` the stream ends about now; a `start` without a zone is UTC. Each iteration
    starts again. `planted` counts what the last one has generated so far: `posts` (each once),
    `edits`, `moved`, `cleared`, `repeated`, `late` and `broken`. Every post is in at least one
    valid entry, so after the whole stream the graph has exactly `posts` posts.
    """

    def __init__(self, count: int, seed: int = 1, start: datetime | None = None) -> None:
        self.count = count
        self.planted: Counter[str] = Counter()
        self._seed = seed
        start = start or datetime.now(UTC) - timedelta(seconds=count * STEP)
        self._start = start if start.tzinfo else start.replace(tzinfo=UTC)

    def __iter__(self) -> Iterator[Fields]:
        self.planted = Counter()
        random = Random(self._seed)  # noqa: S311 - it is to be the same again, not secret
        world = World(random, self.count, self.planted)
        repeatable: deque[Fields] = deque(maxlen=REPEATABLE)
        late: deque[tuple[int, Fields]] = deque()  # by the position from which they are due
        for position in range(self.count):
            now = self._start + timedelta(seconds=position * STEP)
            if position % BROKEN_EVERY == BROKEN_AT:
                self.planted["broken"] += 1
                kind = BROKEN[position // BROKEN_EVERY % len(BROKEN)]
                yield kind[1](world.post(now, keep=False))
                continue
            if late and (late[0][0] <= position or len(late) >= self._left(position)):
                fields = late.popleft()[1]
            elif repeatable and random.random() < 0.02:
                self.planted["repeated"] += 1
                fields = random.choice(repeatable)
            else:
                fields = self._wire(random, world.next(now))
                while random.random() < 0.03 and len(late) + 1 < self._left(position):
                    self.planted["late"] += 1
                    late.append((position + 150, fields))
                    fields = self._wire(random, world.next(now))
            repeatable.append(fields)
            yield fields

    def _left(self, position: int) -> int:
        """Return how many entries from `position` on are not broken: room for the late ones."""
        ends = range(BROKEN_AT, self.count, BROKEN_EVERY)
        before = len(range(BROKEN_AT, position, BROKEN_EVERY))
        return self.count - position - (len(ends) - before)

    def _wire(self, random: Random, event: Event) -> Fields:
        return form_b(event) if random.random() < 0.3 else form_a(event)
