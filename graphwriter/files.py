"""Small files that are replaced as a whole, so that a reader never sees half of one."""

from __future__ import annotations

import os
from pathlib import Path


def replace(path: Path, content: bytes, *, synced: bool = False) -> None:
    """Put `content` in the place of what is at `path`, for our account alone; raises OSError.

    A link at `path`, or at the name that the content is written under first, is replaced and never
    followed. With `synced` the content is on the disk before it takes its place.
    """
    beside = path.with_suffix(f".{os.getpid()}")
    beside.unlink(missing_ok=True)
    with open(beside, "xb", opener=_private) as file:
        file.write(content)
        if synced:
            file.flush()
            os.fsync(file.fileno())
    beside.replace(path)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)
