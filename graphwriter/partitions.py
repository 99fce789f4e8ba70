"""Which streams a setting names, and to which of them an event belongs.

All events of one chat belong to one stream. The order of events never matters, so a wrong choice
does no harm: it only spreads the work unevenly.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from zlib import crc32

import msgspec

from graphwriter.errors import ConfigError

FIELD = "GRAPH_WRITER_STREAM"
MOST = 64  # streams of one pool: each worker reads them all
_RANGE = re.compile(r"\{(0|[1-9][0-9]{0,8})\.\.(0|[1-9][0-9]{0,8})\}")
_LIKE_A_RANGE = re.compile(r"\{[^{}]*\.\.[^{}]*\}")


def names(setting: str, field: str = FIELD) -> tuple[str, ...]:
    """Return the streams that a setting names, in its order.

    Args:
        setting: one name, several with commas, or names with a range: `posts:{0..2}` stands for
            `posts:{0}`, `posts:{1}` and `posts:{2}`. The braces stay: in a cluster what is in them
            decides the node.
        field: what errors call the setting.

    Raises:
        ConfigError: a name is empty or repeated, two share their dead letters, a range is wrong, or
            there are too many.
    """
    parts = [part.strip() for part in setting.split(",")] if "," in setting else [setting]
    if not all(part.strip() for part in parts):
        raise ConfigError(f"{field} is {setting!r}, expected a name, not an empty text")
    found = [name for part in parts for name in _expanded(part, setting, field)]
    if len(found) > MOST:
        raise ConfigError(
            f"{field} is {setting!r}, which names {len(found)} streams, expected at most {MOST}: "
            "a pool of its own can read the others"
        )
    known: dict[str, str] = {}
    for name in found:
        other = known.setdefault(tagged(name), name)
        if other == name and found.count(name) > 1:
            raise ConfigError(f"{field} is {setting!r}, which names {name!r} twice: leave one out")
        if other != name:
            raise ConfigError(
                f"{field} is {setting!r}, but {other!r} and {name!r} have the same stream of dead "
                "letters: rename one"
            )
        if (dead := f"{tagged(name)}:dead") in found:
            raise ConfigError(
                f"{field} is {setting!r}, but {dead!r} has the dead letters of {name!r}: leave it "
                "out"
            )
    return tuple(found)


def _expanded(part: str, setting: str, field: str) -> list[str]:
    ranges = _LIKE_A_RANGE.findall(part)
    if not ranges:
        return [part]
    found = _RANGE.search(part)
    if found is None or len(ranges) > 1 or int(found[1]) > int(found[2]):
        raise ConfigError(
            f"{field} is {setting!r}, expected one range such as {{0..7}} in a name: two whole "
            "numbers, the smaller one first"
        )
    first, last = int(found[1]), int(found[2])
    if last - first >= MOST:
        raise ConfigError(
            f"{field} is {setting!r}, which names {last - first + 1} streams, expected at most "
            f"{MOST}: a pool of its own can read the others"
        )
    before, after = part[: found.start()], part[found.end() :]
    return [f"{before}{{{number}}}{after}" for number in range(first, last + 1)]


def tagged(stream: str) -> str:
    """Return `stream` as a key prefix in the same slot of a cluster."""
    start = stream.find("{")
    if start >= 0 and stream.find("}", start) > start + 1:
        return stream
    return f"{{{stream}}}"


def of(streams: Sequence[str], fields: Mapping[bytes, bytes]) -> str:
    """Return which of `streams` an entry with these fields belongs to.

    It is number `crc32(tg_channel_id as decimal text) % len(streams)`. An entry without a readable
    `tg_channel_id` becomes a dead letter, and belongs to the first stream.
    """
    if len(streams) == 1:
        return streams[0]
    chat = _chat(fields)
    return streams[0] if chat is None else streams[crc32(b"%d" % chat) % len(streams)]


class _Post(msgspec.Struct):
    tg_channel_id: int


_post = msgspec.json.Decoder(_Post)


def _chat(fields: Mapping[bytes, bytes]) -> int | None:
    data = fields.get(b"data")
    try:
        return int(fields[b"tg_channel_id"]) if data is None else _post.decode(data).tg_channel_id
    except (KeyError, ValueError, RecursionError, msgspec.DecodeError):
        return None
