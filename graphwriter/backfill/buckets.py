"""Lines spread over many files by a key, so that equal keys meet and each file fits into memory.

Several processes write, each its own file of a bucket; then one process reads a bucket whole. So an
offline load of any size sorts out repetitions in the memory of one bucket.
"""

from __future__ import annotations

from pathlib import Path

HELD = 8 << 20  # bytes that wait to be written; then each file is opened once


class Buckets:
    """The buckets called `name` in `folder`; `writer` is the number of this process.

    A line has no line feed. Every method raises OSError.
    """

    def __init__(self, folder: Path, name: str, number: int, writer: int) -> None:
        self._folder, self._name, self._writer = folder, name, writer
        self.number = number
        self._lines: list[list[bytes]] = [[] for _ in range(number)]
        self._held = 0

    def add(self, bucket: int, line: bytes) -> None:
        """Add a line to a bucket; it is written with the next flush, which may be now."""
        self._lines[bucket].append(line)
        self._held += len(line)
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
        files = sorted(self._folder.glob(f"{self._name}-{bucket}.*"))
        return [line for file in files for line in file.read_bytes().split(b"\n")[:-1]]

    def drop(self, bucket: int) -> None:
        """Delete a bucket's files: its disk space is needed for what is made of it."""
        for file in self._folder.glob(f"{self._name}-{bucket}.*"):
            file.unlink()

    def _file(self, bucket: int, writer: int) -> Path:
        return self._folder / f"{self._name}-{bucket}.{writer}"
