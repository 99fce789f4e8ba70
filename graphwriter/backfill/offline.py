"""A first load: posts as files for Neo4j's own import, which fills an empty database at once.

The parent hands out tasks; the processes (`sorting.py`) spread the events over buckets by address,
fold each bucket and write the tables. `DIRECTORY/tables` appears when all of them are complete.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from graphwriter import files
from graphwriter.backfill import tables
from graphwriter.backfill.backfill import LOGGED_REJECTS, parts_of, source
from graphwriter.backfill.pool import Pool, Task
from graphwriter.backfill.processes import FIRST_PAUSE, LONGEST_PAUSE
from graphwriter.backfill.rows import Reject, append_rejects
from graphwriter.backfill.sorting import (
    KEYS,
    Claim,
    Folded,
    Merged,
    Plan,
    Read,
    Sorting,
    numbered,
)
from graphwriter.backoff import Backoff
from graphwriter.config import Config
from graphwriter.database import Database, Part, Selection
from graphwriter.errors import ConfigError, Unavailable
from graphwriter.events import Address
from graphwriter.files import Lock
from graphwriter.keep import Keep
from graphwriter.producers import lines
from graphwriter.text import size

PART = 20_000  # posts of one part
LINES = 1_000  # lines of a file in one task
BUCKET = 16_384  # posts of a bucket, which one process holds in memory
BUCKET_BYTES = 8 << 20  # the same of a file whose events are not counted
UNKNOWN = 256  # buckets for standard input, of any length
MOST_BUCKETS = 4_096
POST_BYTES = 2_000  # on the disk for a post: its event, its lines, and the database of the import
UNFINISHED, FINISHED, MANIFEST = "unfinished", "tables", "load.json"
TAKEN = "post_id_taken"

log = logging.getLogger("graphwriter")


class Load(msgspec.Struct):
    """What the tables have, saved beside them."""

    text: bool
    links: bool
    media: bool
    albums: bool
    read: int = 0
    rejected: int = 0
    lines: dict[str, int] = {}  # by table; msgspec copies the default
    multiline: bool = False  # some text has a line feed
    seconds: float = 0.0

    @property
    def keep(self) -> Keep:
        """What the graph keeps."""
        return Keep(self.text, self.links, self.media, self.albums)


class Source(NamedTuple):
    """What is loaded: the posts of a selection, or those of `ids`; or the events of `files`."""

    selection: Selection
    ids: Path | None = None
    files: tuple[Path, ...] = ()


class Offline:
    """The tables of an offline load in `directory`.

    `write` blocks until they are complete or `stop` was called. A PostgreSQL that stops answering
    is waited for.
    """

    def __init__(self, config: Config, found: Source, directory: Path) -> None:
        self._config, self._source = config, found
        self.directory = directory.absolute()
        self.tables = self.directory / FINISHED
        self._folder = self.directory / UNFINISHED
        self._lock = Lock(
            self.directory / "lock",
            f"process {{pid}} already writes to {self.directory}: wait until it ends",
        )
        self._stopping = False
        self._load = Load(*config.keep)
        self._show: Callable[[str, int, int], None] = lambda *_: None

    @property
    def rejects(self) -> Path:
        """The file of rejects, which exists if there are some."""
        return self.directory / "rejects.jsonl"

    def stop(self) -> None:
        """Make `write` return after the current tasks. Only sets a flag: safe in a handler."""
        self._stopping = True

    def finished(self) -> Load | None:
        """Return what the tables have, if they are complete.

        Raises:
            ConfigError: the directory has something else, or cannot be used.
        """
        if "," in str(self.directory):
            raise ConfigError(
                f"--offline {self.directory}: Neo4j's import takes no path with a comma"
            )
        files.directory(self.directory, "--offline")
        try:
            return msgspec.json.decode(files.read(self.tables / MANIFEST), type=Load)
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            raise ConfigError(f"--offline {self.tables / MANIFEST}: {error}") from None
        known = {UNFINISHED, "lock", self.rejects.name}
        if others := sorted({one.name for one in self.directory.iterdir()} - known):
            raise ConfigError(
                f"--offline {self.directory} has other files ({others[0]}): give an empty directory"
            )
        return None

    def write(self, show: Callable[[str, int, int], None] = lambda *_: None) -> Load | None:
        """Write the tables; None if it was stopped, and then nothing of them is left.

        `show` is called with what is done, how many, and of how many.

        Raises:
            Unavailable: PostgreSQL does not answer at the start, or a process was killed.
            ConfigError: a setting, the query or a file has to be changed; or the disk is full.
            NameTaken: another process writes to the directory.
        """
        self._show = show
        start = time.monotonic()
        files.directory(self.directory, "--offline")
        with self._lock:
            try:
                self._empty()
                done = self._write()
                if done:
                    self._load.seconds = round(time.monotonic() - start, 3)
                    self._complete()
            except OSError as error:
                raise ConfigError(f"--offline {error.filename}: {error.strerror}") from None
            finally:
                shutil.rmtree(self._folder, ignore_errors=True)
        return self._load if done else None

    def _empty(self) -> None:
        """Delete what a killed run has left."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self.rejects.unlink(missing_ok=True)
        (self._folder / FINISHED).mkdir(parents=True, mode=0o700)

    def _write(self) -> bool:
        if self._source.files:
            buckets, total = self._buckets_of_files(), 0
            return self._sorted(Plan(self._config, None, self._folder, buckets), total, None)
        with Database(source(self._config), self._source.selection, self._config.keep) as database:
            database.check()
            total = database.count() if self._source.ids is None else 0
            self._check_disk(total * POST_BYTES)
            buckets = self._many(total / BUCKET) if self._source.ids is None else UNKNOWN
            plan = Plan(self._config, self._source.selection, self._folder, buckets)
            return self._sorted(plan, total, database)

    def _sorted(self, plan: Plan, total: int, database: Database | None) -> bool:
        """Run the stages; return whether they have all been completed."""
        with Pool(self._config.workers, Sorting, plan) as pool:
            if database is None:
                self._spread(pool)
            else:
                self._read(pool, _Parts(database, self._source.ids), total)
            list(pool.each(Task("flush")))
            lost: dict[Address, Claim] = {}
            while not self._stopping:
                self._fold(pool, plan, lost)
                claims = self._each_bucket(pool, "claims", plan.buckets)
                new = {claim.address: claim for found in claims for claim in found}
                if not new:
                    break
                self._add_rejects(map(_taken, new.values()))
                lost |= new
            for merged in self._each_bucket(pool, "merge", plan.buckets):
                self._add(merged)
            list(pool.each(Task("close")))
        return not self._stopping

    def _read(self, pool: Pool, parts: _Parts, total: int) -> None:
        """Spread the rows of PostgreSQL."""
        for found in pool.run(parts.tasks(self._stopped), self._stopped):
            parts.ended(found)
            self._load.read += found.read
            self._add_rejects(found.rejects)
            self._show("reading", self._load.read, total)

    def _spread(self, pool: Pool) -> None:
        """Spread the lines of the files of events."""
        for found in pool.run(self._lines(), self._stopped):
            self._load.read += found.read
            self._show("reading", self._load.read, 0)

    def _lines(self) -> Iterator[Task]:
        for place, file in enumerate(self._source.files, 1):
            for some in numbered(lines.checked(file), LINES):
                yield Task("spread", (str(place), some))

    def _fold(self, pool: Pool, plan: Plan, lost: dict[Address, Claim]) -> None:
        """Write the tables, but for the other ends of links; again if `lost` was found since."""
        for name in KEYS:
            for file in plan.folder.glob(f"{name}-*"):
                file.unlink()
        list(pool.each(Task("start")))
        self._load.lines, done = {}, 0
        gone = frozenset(lost)
        tasks = (Task("fold", (bucket, gone)) for bucket in range(plan.buckets))
        for found in pool.run(tasks, self._stopped):
            self._add(found)
            if not lost:
                self._add_rejects(found.rejects)
            done += found.events
            self._show("sorting", done, self._load.read)
        list(pool.each(Task("end")))

    def _each_bucket(self, pool: Pool, method: str, buckets: int) -> Iterator[Any]:
        tasks = (Task(method, (bucket,)) for bucket in range(buckets))
        return pool.run(tasks, self._stopped)

    def _stopped(self) -> bool:
        return self._stopping

    def _add(self, found: Folded | Merged) -> None:
        lines = self._load.lines
        for name, number in found.lines.items():
            lines[name] = lines.get(name, 0) + number
        self._load.multiline |= found.multiline

    def _add_rejects(self, found: Iterable[Reject]) -> None:
        """Add to the rejects file, the log and the count."""
        rejects = [self._placed(reject) for reject in found]
        for reject in rejects[: max(0, LOGGED_REJECTS - self._load.rejected)]:
            log.warning("post %s is left out: %s: %s", *reject)
        append_rejects(self.rejects, rejects)
        self._load.rejected += len(rejects)

    def _placed(self, reject: Reject) -> Reject:
        """Return a reject of a file with the name of the file."""
        if not self._source.files or reject.reason == TAKEN:
            return reject
        file, _, line = reject.id.partition(":")
        return reject._replace(id=f"{self._source.files[int(file) - 1]}, line {line}")

    def _complete(self) -> None:
        """Write the headers and the manifest, then give the tables their place."""
        folder = self._folder / FINISHED
        for name, table in tables.tables(self._load.keep).items():
            header = ",".join(table.columns)
            files.replace(folder / f"{name}-header.csv", f"{header}\n".encode())
        for file in folder.iterdir():
            if not file.stat().st_size:
                file.unlink()
        files.replace(folder / MANIFEST, msgspec.json.encode(self._load), synced=True)
        folder.rename(self.tables)

    def _buckets_of_files(self) -> int:
        """Return how many buckets the files of events need."""
        number = 0.0
        for file in self._source.files:
            if str(file) == "-" or not file.is_file():
                return UNKNOWN
            with file.open("rb") as opened:
                packed = opened.read(2) == b"\x1f\x8b"
            number += file.stat().st_size * (10 if packed else 1) / BUCKET_BYTES
        self._check_disk(int(number * BUCKET_BYTES * 3))
        return self._many(number)

    def _many(self, number: float) -> int:
        """Return the number of buckets for `number` full ones."""
        return max(2 * self._config.workers, min(ceil(number), MOST_BUCKETS))

    def _check_disk(self, needed: int) -> None:
        """Warn if the disk is too small for what the load is estimated to need."""
        free = shutil.disk_usage(self.directory).free
        text = f"{self.directory} needs about {size(needed)}, with the import, and has {size(free)}"
        if needed > free:
            log.warning("%s", text)
        else:
            log.info("%s", text)


