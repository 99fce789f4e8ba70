"""Numbers, times, sizes and foreign texts as people read them. All formatting is here."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

# Unit, its size in seconds, and the number of seconds up to which it is used.
_UNITS = (
    ("ms", 0.001, 1),
    ("s", 1, 100),
    ("min", 60, 6000),
    ("h", 3600, 172_800),
    ("d", 86_400, 0),
)


def age(seconds: float) -> str:
    """Return a span of time, such as 35 ms, 1.2 s, 3 min, 5 h, 2 d."""
    unit, length = next((u, s) for u, s, below in _UNITS if seconds < below or not below)
    digits = 1 if unit == "s" and seconds < 10 else 0
    return f"{seconds / length:.{digits}f} {unit}"


def percentiles(median: float, p99: float) -> str:
    """Return such as `p50 20 ms, p99 1.2 s`."""
    return f"p50 {age(median)}, p99 {age(p99)}"


def counted(number: int, noun: str) -> str:
    """Return such as `1 entry`, `2 entries`, `10,000 events`."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def rate(value: float) -> str:
    """Return a rate per second, such as 0.3/s or 1,200/s."""
    return f"{value:,.0f}/s" if value >= 10 or not value else f"{value:.1f}/s"


def size(number: float) -> str:
    """Return bytes, such as 800.0 B, 1.5 MiB, 2.0 TiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:,.1f} {unit}"
        number /= 1024
    return f"{number:,.1f} TiB"


def remaining(seconds: float) -> str:
    """Return a time that is left, such as 0:02:10."""
    left = int(seconds)
    return f"{left // 3600}:{left % 3600 // 60:02}:{left % 60:02}"


def utc(seconds: float) -> str:
    """Return the day and time of seconds since 1970; empty for an impossible time."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"
    except (OverflowError, ValueError, OSError):
        return ""


def plain(cell: Any) -> str:
    """Return a cell as printable text on one line; None is empty."""
    text = "" if cell is None else str(cell)
    return "".join(c if c.isprintable() else " " for c in text)
