"""Questions about one message: its thread, its comments, who forwarded it, what is around it.

Every answer is bounded, by default to `LIMIT` messages and `DEPTH` links; None is no limit, and
`truncated` says that a bound cut. A message that is not in the graph raises `NotFound`. Every
function blocks and raises as `Graph.read`, for two to eight queries.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any, TypeVar

from graphwriter.errors import NotFound
from graphwriter.events import times
from graphwriter.graph import Graph
from graphwriter.graph.client import bounded, statement
from graphwriter.queries.address import Address
from graphwriter.queries.answers import (
    Comments,
    Forward,
    Item,
    Reply,
    Spread,
    Thread,
    Writer,
)

LIMIT = 1000  # messages of an answer
DEPTH = 1000  # links from one message to another, one after the other
FORWARDS = 20_000  # forwards of a post among which its copies are looked for
PAGE = 2000  # messages of which one query reads what is shown
NO_LIMIT = 2**62

Shown = TypeVar("Shown", bound=Item)
Parents = dict[Address, Address | None]  # message -> what it replies to


def thread(
    graph: Graph, address: Address, *, limit: int | None = LIMIT, depth: int | None = DEPTH
) -> Thread:
    """Return the conversation of a message: up to the topmost message, and all below that.

    A cycle ends where it would repeat.
    """
    chain, further = ancestors(graph, address, depth)
    root = chain[-1]
    parents, cut = below(graph, [root], None if limit is None else max(limit - 1, 0), depth)
    posts = replies(graph, [root], {root: further} | parents)
    above = further is not None and further not in chain
    return Thread(root=str(root), posts=posts, truncated=cut or above)


def comments(
    graph: Graph, address: Address, *, limit: int | None = LIMIT, depth: int | None = DEPTH
) -> Comments:
    """Return the comments of a post: what replies to its copies in other chats.

    A channel's post is copied to its discussion group, and comments reply to the copy.
    """
    rows = graph.rows(
        statement("ask/copies"),
        chat=address.chat,
        message=address.message,
        most=NO_LIMIT if limit is None else max(limit, FORWARDS) + 1,
    )
    if not rows:
        raise missing(address)
    more, found = rows[0]
    copies = sorted(Address(*copy) for copy in found)
    parents, cut = below(graph, copies, limit, depth) if copies else ({}, False)
    parents = {one: to for one, to in parents.items() if one not in copies}
    posts = replies(graph, copies, parents)
    return Comments(copies=[str(copy) for copy in copies], posts=posts, truncated=cut or more)


def spread(
    graph: Graph, address: Address, *, limit: int | None = LIMIT, itself: bool = False
) -> Spread:
    """Return who forwarded the original of a message, when, and how long after it was posted.

    The original is what the message forwards, if its source post is known, else the message. With
    `itself` it is the message in any case.
    """
    most = NO_LIMIT if limit is None else limit + 1
    rows = graph.rows(
        statement("ask/spread"),
        chat=address.chat,
        message=address.message,
        most=most,
        itself=itself,
    )
    if not rows:
        raise missing(address)
    chat, message, known, posted, found = rows[0]
    found = sorted(found, key=lambda row: (row[2] is None, row[2] or 0, f"{row[0]}:{row[1]}"))
    cut = limit is not None and len(found) > limit
    found = found[:limit]
    forwards = [Forward(address=f"{row[0]}:{row[1]}") for row in found]
    fill(graph, forwards)
    for forward, (*_, when) in zip(forwards, found, strict=True):
        if posted is not None and when is not None:
            forward.lag = (when - posted) / 1_000_000
    lags = [forward.lag for forward in forwards if forward.lag is not None]
    dates = [when for *_, when in found if when is not None]
    return Spread(
        origin=str(Address(chat, message)),
        known=known,
        forwards=forwards,
        first=times.iso(min(dates)) if dates else None,
        median_lag=statistics.median(lags) if lags else None,
        truncated=cut,
    )


def ancestors(
    graph: Graph, address: Address, depth: int | None = DEPTH
) -> tuple[list[Address], Address | None]:
    """Return the message, what it replies to, and so on, at most `depth` links, without a message
    twice; and what the last of them replies to.
    """
    rows = graph.rows(bounded("ask/ancestors", depth), chat=address.chat, message=address.message)
    if not rows:
        raise missing(address)
    parents = {Address(*row[:2]): _address(row[2:]) for row in rows}
    chain: Parents = {}
    one: Address | None = address
    while one is not None and one in parents and one not in chain:
        chain[one] = parents[one]
        one = chain[one]
    return list(chain), one


def fill(graph: Graph, items: Sequence[Shown]) -> None:
    """Read what is shown of messages into `items`, by their addresses."""
    places: dict[tuple[int, int], list[Shown]] = {}
    for item in items:
        chat, _, message = item.address.rpartition(":")
        places.setdefault((int(chat), int(message)), []).append(item)
    keys = list(places)
    for start in range(0, len(keys), PAGE):
        page = [list(key) for key in keys[start : start + PAGE]]
        for row in graph.rows(statement("ask/items"), keys=page):
            for item in places[row[0], row[1]]:
                _fill(item, row)


def missing(address: Address) -> NotFound:
    """Return the error for a message that is not in the graph."""
    return NotFound(f"no message of the graph has the address {address}, and none refers to it")


def _fill(item: Item, row: list[Any]) -> None:
    chat, message, post_id, posted, url, text, *author, is_post = row
    item.post_id = post_id if is_post else None
    item.posted_at = None if posted is None else times.iso(posted)
    item.url = url or Address(chat, message).link
    item.text = text
    item.author = None if author[0] is None else Writer(*author)


def below(
    graph: Graph, roots: Sequence[Address], limit: int | None, depth: int | None
) -> tuple[Parents, bool]:
    """Return what replies to `roots`, nearest first, with what it replies to; and whether a bound
    cut it.
    """
    rows = graph.rows(
        bounded("ask/below", depth),
        roots=[list(root) for root in roots],
        most=NO_LIMIT if limit is None else limit + 1,
    )
    cut = limit is not None and len(rows) > limit
    parents: Parents = {}
    levels: dict[Address | None, int] = dict.fromkeys(roots, 0)
    for row in rows[:limit]:
        one, to = Address(*row[:2]), _address(row[2:4])
        parents[one] = to
        level = levels.get(to, 0) + 1
        levels.setdefault(one, level)
        cut = cut or (depth is not None and level >= depth and row[4])
    return parents, cut


def replies(graph: Graph, tops: Sequence[Address], parents: Parents) -> list[Reply]:
    """Return messages in the order of reading, each after what it replies to, siblings by id.

    `tops` come at depth 0, and are listed if they are in `parents` too.
    """
    answers: dict[Address | None, list[Address]] = {}
    for one, to in parents.items():
        if one not in tops:
            answers.setdefault(to, []).append(one)
    for siblings in answers.values():
        siblings.sort(key=lambda one: (one.message, one.chat), reverse=True)
    found: list[Reply] = []
    for top in tops:
        stack = [(top, 0)]
        while stack:
            one, level = stack.pop()
            if one in parents:
                to = parents[one]
                found.append(
                    Reply(address=str(one), reply_to=None if to is None else str(to), depth=level)
                )
            stack += [(answer, level + 1) for answer in answers.pop(one, ())]
    fill(graph, found)
    return found


def _address(pair: Sequence[Any]) -> Address | None:
    return None if pair[0] is None else Address(*pair)
