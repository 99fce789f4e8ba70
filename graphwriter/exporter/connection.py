"""A reader's connection, which makes room for the next one."""

from __future__ import annotations

from typing import Any

from waitress.channel import HTTPChannel

MOST = 40  # connections; below waitress's own limit, at which it would accept no further one


class Connection(HTTPChannel):  # type: ignore[misc]
    """Closes the oldest one that no request is in hand of, where there are too many.

    Whoever holds connections, silent or with a byte every few seconds, so keeps nobody out: a
    reader asks at once, and is answered before its turn to be closed comes.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        others = [
            one
            for one in self._map.values()
            if isinstance(one, HTTPChannel) and one is not self and not one.will_close
        ]
        waiting = [one for one in others if not one.requests]
        if len(others) >= MOST and waiting:
            min(waiting, key=lambda one: one.creation_time).will_close = True
