"""Times of events: RFC 3339 text or seconds, as microseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from graphwriter.errors import BadEvent
from graphwriter.events.wire import shown

_UTC: tuple[str | None, ...] = (None, "Z", "z")
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,6})\d*)?([Zz]|[+-]\d\d:\d\d)?", re.ASCII
).fullmatch
# What PostgreSQL writes, and most producers: datetime reads it without the parts.
_USUAL = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|\+00:00)", re.ASCII
).fullmatch
_SECONDS = re.compile(r"([+-]?)(\d{1,15})(?:\.(\d{1,6})\d*)?", re.ASCII).fullmatch
CACHED_LENGTH = 40  # characters of a text; longer ones are not cached
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = _EPOCH.replace(tzinfo=None)
_MICROSECOND = timedelta(microseconds=1)
_FIRST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND


def micros(name: str, value: str | int | float) -> int:
    """Return the time in field `name` in microseconds since 1970; finer digits are cut.

    `value` is RFC 3339 text (with T or a space, UTC without a zone), or seconds since 1970 as a
    number or decimal text. A number is read by its shortest decimal text, so that both wire forms
    agree.

    Raises:
        BadEvent: it is neither, or outside the years 1 to 9999. The message names the field.
    """
    if isinstance(value, int):
        result = value * 1_000_000
    else:
        text = value if isinstance(value, str) else repr(value)
        try:
            result = (_cached if len(text) <= CACHED_LENGTH else _parsed)(text)
        except ValueError as error:
            raise BadEvent("wrong_type", f"{name} is {shown(value)}{error}") from None
    if not _FIRST <= result <= _LAST:
        raise BadEvent("wrong_type", f"{name} is {shown(value)}, outside the years 1 to 9999")
    return result


def iso(micros: int) -> str:
    """Return microseconds since 1970 as RFC 3339 text in UTC."""
    return (_EPOCH + micros * _MICROSECOND).isoformat()


def _parsed(text: str) -> int:
    if _USUAL(text):
        try:
            moment = datetime.fromisoformat(text[:-1] if text[-1] == "Z" else text[:-6])
        except ValueError as error:
            raise ValueError(f": {error}") from None
        since = moment - _NAIVE_EPOCH
        return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    if match := _RFC3339(text):
        day, clock, fraction, zone = match.groups()
        try:
            moment = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone in _UTC else zone}")
        except ValueError as error:
            raise ValueError(f": {error}") from None
        return (moment - _EPOCH) // _MICROSECOND + (int(fraction.ljust(6, "0")) if fraction else 0)
    if match := _SECONDS(text):
        sign, seconds, fraction = match.groups()
        result = int(seconds) * 1_000_000 + (int(fraction.ljust(6, "0")) if fraction else 0)
        return -result if sign == "-" else result
    raise ValueError(", expected RFC 3339 text or decimal seconds")


# Most posts are published when they are posted: both times are the same text.
_cached = lru_cache(maxsize=4096)(_parsed)
