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
    root = Reply(address=str(chain[-1]), reply_to=None if further is None else str(further))
    fill(graph, [root])
    below_limit = None if limit is None else max(limit - 1, 0)
    found, cut = below(graph, [chain[-1]], below_limit, depth)
    above = further is not None and further not in chain
    return Thread(root=root.address, posts=[root, *found], truncated=cut or above)


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
    posts, cut = below(graph, copies, limit, depth)
    return Comments(copies=[str(copy) for copy in copies], posts=posts, truncated=cut or more)


def spread(graph: Graph, address: Address, *, limit: int | None = LIMIT) -> Spread:
    """Return who forwarded the original of a message, when, and how long after it was posted.

    The original is what the message forwards, if its source post is known, else the message.
    """
    most = NO_LIMIT if limit is None else limit + 1
    rows = graph.rows(
        statement("ask/spread"), chat=address.chat, message=address.message, most=most
    )
    if not rows:
        raise missing(address)
    chat, message, known, posted, found = rows[0]
    cut = limit is not None and len(found) > limit
    forwards = forwards_of(posted, found[:limit])
    fill(graph, forwards)
    lags = [forward.lag for forward in forwards if forward.lag is not None]
    dates = [when for *_, when in found[:limit] if when is not None]
    return Spread(
        origin=str(Address(chat, message)),
        known=known,
        forwards=forwards,
        first=times.iso(min(dates)) if dates else None,
        median_lag=statistics.median(lags) if lags else None,
        truncated=cut,
    )


def forwards_of(posted: int | None, rows: list[Any]) -> list[Forward]:
    """Return forwards, [chat, message, posted_at], of what was `posted`, by time and address."""
    ordered = sorted(rows, key=lambda row: (row[2] is None, row[2] or 0, f"{row[0]}:{row[1]}"))
    return [
        Forward(
            address=str(Address(chat, message)),
            lag=None if posted is None or when is None else (when - posted) / 1_000_000,
        )
        for chat, message, when in ordered
    ]


def ancestors(
    graph: Graph, address: Address, depth: int | None = DEPTH
) -> tuple[list[Address], Address | None]:
    """Return the message, what it replies to, and so on, at most `depth` links, without a message
    twice; and what the last of them replies to.
    """
    rows = graph.rows(bounded("ask/ancestors", depth), chat=address.chat, message=address.message)
    if not rows:
        raise missing(address)
    return chain_of(address, rows)


def chain_of(address: Address, rows: list[Any]) -> tuple[list[Address], Address | None]:
    """Return what `ancestors` returns, of rows [chat, message, chat and message of the parent]."""
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
) -> tuple[list[Reply], bool]:
    """Return what replies to `roots`, and whether a bound cut it.

    The limit keeps the nearest. They come in the order of reading: each after what it replies to,
    siblings by id. The roots are not among them.
    """
    if not roots:
        return [], False
    most = NO_LIMIT if limit is None else limit + len(roots) + 1
    rows = graph.rows(bounded("ask/below", depth), roots=[list(root) for root in roots], most=most)
    tops = set(roots)
    found: dict[Address, Reply] = {}
    answered: dict[Address, bool] = {}
    answers: dict[Address | None, list[Address]] = {}
    cut = len(rows) >= most  # some rows may be roots, or of two roots
    for row in rows:
        one, to = Address(*row[:2]), _address(row[10:12])
        if one in tops or one in found:
            continue
        if limit is not None and len(found) >= limit:
            cut = True
            break
        reply = found[one] = Reply(address=str(one), reply_to=None if to is None else str(to))
        _fill(reply, row[:10])
        answered[one] = row[12]
        answers.setdefault(to, []).append(one)
    ordered: list[Reply] = []
    for top in roots:
        stack = [(top, 0)]
        while stack:
            one, level = stack.pop()
            if one not in tops:
                found[one].depth = level
                ordered.append(found[one])
                cut = cut or (depth is not None and level >= depth and answered[one])
            siblings = answers.pop(one, [])
            siblings.sort(key=lambda one: (one.message, one.chat), reverse=True)
            stack += [(answer, level + 1) for answer in siblings]
    return ordered, cut


def _address(pair: Sequence[Any]) -> Address | None:
    return None if pair[0] is None else Address(*pair)
