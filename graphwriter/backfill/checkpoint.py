"""How far a backfill is: a small file that is whole at any moment, and the rejects beside it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Self

import msgspec

from graphwriter import files
from graphwriter.backfill.rows import Reject, append
from graphwriter.database import Part
from graphwriter.errors import ConfigError
from graphwriter.files import Lock

LARGEST = 256 << 20  # bytes of a checkpoint: each process may have the ids of two parts in it

log = logging.getLogger("graphwriter")


class Progress(msgspec.Struct):
    """How far it is. Everything up to `walked` is written, but for the parts in `open`."""

    total: int = 0
    walked: str | None = None  # the last key that was handed out; of a file of ids, how many lines
    ended: bool = False  # nothing is left to hand out
    open: list[Part] = []  # msgspec copies it
    read: int = 0
    written: int = 0
    rejected: int = 0


class _Saved(msgspec.Struct):
    """What is in the file. A digest that does not fit means that somebody else wrote in it."""

    digest: str
    progress: msgspec.Raw


class Checkpoint:
    """The files of one selection in `directory`: `NAME.json`, `NAME.rejects.jsonl`, `NAME.lock`.

    A backfill that ended leaves the rejects only. `with` takes the lock, loads and closes.

    Raises:
        ConfigError: the directory is not ours alone, or cannot be written; from any method.
        NameTaken: another backfill of this selection runs.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._path = directory / f"{name}.json"
        self.rejects = directory / f"{name}.rejects.jsonl"
        self._lock = Lock(
            directory / f"{name}.lock",
            f"process {{pid}} runs this backfill already ({directory / name}): let it finish",
        )

    def __enter__(self) -> Self:
        files.directory(self._path.parent, "--state")
        self._lock.take()
        return self

    def __exit__(self, *exc: object) -> None:
        self._lock.release()

    def load(self) -> Progress | None:
        """Return how far an earlier run came; None: begin, with no rejects."""
        try:
            return self._read()
        except FileNotFoundError:
            pass
        except (OSError, ValueError, RecursionError) as error:
            log.warning("%s cannot be read, begins anew: %s", self._path, error)
        with self._writing(self.rejects):
            self.rejects.unlink(missing_ok=True)
        return None

    def _read(self) -> Progress:
        saved = msgspec.json.decode(files.read(self._path, LARGEST), type=_Saved)
        if saved.digest != self._digest(bytes(saved.progress)):
            raise ValueError("it is not as it was written")
        return msgspec.json.decode(saved.progress, type=Progress)

    def _digest(self, progress: bytes) -> str:
        return blake2b(progress, digest_size=16, key=self._path.name.encode()).hexdigest()

    def save(self, progress: Progress) -> None:
        """Write how far it is, on the disk when this returns."""
        content = msgspec.json.encode(progress)
        saved = msgspec.json.encode(_Saved(self._digest(content), msgspec.Raw(content)))
        with self._writing(self._path):
            files.replace(self._path, saved, synced=True)

    def reject(self, rejects: Iterable[Reject]) -> None:
        """Add rows that could not be written to the rejects file, a JSON line each."""
        with self._writing(self.rejects):
            append(self.rejects, rejects)

    def end(self) -> None:
        """Remove the checkpoint: everything is written."""
        with self._writing(self._path):
            self._path.unlink(missing_ok=True)

    @contextmanager
    def _writing(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigError(f"--state {path}: {error.strerror}") from None
