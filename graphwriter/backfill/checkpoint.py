"""The saved position of a backfill, a small file that is replaced whole, and its rejects."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Self

import msgspec

from graphwriter import files
from graphwriter.backfill.rows import Reject, append_rejects
from graphwriter.database import Part
from graphwriter.errors import ConfigError
from graphwriter.files import Lock

SIZE_LIMIT = 256 << 20  # bytes of a checkpoint: it may hold the ids of two parts a process

log = logging.getLogger("graphwriter")


class Progress(msgspec.Struct):
    """The position. Everything up to `walked` is written, except the parts in `open`."""

    total: int = 0
    walked: str | None = None  # last key handed out; for a file of ids, the number of lines
    ended: bool = False  # everything is handed out
    open: list[Part] = []  # handed out and not finished; msgspec copies the default
    read: int = 0
    written: int = 0
    rejected: int = 0


class _Saved(msgspec.Struct):
    """The content of the file. A digest that does not match shows a change or damage."""

    digest: str
    progress: msgspec.Raw


class Checkpoint:
    """The files of one selection in `directory`: `NAME.json`, `NAME.rejects.jsonl`, `NAME.lock`.

    A completed backfill leaves only the rejects. `with` takes and releases the lock.

    Raises:
        ConfigError: others can write to the directory, or we cannot; from any method.
        NameTaken: another process runs a backfill of this selection.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._path = directory / f"{name}.json"
        self.rejects = directory / f"{name}.rejects.jsonl"
        self._lock = Lock(
            directory / f"{name}.lock",
            f"process {{pid}} already runs this backfill ({directory / name}): wait until it ends",
        )

    def __enter__(self) -> Self:
        files.directory(self._path.parent, "--state")
        self._lock.take()
        return self

    def __exit__(self, *exc: object) -> None:
        self._lock.release()

    def load(self) -> Progress | None:
        """Return the position of an earlier run; None: start at the beginning, without rejects."""
        try:
            return self._read()
        except FileNotFoundError:
            pass
        except (OSError, ValueError, RecursionError) as error:
            log.warning("%s cannot be read, starting from the beginning: %s", self._path, error)
        with self._writing(self.rejects):
            self.rejects.unlink(missing_ok=True)
        return None

    def _read(self) -> Progress:
        saved = msgspec.json.decode(files.read(self._path, SIZE_LIMIT), type=_Saved)
        if saved.digest != self._digest(bytes(saved.progress)):
            raise ValueError("its digest does not match: the file was changed or damaged")
        return msgspec.json.decode(saved.progress, type=Progress)

    def _digest(self, progress: bytes) -> str:
        return blake2b(progress, digest_size=16, key=self._path.name.encode()).hexdigest()

    def save(self, progress: Progress) -> None:
        """Save the position; it is on the disk when this returns."""
        content = msgspec.json.encode(progress)
        saved = msgspec.json.encode(_Saved(self._digest(content), msgspec.Raw(content)))
        with self._writing(self._path):
            files.replace(self._path, saved, synced=True)

    def reject(self, rejects: Iterable[Reject]) -> None:
        """Add rows that could not be written to the rejects file, a JSON line each."""
        with self._writing(self.rejects):
            append_rejects(self.rejects, rejects)

    def end(self) -> None:
        """Delete the checkpoint: everything is written."""
        with self._writing(self._path):
            self._path.unlink(missing_ok=True)

    @contextmanager
    def _writing(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigError(f"--state {path}: {error.strerror}") from None
