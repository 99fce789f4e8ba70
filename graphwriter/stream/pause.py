"""A pause of all workers of a group, on all machines: a key beside the stream."""

from __future__ import annotations

import msgspec

from graphwriter.partitions import tagged
from graphwriter.stream.client import Client, translated


class Pause(msgspec.Struct):
    """Since when, in seconds since 1970, who paused the group, and why."""

    since: float = 0.0
    by: str = ""
    reason: str = ""


def key(stream: str, group: str) -> str:
    """Return the name of the key, in the slot of the stream."""
    return f"{tagged(stream)}:paused:{group}"


def read(client: Client, stream: str, group: str) -> Pause | None:
    """Return the pause of a group; None if it is not paused. Raises as `Stream`."""
    with translated(client):
        raw: bytes | None = client.get(key(stream, group))  # type: ignore[assignment]
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw, type=Pause)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Pause()  # another program has set it


def start(client: Client, stream: str, group: str, pause: Pause) -> None:
    """Pause the group until `end`: a pause does not expire. Raises as `Stream`."""
    with translated(client):
        client.set(key(stream, group), msgspec.json.encode(pause))


def end(client: Client, stream: str, group: str) -> bool:
    """Let the workers go on; return whether the group was paused. Raises as `Stream`."""
    with translated(client):
        return bool(client.delete(key(stream, group)))