class _Parts:
    """The parts of PostgreSQL's posts: what is to be read, and again what was left of a part."""

    def __init__(self, database: Database, ids: Path | None) -> None:
        self._database = database
        self._ids = None if ids is None else parts_of(ids)
        self._after: str | None = None
        self._found_all = False
        self._rests: list[Part] = []
        self._open = 0  # parts that a process reads
        self._waiting = False
        self._backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)

    def tasks(self, stopped: Callable[[], bool]) -> Iterator[Task | None]:
        """Yield the parts; None while the last are read, since something may be left of them."""
        while not stopped():
            part = self._rests.pop() if self._rests else self._next()
            if part is not None:
                self._open += 1
                yield Task("read", (part,))
            elif self._found_all and not self._open and not self._rests:
                return
            elif self._open:
                yield None

    def _next(self) -> Part | None:
        """Return the next part; None if there is none, or PostgreSQL does not answer."""
        if self._found_all:
            return None
        if self._ids is not None:
            part = next(self._ids, None)
            self._found_all = part is None
            return part
        try:
            part = self._database.part(PART, self._after)
        except Unavailable as error:
            self._wait(str(error))
            return None
        self._after, self._found_all = part.upto, part.upto is None
        return part

    def ended(self, found: Read) -> None:
        """Note the end of a task; wait a moment if PostgreSQL does not answer."""
        self._open -= 1
        if found.rest is not None:
            self._rests.append(found.rest)
            self._wait(found.waiting or "")
        else:
            self._waiting = False
            self._backoff.reset()

    def _wait(self, error: str) -> None:
        if not self._waiting:
            log.warning("%s; waiting, nothing is lost", error)
        self._waiting = True
        time.sleep(self._backoff.next())


def _taken(claim: Claim) -> Reject:
    place, holder = (":".join(map(str, address)) for address in (claim.address, claim.winner))
    return Reject(claim.post_id, TAKEN, f"{place} claims it, and {holder} keeps it")


def arguments(directory: Path, load: Load) -> list[str]:
    """Return the arguments of `neo4j-admin database import full DATABASE` for the tables."""
    found = [
        "--id-type=string",
        "--bad-tolerance=0",
        f"--report-file={directory / 'import.report'}",
    ]
    if load.multiline:
        found.append("--multiline-fields=true")
    for name, table in tables.tables(load.keep).items():
        parts = sorted(directory.glob(f"{name}-[0-9]*.csv"))
        if parts:
            paths = ",".join(map(str, [directory / f"{name}-header.csv", *parts]))
            found.append(f"--{'nodes' if table.nodes else 'relationships'}={table.kind}={paths}")
    return found


def expected(load: Load) -> dict[str, int]:
    """Return how many nodes of each label, and links of each type, the database has to have."""
    counts: dict[str, int] = {}
    for name, table in tables.tables(load.keep).items():
        for kind in table.kind.split(":"):
            counts[kind] = counts.get(kind, 0) + load.lines.get(name, 0)
    return counts
