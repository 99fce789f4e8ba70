"""Questions about the whole graph: what to collect next, the graph of channels, the most frequent.

They read every post or message once, which takes seconds for a million; give the connection a
timeout that fits. The memory of the client depends on the number of chats, not of posts. Every
function blocks and raises as `Graph.stream`; `TooBig` if the timeout is too short.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from typing import Any, LiteralString

from graphwriter.events import times
from graphwriter.events.telegram import Peer, unmarked
from graphwriter.graph import Graph
from graphwriter.graph.client import statement
from graphwriter.queries.address import Address
from graphwriter.queries.answers import (
    Authors,
    Channel,
    ChannelLink,
    Channels,
    Coforward,
    CountedChannel,
    Frequent,
    Linked,
    Links,
    Pair,
    Related,
    Sources,
    Wanted,
    WantedChannels,
    WantedMessage,
)
from graphwriter.queries.posts import LIMIT, NO_LIMIT, PAGE

SECOND = 1_000_000  # microseconds
NEAR = 10_000  # posts that `related` reads each way
Chats = tuple[int, int]


def wanted(graph: Graph, *, least: int = 1, limit: int | None = LIMIT) -> Wanted:
    """Return messages that are not ingested and that at least `least` posts refer to."""
    rows, cut = _first(graph, "ask/wanted", least, limit)
    messages = [
        WantedMessage(
            address=str(Address(chat, message)),
            references=references,
            forwards=forwards,
            replies=replies,
            url=Address(chat, message).link,
        )
        for chat, message, references, forwards, replies in rows
    ]
    return Wanted(messages=messages, truncated=cut)


def wanted_channels(graph: Graph, *, least: int = 1, limit: int | None = LIMIT) -> WantedChannels:
    """Return chats of which the graph has no post and that at least `least` posts forward from.

    A post counts for the chat of its source and for the chat of its source post, once for each
    chat. Users and hidden sources are left out.
    """
    rows, cut = _first(graph, "ask/wanted_channels", least, limit)
    found = [CountedChannel(id=chat, name=name, posts=posts) for chat, name, posts in rows]
    return WantedChannels(channels=found, truncated=cut)


def channels(
    graph: Graph,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    loops: bool = False,
    users: bool = False,
    limit: int | None = None,
) -> Channels:
    """Return who forwards from whom, replies to whom and links to whom, from chat to chat.

    A forward counts for the chat of its source; if the source is no chat, or not known, for the
    chat of the source post.

    Args:
        since, until: only posts of this span, without `until`; without a zone they are UTC.
        loops: also links from a chat to itself.
        users: also private chats, and users as sources.
        limit: the strongest links only, and the chats at their ends; None: all, and all chats that
            have posts.
    """
    within = span(since, until)
    posts, copied, received = Counter[int](), Counter[int](), Counter[int]()
    links: dict[Chats, ChannelLink] = {}

    def add(chat: int, target: int | None, kind: str, number: int) -> None:
        if (
            target is None
            or (target == chat and not loops)
            or (max(chat, target) > 0 and not users)
        ):
            return
        link = links.setdefault((chat, target), ChannelLink(source=chat, target=target))
        setattr(link, kind, getattr(link, kind) + number)

    for chat, origin, answered, forwards, number in graph.stream(
        statement("ask/channels"), **within
    ):
        if not users and chat > 0:
            continue
        posts[chat] += number
        copied[chat] += number if forwards else 0
        add(chat, origin, "forwards", number)
        add(chat, answered, "replies", number)
        if origin is not None and origin != chat:
            received[origin] += number
    for chat, target, number in graph.stream(statement("ask/channel_links"), **within):
        add(chat, target, "links", number)
    edges = sorted(
        links.values(), key=lambda e: (-e.forwards - e.replies - e.links, e.source, e.target)
    )
    cut = limit is not None and len(edges) > limit
    edges = edges[:limit]
    ids = {chat for edge in edges for chat in (edge.source, edge.target)}
    ids |= set() if cut else set(posts)
    lags = dict(graph.stream(statement("ask/lags"), **within))
    names = _names(graph, ids)
    nodes = [
        Channel(
            id=chat,
            name=names.get(chat),
            posts=posts[chat],
            amplification=received[chat] / posts[chat] if posts[chat] else None,
            originality=1 - copied[chat] / posts[chat] if posts[chat] else None,
            median_lag=lags.get(chat),
        )
        for chat in sorted(ids, key=lambda chat: (-posts[chat], chat))
    ]
    return Channels(nodes=nodes, edges=edges, truncated=cut)


def related(graph: Graph, chat: int, *, limit: int | None = LIMIT) -> Related:
    """Return the chats that `chat`, a marked id, forwards from, and those that forward from it.

    Reads at most `NEAR` posts each way, the newest of the chat, and not the whole graph.
    """
    peer = unmarked(chat)
    rows = graph.rows(
        statement("ask/related"), chat=chat, bare=str(peer.id), kind=peer.kind, most=NEAR
    )
    ways: dict[str, list[CountedChannel]] = {"from": [], "by": []}
    names = _names(graph, {chat, *(row[1] for row in rows)})
    for way, other, number, _ in rows:
        ways[way].append(CountedChannel(id=other, name=names.get(other), posts=number))
    cut = any(row[3] >= NEAR for row in rows)
    cut = cut or (limit is not None and any(len(found) > limit for found in ways.values()))
    return Related(
        id=chat,
        name=names.get(chat),
        forwards_from=ways["from"][:limit],
        forwarded_by=ways["by"][:limit],
        truncated=cut,
    )


def coforward(
    graph: Graph,
    *,
    window: float = 300.0,
    least: int = 3,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int | None = LIMIT,
) -> Coforward:
    """Return pairs of chats that forwarded the same originals within `window` seconds.

    A pair counts an original once. At least `least` originals; `since` and `until` as `channels`.
    """
    within = span(since, until)
    pairs = Counter[Chats]()
    for (forwards,) in graph.stream(statement("ask/coforward"), **within):
        pairs.update(_near(forwards, window * SECOND))
    found = sorted((-number, pair) for pair, number in pairs.items() if number >= least)
    cut = limit is not None and len(found) > limit
    return Coforward(
        pairs=[Pair(a=a, b=b, originals=-number) for number, (a, b) in found[:limit]], truncated=cut
    )


def links(
    graph: Graph,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    least: int = 1,
    limit: int | None = LIMIT,
) -> Links:
    """Return what posts link to, those first that most chats link to, then by reach.

    Args:
        least: chats that link to it.
        since, until: as `channels`.
    """
    most = NO_LIMIT if limit is None else limit + 1
    rows = list(graph.stream(statement("ask/links"), **span(since, until), min=least, most=most))
    found = [
        Linked(
            url=url if chat is None else Address(chat, message).link,
            address=None if chat is None else str(Address(chat, message)),
            channels=chats,
            posts=posts,
            reach=reach,
            first=None if first is None else times.iso(first),
        )
        for url, chat, message, chats, posts, reach, first in rows[:limit]
    ]
    return Links(links=found, truncated=limit is not None and len(rows) > limit)


def sources(graph: Graph, *, least: int = 1, limit: int | None = LIMIT) -> Sources:
    """Return where posts are forwarded from, with at least `least` posts."""
    rows, cut = _first(graph, "ask/sources", least, limit)
    return Sources(sources=_frequent(rows), truncated=cut)


def authors(graph: Graph, *, least: int = 1, limit: int | None = LIMIT) -> Authors:
    """Return who wrote posts, at least `least`."""
    rows, cut = _first(graph, "ask/authors", least, limit)
    return Authors(authors=_frequent(rows), truncated=cut)


def _frequent(rows: Iterable[list[Any]]) -> list[Frequent]:
    return [Frequent(id=key, type=kind, name=name, posts=posts) for key, kind, name, posts in rows]


def _first(
    graph: Graph, name: LiteralString, least: int, limit: int | None
) -> tuple[list[list[Any]], bool]:
    """Return the first `limit` rows of a statement, and whether there are more."""
    most = NO_LIMIT if limit is None else limit + 1
    rows = list(graph.stream(statement(name), min=least, most=most))
    return rows[:limit], limit is not None and len(rows) > limit


def _near(forwards: list[tuple[int, int]], window: float) -> set[Chats]:
    """Return the pairs of chats that have forwards, (chat, microseconds), within `window`."""
    forwards.sort(key=lambda forward: forward[1])
    pairs: set[Chats] = set()
    inside = Counter[int]()  # chats of the forwards from `first` to the present one
    first = 0
    for chat, when in forwards:
        while when - forwards[first][1] > window:
            gone = forwards[first][0]
            inside[gone] -= 1
            if not inside[gone]:
                del inside[gone]
            first += 1
        pairs.update((min(chat, other), max(chat, other)) for other in inside if other != chat)
        inside[chat] += 1
    return pairs


def _names(graph: Graph, chats: Iterable[int]) -> dict[int, str]:
    """Return the names that people gave to chats, where somebody did."""
    peers = map(unmarked, chats)
    keys = ([str(peer.id), peer.kind] for peer in peers)
    return {
        Peer(kind, int(bare)).marked: name
        for page in iter(lambda: list(islice(keys, PAGE)), [])
        for bare, kind, name in graph.rows(statement("ask/names"), keys=page)
    }


def span(since: datetime | None, until: datetime | None) -> dict[str, str | None]:
    """Return the parameters of statements about a span of time; None: without this end."""
    return {
        name: None if moment is None else moment.isoformat()
        for name, moment in (("since", since), ("until", until))
    }
