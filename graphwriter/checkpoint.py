"""How far a backfill is: a small file that is whole at any moment, and the rejects beside it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import msgspec

from graphwriter import files
from graphwriter.database import Part
from graphwriter.errors import ConfigError
from graphwriter.fill import Reject, append
from graphwriter.state import Lock

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


class Checkpoint:
    """The files of one selection in `directory`: `NAME.json`, `NAME.rejects.jsonl`, `NAME.lock`.

    A backfill that ended leaves the rejects only. `with` takes the lock, loads and closes.

    Raises:
        ConfigError: the directory cannot be written.
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
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.take()
        except OSError as error:
            raise ConfigError(f"--state {self._path.parent}: {error.strerror}") from None
        return self

    def __exit__(self, *exc: object) -> None:
        self._lock.release()

    def load(self) -> Progress | None:
        """Return how far an earlier run came; None: begin, with no rejects."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Progress)
        except FileNotFoundError:
            pass
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("%s cannot be read, begins anew: %s", self._path, error)
        self.rejects.unlink(missing_ok=True)
        return None

    def save(self, progress: Progress) -> None:
        """Write how far it is, on the disk when this returns."""
        files.replace(self._path, msgspec.json.encode(progress), synced=True)

    def reject(self, rejects: Iterable[Reject]) -> None:
        """Add rows that could not be written to the rejects file, a JSON line each."""
        append(self.rejects, rejects)

    def end(self) -> None:
        """Remove the checkpoint: everything is written."""
        self._path.unlink(missing_ok=True)
