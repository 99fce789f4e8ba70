"""Addresses of messages, in every form that people have."""

from __future__ import annotations

import re
from typing import NamedTuple

from graphwriter.errors import NotFound
from graphwriter.events.telegram import ACCOUNT_MARK, Peer, unmarked
from graphwriter.events.wire import shown
from graphwriter.graph import Graph
from graphwriter.graph.client import statement

FORMS = (
    "https://t.me/c/1179270258/42, t.me/NAME/42, -1001179270258:42, -1001179270258/42 or a post_id"
)

_PAIR = re.compile(r"(-?\d{1,19})[:/](-?\d{1,19})", re.ASCII).fullmatch
_LINK = re.compile(
    r"(?:https?://)?(?:www\.)?(?:t\.me|telegram\.(?:me|dog))/(?:s/)?(?P<path>[^?#]+?)/?(?:[?#].*)?",
    re.ASCII | re.IGNORECASE,
).fullmatch
_PRIVATE = re.compile(r"c/(\d{1,18})(?:/\d+)?/(\d{1,18})", re.ASCII).fullmatch
_PUBLIC = re.compile(r"([A-Za-z][A-Za-z0-9_]{3,31})(?:/\d+)?/(\d{1,18})", re.ASCII).fullmatch
_TG_PRIVATE = re.compile(r"tg://privatepost\?channel=(\d{1,18})&post=(\d{1,18})(?:&.*)?").fullmatch
_TG_PUBLIC = re.compile(
    r"tg://resolve\?domain=([A-Za-z][A-Za-z0-9_]{3,31})&post=(\d{1,18})(?:&.*)?"
).fullmatch


class Address(NamedTuple):
    """The address of a message: the marked id of its chat, and its id there."""

    chat: int
    message: int

    def __str__(self) -> str:
        return f"{self.chat}:{self.message}"

    @property
    def link(self) -> str | None:
        """A link that opens the message for members of the chat; None for chats without links."""
        peer = unmarked(self.chat)
        if peer.kind != "channel" or self.chat < -ACCOUNT_MARK or self.message < 1:
            return None
        return f"https://t.me/c/{peer.id}/{self.message}"


class Named(NamedTuple):
    """A message of a public chat that is known by its name."""

    name: str
    message: int


def parse(text: str) -> Address | Named | None:
    """Return what `text` says without a look at the graph; None: it may be a post_id."""
    text = text.strip()
    if found := _PAIR(text):
        return _in_range(Address(int(found[1]), int(found[2])))
    if found := _TG_PRIVATE(text):
        return _of_channel(found[1], found[2])
    if found := _TG_PUBLIC(text):
        return Named(found[1], int(found[2]))
    if link := _LINK(text):
        if found := _PRIVATE(link["path"]):
            return _of_channel(found[1], found[2])
        if found := _PUBLIC(link["path"]):
            return Named(found[1], int(found[2]))
        raise NotFound(f"{shown(text)} is no link to a message; give {FORMS}")
    return None


def find(graph: Graph, text: str) -> Address:
    """Return the address that `text` means; it need not be in the graph.

    A name is looked up in the URLs of posts, a post_id among the posts. Blocks as `Graph.read`.

    Raises:
        NotFound: `text` is not understood, or the graph has no post with this name or post_id. The
            message has the forms that are understood.
    """
    found = parse(text)
    if isinstance(found, Address):
        return found
    if isinstance(found, Named):
        for name in dict.fromkeys((found.name, found.name.lower())):
            prefix = f"https://t.me/{name}/"
            for (chat,) in graph.rows(statement("ask/name"), prefix=prefix):
                return Address(chat, found.message)
        raise NotFound(
            f"no post in the graph has a URL of the chat {found.name!r}, so its id is not known: "
            "give https://t.me/c/1179270258/42 or -1001179270258:42"
        )
    text = text.strip()
    for chat, message in graph.rows(statement("ask/post_id"), post_id=text):
        if chat is not None and message is not None:
            return Address(chat, message)
    raise NotFound(f"{shown(text)} is neither an address nor a post_id in the graph; give {FORMS}")


def find_chat(graph: Graph, text: str) -> int:
    """Return the marked id of the chat that `text` means: a marked id, t.me/NAME, t.me/c/ID, or
    anything that `find` takes. Blocks and raises as `find`.
    """
    text = text.strip()
    if re.fullmatch(r"-?[1-9]\d{0,18}", text, re.ASCII):
        return _in_range(Address(int(text), 0)).chat
    if link := _LINK(text):
        if found := re.fullmatch(r"c/([1-9]\d{0,17})", link["path"], re.ASCII):
            return Peer("channel", int(found[1])).marked
        if _PUBLIC(f"{link['path']}/1"):
            return find(graph, f"t.me/{link['path']}/1").chat
    return find(graph, text).chat


def _of_channel(bare: str, message: str) -> Address:
    return _in_range(Address(Peer("channel", int(bare)).marked, int(message)))


def _in_range(address: Address) -> Address:
    if not all(-(2**63) <= number < 2**63 for number in address):
        raise NotFound(f"{address} is beyond 64 bits, so it is no address")
    return address
