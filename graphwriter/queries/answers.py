"""What questions return. `msgspec.json.encode` gives the JSON of `--json`.

An address is the text `CHAT:MESSAGE`, a chat its marked id, a time RFC 3339 text in UTC, a span of
time seconds. `post_id` is None for a placeholder: a message that posts refer to and that is not
ingested. `truncated` is true if a bound cut the answer.
"""

from __future__ import annotations

import msgspec


class Writer(msgspec.Struct):
    """An author or a source: its bare id, type, and a name that somebody gave."""

    id: str
    type: str
    name: str | None = None


class Item(msgspec.Struct, kw_only=True):
    """A message. `url` opens it; `text` is None where texts are not stored."""

    address: str
    post_id: str | None = None
    posted_at: str | None = None
    url: str | None = None
    author: Writer | None = None
    text: str | None = None


class Reply(Item, kw_only=True):
    """A message of a thread: what it replies to, and how far below the root it is."""

    reply_to: str | None = None
    depth: int = 0


class Forward(Item, kw_only=True):
    """A forward: seconds after the original was posted."""

    lag: float | None = None


class Hit(Item, kw_only=True):
    """A post that was found by its words; a higher score is better."""

    score: float


class Thread(msgspec.Struct, kw_only=True):
    """A conversation: the root first, each reply after what it replies to, siblings by id."""

    root: str
    posts: list[Reply]
    truncated: bool = False


class Comments(msgspec.Struct, kw_only=True):
    """Comments of a post: the replies to its copies in other chats."""

    copies: list[str]
    posts: list[Reply]
    truncated: bool = False


class Spread(msgspec.Struct, kw_only=True):
    """Who forwarded a message. `known`: the origin is in the graph as a post."""

    origin: str
    known: bool
    forwards: list[Forward]
    first: str | None
    median_lag: float | None
    truncated: bool = False


class Origin(msgspec.Struct, kw_only=True):
    """What a post forwards: a source, and the source post if it is known."""

    source: Writer | None = None
    forwarded_at: str | None = None
    post: Item | None = None


class Context(msgspec.Struct, kw_only=True):
    """One post and what is around it. `left_out`: how many items of a kind are not shown.

    `ancestors` go from the nearest to the root. `same` are posts with the same content. `links` are
    the URLs in the post, `album` the other parts of its album, where those are kept.
    """

    post: Item
    author: Writer | None = None
    origin: Origin | None = None
    ancestors: list[Reply] = []
    replies: list[Reply] = []
    comments: list[Reply] = []
    forwards: list[Forward] = []
    same: list[Item] = []
    links: list[str] = []
    album: list[Item] = []
    left_out: dict[str, int] = {}
    truncated: bool = False


class Shared(Item, kw_only=True):
    """A post that shares something with another: `by` has "content", "media" or "link", `links` the
    URLs in common as the other has them; `lag` is the seconds between the two posts, below zero if
    this one was first.
    """

    by: list[str]
    links: list[str] = []
    lag: float | None = None


class Same(msgspec.Struct, kw_only=True):
    """Posts with the same content, files or links as a post, those first that came first."""

    post: Item
    same: list[Shared]
    truncated: bool = False


class Linked(msgspec.Struct, kw_only=True):
    """What posts link to: a page, or a message with its `address`. `reach` is the views of the
    posts together, `first` the time of the first.
    """

    url: str | None
    address: str | None
    channels: int
    posts: int
    reach: int
    first: str | None


class Links(msgspec.Struct, kw_only=True):
    """What posts link to, those first that most chats link to."""

    links: list[Linked]
    truncated: bool = False


class WantedMessage(msgspec.Struct, kw_only=True):
    """A message that is not ingested: how many posts forward it and reply to it."""

    address: str
    references: int
    forwards: int
    replies: int
    url: str | None = None


class Wanted(msgspec.Struct, kw_only=True):
    """Messages to collect, those first that most posts refer to."""

    messages: list[WantedMessage]
    truncated: bool = False


class CountedChannel(msgspec.Struct, kw_only=True):
    """A chat, and how many posts forward from it, or it forwards."""

    id: int
    name: str | None
    posts: int


class WantedChannels(msgspec.Struct, kw_only=True):
    """Chats to collect, those first that most posts forward from."""

    channels: list[CountedChannel]
    truncated: bool = False


class Channel(msgspec.Struct, kw_only=True):
    """A chat in the graph of channels.

    `posts` of the span of time; `amplification` is forwards received per post, `originality` the
    share of posts that are no forwards, `median_lag` the seconds until others forward a post.
    """

    id: int
    name: str | None
    posts: int
    amplification: float | None = None
    originality: float | None = None
    median_lag: float | None = None


class ChannelLink(msgspec.Struct, kw_only=True):
    """How often posts of `source` forward from `target`, reply to it, and link to it."""

    source: int
    target: int
    forwards: int = 0
    replies: int = 0
    links: int = 0


class Channels(msgspec.Struct, kw_only=True):
    """The graph of channels, the strongest links first."""

    nodes: list[Channel]
    edges: list[ChannelLink]
    truncated: bool = False


class Related(msgspec.Struct, kw_only=True):
    """Chats that a chat forwards from, and chats that forward from it, by the number of posts."""

    id: int
    name: str | None
    forwards_from: list[CountedChannel]
    forwarded_by: list[CountedChannel]
    truncated: bool = False


class Pair(msgspec.Struct, kw_only=True):
    """Two chats, a < b, and how many originals both forwarded within the window."""

    a: int
    b: int
    originals: int


class Coforward(msgspec.Struct, kw_only=True):
    """Pairs of chats that forward the same originals, those with most originals first."""

    pairs: list[Pair]
    truncated: bool = False


class Frequent(Writer, kw_only=True):
    """A source or an author, and how many posts it has."""

    posts: int


class Sources(msgspec.Struct, kw_only=True):
    """Where posts are forwarded from, those with most posts first."""

    sources: list[Frequent]
    truncated: bool = False


class Authors(msgspec.Struct, kw_only=True):
    """Who wrote posts, those with most posts first."""

    authors: list[Frequent]
    truncated: bool = False


class Hits(msgspec.Struct, kw_only=True):
    """Posts with the words, the best first."""

    posts: list[Hit]
    truncated: bool = False
