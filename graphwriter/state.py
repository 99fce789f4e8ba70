"""What a worker tells the outside: one small file, its heartbeat, and the lock on its name.

The file's time is the progress of the loop, never a timer's, so a stale one means a stuck worker.
Its content is what `status` and the watchdog show. Both files lie in the run directory, which is
ours alone.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

import msgspec

from graphwriter.errors import ConfigError, NameTaken

EVERY = 0.5  # seconds between two writes of the file at least, so that progress costs nothing


class Counts(msgspec.Struct):
    """What a worker has done since its start."""

    entries: int = 0
    written: int = 0
    unchanged: int = 0
    dead: int = 0
    lost: int = 0  # trimmed or deleted from the stream before they were written
    claimed: int = 0
    batches: int = 0
    retries: int = 0
    regrouped: int = 0


class State(msgspec.Struct):
    """A worker as its file tells; times in seconds since 1970, but for `clock`."""

    consumer: str
    stream: str
    group: str
    pid: int
    started: float
    progress: float
    clock: float  # of the progress too, in seconds of this machine's monotonic clock
    doing: str
    counts: Counts
    error: str | None = None


def key(consumer: str, url: str, stream: str, group: str) -> str:
    """Return a file name for a consumer, so that a demo's does not meet production's."""
    where = repr((url, stream, group, consumer))
    shown = "".join(c if c.isalnum() or c in "-_." else "_" for c in consumer)[:60]
    return f"{shown}-{blake2b(where.encode(), digest_size=6).hexdigest()}"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def alive(pid: int) -> bool:
    """Return whether there is a process `pid` on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it is another user's
    return True


class Lock:
    """The lock on a consumer name: two workers of one name would handle the same entries twice.

    With `refusal` it may be one on something else: the text says what the process that holds it,
    {pid}, does with it, and what a person can do.
    """

    def __init__(self, path: Path, refusal: str | None = None) -> None:
        self.path = path
        self._refusal = refusal or (
            f"process {{pid}} already works under this consumer name ({path.name}): "
            "end it, or choose another --consumer-name"
        )
        self._file: int | None = None

    def take(self, wait: float = 0.0) -> None:
        """Take the lock, waiting up to `wait` seconds; it goes with the process.

        Raises:
            NameTaken: another process holds it.
            ConfigError: its file cannot be opened, or is a link.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            file = os.open(self.path, flags, 0o600)
        except OSError as error:
            raise ConfigError(f"lock file {self.path}: {error.strerror}") from None
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if time.monotonic() < deadline:
                    time.sleep(0.1)
                    continue
                holder = os.read(file, 32).decode(errors="replace").strip() or "unknown"
                os.close(file)
                raise NameTaken(self._refusal.replace("{pid}", holder)) from None
            self._file = file
            self._name(os.getpid())
            return

    @property
    def descriptor(self) -> int:
        """The lock's file, for a child that is to hold the lock too."""
        assert self._file is not None
        return self._file

    def hand_over(self, pid: int) -> None:
        """Let a child that was given the descriptor hold the lock alone, until it ends."""
        self._name(pid)
        self.release()

    def _name(self, pid: int) -> None:
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, str(pid).encode(), 0)

    def release(self) -> None:
        """Give the lock back. Safe to call twice."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class Heartbeat:
    """Writes a worker's `State` to its file, at most every half second unless `now`."""

    def __init__(self, path: Path, state: State) -> None:
        self.path, self.state = path, state
        self._last = 0.0

    def beat(self, doing: str, *, now: bool = False) -> None:
        """Say that the loop got on, and what it does next."""
        moment = time.monotonic()
        if not now and moment - self._last < EVERY and doing == self.state.doing:
            return
        self._last = self.state.clock = moment
        self.state.progress = time.time()
        self.state.doing = doing
        beside = self.path.with_suffix(f".{os.getpid()}")
        beside.unlink(missing_ok=True)  # a link there would lead us to another file
        with open(beside, "xb", opener=_private) as file:
            file.write(msgspec.json.encode(self.state))
        beside.replace(self.path)

    def end(self) -> None:
        """Remove the file: this worker stopped in good order."""
        self.path.unlink(missing_ok=True)


def read_all(directory: Path) -> Iterator[State]:
    """Yield the state of every worker that has a file in `directory`, by name."""
    for path in sorted(directory.glob("*.json")):
        try:
            yield msgspec.json.decode(path.read_bytes(), type=State)
        except (OSError, msgspec.MsgspecError):
            continue  # just removed, or no file of ours
