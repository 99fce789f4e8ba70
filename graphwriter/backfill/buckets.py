"""Lines spread over many files by a key, so that equal keys meet and each file fits into memory.

Several processes write, each its own file of a bucket; then one process reads a bucket whole. So an
offline load of any size sorts out repetitions in the memory of one bucket.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

HELD = 8 << 20  # bytes of memory that wait to be written; then each file is opened once
OBJECT = 57  # bytes of memory that a line takes beside its own


class Buckets:
    """`number` buckets called `name` in `folder`; this is process `writer` of `writers`.

    A line has no line feed. Every method raises OSError.
    """

    def __init__(self, folder: Path, name: str, number: int, writer: int, writers: int) -> None:
        self._folder, self._name = folder, name
        self._writer, self._writers = writer, writers
        self._lines: list[list[bytes]] = [[] for _ in range(number)]
        self._held = 0

    def add(self, bucket: int, line: bytes) -> None:
        """Add a line to a bucket; it is written with the next flush, which may be now."""
        self._lines[bucket].append(line)
        self._held += len(line) + OBJECT
        if self._held > HELD:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        for bucket, lines in enumerate(self._lines):
            if lines:
                with self._file(bucket, self._writer).open("ab") as file:
                    file.write(b"\n".join(lines) + b"\n")
                lines.clear()
        self._held = 0

    def read(self, bucket: int) -> list[bytes]:
        """Return all lines of a bucket, of all processes, in any order."""
        lines: list[bytes] = []
        for writer in range(self._writers):
            with suppress(FileNotFoundError):
                lines += self._file(bucket, writer).read_bytes().split(b"\n")[:-1]
        return lines

    def _file(self, bucket: int, writer: int) -> Path:
        return self._folder / f"{self._name}-{bucket}.{writer}"
