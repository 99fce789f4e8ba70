"""Telegram's ids, by arithmetic alone.

A peer is a user, a basic chat or a channel (supergroups are channels), each with a bare positive
id. Its *marked* id says the kind too: a user is `id`, a basic chat `-id`, a channel
`-(10**12 + id)`. That is arithmetic, not the text "-100" put before the id: the two agree only
while a channel's id has ten digits.
"""

from __future__ import annotations

from typing import NamedTuple

MARK = 10**12


class Peer(NamedTuple):
    """A user, chat or channel: `kind` is one of those words, `id` the bare positive id."""

    kind: str
    id: int

    @property
    def marked(self) -> int:
        """The one integer that tells both kind and id."""
        if self.kind == "channel":
            return -(MARK + self.id)
        return -self.id if self.kind == "chat" else self.id


def peer(marked: int) -> Peer:
    """Return the peer of a marked id, which is any integer but 0."""
    if marked > 0:
        return Peer("user", marked)
    if marked < -MARK:
        return Peer("channel", -marked - MARK)
    return Peer("chat", -marked)


def chat(given: int, beside: Peer | None = None) -> int:
    """Return the marked id of a chat id that may be marked (negative) or bare (positive).

    A bare id takes its kind from the chat or channel `beside` it, else it is a channel's.
    """
    if given < 0:
        return given
    kind = "chat" if beside is not None and beside.kind == "chat" else "channel"
    return Peer(kind, given).marked
