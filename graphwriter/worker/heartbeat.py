"""What a worker tells the outside: one small file, its heartbeat, and the lock on its name.

The file's time is the progress of the loop, never a timer's, so a stale one means a stuck worker;
systemd, where it started the worker, is told at the same moments.
Its content is what `status`, the exporter and the watchdog go by. It outlives its worker, whose
next one of this name goes on counting in it. The files lie in the run directory, which is ours
alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import msgspec

from graphwriter import files
from graphwriter.errors import NameTaken
from graphwriter.worker import runtime, systemd
from graphwriter.worker.counts import Count, Counts, Spreads

EVERY = 0.5  # seconds between two writes of the file at least, so that progress costs nothing
STOPPED = "stopped"  # what a worker does that ended in good order
KEPT = 64  # files of workers that are gone; what older ones counted is put together in one
TRACK, STEP = 6, 2.0  # places that a track keeps, and seconds between two at least
MARKS, APART = 3, 100.0  # and of the marks, which so reach back for up to five minutes


class State(msgspec.Struct):
    """A worker as its file tells; times in seconds since 1970, but for `clock`."""

    consumer: str
    stream: str
    group: str
    pid: Count
    started: float
    progress: float
    clock: float  # of the progress too, in seconds of this machine's monotonic clock
    doing: str
    counts: Counts  # since the start
    error: str | None = None  # why it waits or ended
    before: Counts = msgspec.field(default_factory=Counts)  # what earlier ones of its name counted
    last_error: tuple[float, str] | None = None  # when it was, and what
    track: list[tuple[float, int]] = []  # the last few times, and how many events were through then
    marks: list[tuple[float, Spreads]] = []  # the last few times, and what batches had taken then
    pool: Count | None = None  # how many workers its supervisor was told to keep
    born: str | None = None  # the start of the process, by which it is told from one of its number

    @property
    def total(self) -> Counts:
        """All that workers of this name have counted."""
        return self.before.plus(self.counts)

    @property
    def there(self) -> bool:
        """Whether its process is there, and no other that got its number."""
        born = runtime.born(self.pid)
        return born is not None and self.born in (None, born)

    def stuck(self, patience: float) -> bool:
        """Whether it has not got on for `patience` seconds, by a clock that nobody sets."""
        return time.monotonic() - self.clock >= patience

    def rate(self, now: float) -> float:
        """Events a second over the last ten seconds or so, up to `now`."""
        if not self.track or now <= self.track[0][0]:
            return 0.0
        since, done = self.track[0]
        return max(0, self.counts.done - done) / (now - since)

    @property
    def recent(self) -> Spreads:
        """What batches took in the last five minutes, or since the start."""
        spreads = Spreads.of(self.counts)
        return spreads.plus(self.marks[0][1], -1) if self.marks else spreads


def key(consumer: str, url: str, stream: str, group: str) -> str:
    """Return a file name for a consumer, so that a demo's does not meet production's."""
    where = repr((url, stream, group, consumer))
    shown = "".join(c if c.isalnum() or c in "-_." else "_" for c in consumer)[:60]
    return f"{shown}-{blake2b(where.encode(), digest_size=6).hexdigest()}"


class Heartbeat:
    """Writes a worker's `State` to its file, at most every half second unless `now`.

    What an earlier worker of the name left in it is taken over: the lock on the name must be held.
    """

    def __init__(self, path: Path, state: State) -> None:
        self.path, self.state = path, state
        self._last = 0.0
        self.left = 0.0  # when the earlier worker last got on
        if (left := _read(path)) is not None:
            self.left = left.progress
            state.before, state.last_error = left.total, left.last_error

    def beat(self, doing: str, *, now: bool = False) -> None:
        """Say that the loop got on, and what it does next."""
        moment = time.monotonic()
        if not now and moment - self._last < EVERY and doing == self.state.doing:
            return
        state = self.state
        self._last = state.clock = moment
        state.progress = time.time()
        state.doing = doing
        if state.error is not None:
            state.last_error = (state.progress, state.error)
        if not state.track or state.progress - state.track[-1][0] >= STEP:
            state.track = [*state.track[1 - TRACK :], (state.progress, state.counts.done)]
        if not state.marks or state.progress - state.marks[-1][0] >= APART:
            mark = state.progress, Spreads.of(state.counts)
            state.marks = [*state.marks[1 - MARKS :], mark]
        _write(self.path, state)
        systemd.tell(WATCHDOG=1, STATUS=doing)

    def end(self) -> None:
        """Say that this worker stopped in good order."""
        self.beat(STOPPED, now=True)


def _read(path: Path) -> State | None:
    try:
        return msgspec.json.decode(files.read(path), type=State)
    except (OSError, ValueError, RecursionError):
        return None  # just replaced, or no file of ours


def _write(path: Path, state: State) -> None:
    files.replace(path, msgspec.json.encode(state))


def read_all(directory: Path, *, stopped: bool = False) -> Iterator[State]:
    """Yield the state of every worker in `directory`, by name; of those `stopped` too if told."""
    for path in sorted(directory.glob("*.json")):
        state = _read(path)
        if state is not None and (stopped or state.doing != STOPPED):
            yield state


def newest(states: Iterable[State]) -> dict[str, State]:
    """Return one state a consumer, by name: one that was killed elsewhere may have left a file."""
    found: dict[str, State] = {}
    for one in states:
        known = found.get(one.consumer)
        if known is None or known.progress <= one.progress:
            found[one.consumer] = one
    return found


def tidy(directory: Path) -> None:
    """Put together what workers counted whose names are long gone, so that files do not pile up.

    Those are names that came once and never again; where they are few everything stays as it is.
    """
    ended = sorted(
        (state.progress, path)
        for path in directory.glob("*.json")
        if (state := _read(path)) is not None and state.consumer and not state.there
    )
    if len(ended) <= KEPT:
        return
    with suppress(NameTaken), files.Lock(directory / "tidy.lock"):
        for _, path in ended[:-KEPT]:
            with suppress(NameTaken), files.Lock(path.with_suffix(".lock")):
                _put_away(directory, path)


def _put_away(directory: Path, path: Path) -> None:
    if (state := _read(path)) is None:
        return
    earlier = directory / f"{key('', '', state.stream, state.group)}.json"
    both = _read(earlier) or State("", state.stream, state.group, 0, 0, 0, 0, STOPPED, Counts())
    both.before = both.before.plus(state.total)
    _write(earlier, both)  # who is killed after this line has them counted twice, but not lost
    path.unlink(missing_ok=True)


def kills(directory: Path) -> int:
    """Return how many stuck workers the watchdog of `directory` has ended."""
    try:
        return msgspec.json.decode(files.read(directory / "watchdog.kills"), type=Count)
    except (OSError, ValueError, RecursionError):
        return 0


def add_kills(directory: Path, number: int) -> None:
    """Count workers that were ended; by the watchdog alone."""
    files.replace(directory / "watchdog.kills", b"%d" % (kills(directory) + number))
