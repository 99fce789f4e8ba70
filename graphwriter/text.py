"""How spans of time, numbers, and texts that came from outside, are shown to people."""

from __future__ import annotations

from typing import Any

# unit, its size in seconds, and up to how many seconds it is used
_UNITS = (
    ("ms", 0.001, 1),
    ("s", 1, 100),
    ("min", 60, 6000),
    ("h", 3600, 172_800),
    ("d", 86_400, 0),
)


def age(seconds: float) -> str:
    """Return such as 35 ms, 1.2 s, 3 min, 5 h, 2 d."""
    unit, size = next((u, s) for u, s, below in _UNITS if seconds < below or not below)
    digits = 1 if unit == "s" and seconds < 10 else 0
    return f"{seconds / size:.{digits}f} {unit}"


def counted(number: int, noun: str) -> str:
    """Return such as `1 entry`, `2 entries`, `10,000 events`."""
    many = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else many}"


def plain(cell: Any) -> str:
    """Return a cell as printable text on one line."""
    text = "" if cell is None else str(cell)
    return "".join(c if c.isprintable() else " " for c in text)
