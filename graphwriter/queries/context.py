"""One post and what is around it, within a budget, for a person or a language model to read."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, zip_longest
from typing import Any

import msgspec

from graphwriter.events import times
from graphwriter.graph import Graph, schema
from graphwriter.graph.client import bounded, statement
from graphwriter.queries import posts
from graphwriter.queries.address import Address
from graphwriter.queries.answers import Context, Item, Origin, Reply, Same, Shared, Writer

LIMIT = 50  # items of one kind
DEPTH = 100  # links
PARTS = 100  # of an album; Telegram's have ten at most
MOST = 2**31 - 1  # where there is no limit
TOKEN = 4  # characters of a token, roughly
KINDS = ("ancestors", "album", "replies", "comments", "forwards", "same")


def context(
    graph: Graph,
    address: Address,
    *,
    budget: int | None = None,
    limit: int | None = LIMIT,
    depth: int | None = DEPTH,
) -> Context:
    """Return a post with its origin, ancestors, replies, comments, forwards and posts with the same
    content; the latter only with the index of `schema apply --read`.

    Args:
        budget: tokens, roughly, of the answer as JSON. The post comes first, then its ancestors,
            the nearest first, then the other parts of its album, then one item of each other kind
            after the other. The same graph and budget give the same answer.
        limit: items of each kind.
        depth: replies to replies, and ancestors.

    `left_out` counts at least the direct replies and forwards that exist and are not in the answer.

    Raises:
        NotFound: the message is not in the graph.
    """
    where = {"chat": address.chat, "message": address.message}
    most = posts.NO_LIMIT if limit is None else posts.FORWARDS + 1
    rows = graph.rows(
        bounded("ask/around", depth), **where, most=most, limit=MOST if limit is None else limit
    )
    if not rows:
        raise posts.missing(address)
    *origin, replied, forwarded, content, above, more_copies, copies, forwards, posted = rows[0][
        :-2
    ]
    album, links = rows[0][-2:]
    post = Item(address=str(address))
    found = Context(post=post, origin=_origin(origin), links=sorted(links))
    chain, further = posts.chain_of(address, above)
    found.ancestors = [
        Reply(
            address=str(one),
            depth=-level,
            reply_to=None if to is None else str(to),
        )
        for level, (one, to) in enumerate(pairwise([*chain, further]))
        if one is not None and level
    ][:limit]
    found.replies, cut = posts.below(graph, [address], limit, depth)
    roots = sorted(Address(*copy) for copy in copies)
    found.comments, more = posts.below(graph, roots, limit, depth)
    found.forwards = posts.forwards_of(posted, forwards)
    found.same, more_same = _same(graph, content, where, limit)
    found.album, more_album = _album(graph, album, address, limit)
    source = [found.origin.post] if found.origin and found.origin.post else []
    posts.fill(graph, [post, *source, *found.ancestors, *found.forwards, *found.same, *found.album])
    found.author, post.author = post.author, None
    left = {
        "ancestors": len(chain) - 1 - len(found.ancestors),
        "album": more_album,
        "replies": max(replied - sum(one.depth == 1 for one in found.replies), int(cut)),
        "comments": int(more or more_copies),
        "forwards": forwarded - len(found.forwards),
        "same": more_same,
    }
    if further is not None and further not in chain:
        left["ancestors"] += 1
    if budget is not None:
        _fit(found, budget * TOKEN, left)
    found.left_out = {kind: number for kind, number in left.items() if number > 0}
    found.truncated = bool(found.left_out)
    return found


def same(graph: Graph, address: Address, *, limit: int | None = posts.LIMIT) -> Same:
    """Return posts that share the content, a file or the target of a link with a post.

    The content needs the index of `schema apply --read`; files and links are there where they are
    kept. At most `limit` posts for each of the three.

    Raises:
        NotFound: the message is not in the graph.
    """
    where = {"chat": address.chat, "message": address.message}
    most = posts.NO_LIMIT if limit is None else limit + 1
    rows = graph.rows(statement("ask/shared"), **where, most=most)
    if not rows:
        raise posts.missing(address)
    posted, content, files, targets = rows[0]
    alike: list[list[Any]] = []
    if content is not None and schema.has(graph, "graphwriter_content"):
        alike = graph.rows(statement("ask/same"), hash=content, **where, most=most)
    found: dict[Address, Shared] = {}
    for kind, shared in (("content", alike), ("media", files), ("link", targets)):
        for chat, message, when, *what in shared[:limit]:
            one = found.setdefault(
                Address(chat, message),
                Shared(
                    address=str(Address(chat, message)),
                    by=[],
                    lag=None if None in (posted, when) else (when - posted) / 1_000_000,
                ),
            )
            if kind not in one.by:
                one.by.append(kind)
            if kind == "link":
                one.links = sorted({*one.links, *what})
    post = Item(address=str(address))
    ordered = sorted(
        found.items(), key=lambda pair: (pair[1].lag is None, pair[1].lag or 0, pair[0])
    )
    cut = limit is not None and any(len(rows) > limit for rows in (alike, files, targets))
    answer = Same(post=post, same=[one for _, one in ordered], truncated=cut)
    posts.fill(graph, [post, *answer.same])
    return answer


def _origin(row: list[Any]) -> Origin | None:
    source, type_, name, said, when, chat, message = row
    if source is None and chat is None:
        return None
    return Origin(
        source=None if source is None else Writer(source, type_, name or said),
        forwarded_at=None if when is None else times.iso(when),
        post=None if chat is None else Item(address=str(Address(chat, message))),
    )


def _same(
    graph: Graph, content: str | None, where: dict[str, int], limit: int | None
) -> tuple[list[Item], int]:
    """Return posts with the same content, and whether there are more, as 0 or 1."""
    if content is None or not schema.has(graph, "graphwriter_content"):
        return [], 0
    most = posts.NO_LIMIT if limit is None else limit + 1
    rows = graph.rows(statement("ask/same"), hash=content, **where, most=most)
    same = [Item(address=str(Address(*row[:2]))) for row in sorted(rows, key=lambda row: row[:2])]
    return same[:limit], int(limit is not None and len(same) > limit)


def _album(
    graph: Graph, album: int | None, address: Address, limit: int | None
) -> tuple[list[Item], int]:
    """Return the other parts of the album, and how many more, where there is an index of albums."""
    if album is None or not schema.has(graph, schema.ALBUM):
        return [], 0
    rows = graph.rows(statement("ask/album"), chat=address.chat, album=album, most=PARTS)
    parts = [Address(*row) for row in rows]
    others = [Item(address=str(part)) for part in parts if part != address]
    return others[:limit], len(others) - len(others[:limit])


def _fit(found: Context, characters: int, left: dict[str, int]) -> None:
    """Keep the items that fit, and count the others in `left`."""
    kinds = {kind: getattr(found, kind) for kind in KINDS}
    for kind in KINDS:
        setattr(found, kind, [])
    links, found.links = found.links, []
    characters -= _size(found)
    if characters < 0 and (text := found.post.text):
        kept = max(0, len(text) + characters)
        found.post.text = text[:kept] + "…"
        left["characters of the text"] = len(text) - kept
    for url in links:
        characters -= _size(url) + 1
        if characters < 0:
            left["links"] = left.get("links", 0) + 1
        else:
            found.links.append(url)
    full = False
    for kind, item in _in_turn(kinds):
        characters -= _size(item) + 1
        full = full or characters < 0
        if full:
            left[kind] += 1
        else:
            getattr(found, kind).append(item)


def _in_turn(kinds: dict[str, list[Item]]) -> Iterator[tuple[str, Item]]:
    """Yield the ancestors, the album, then one item of each other kind after the other."""
    for item in kinds["ancestors"]:
        yield "ancestors", item
    for item in kinds["album"]:
        yield "album", item
    others = KINDS[2:]
    for row in zip_longest(*(kinds[kind] for kind in others)):
        for kind, item in zip(others, row, strict=True):
            if item is not None:
                yield kind, item


def _size(value: Any) -> int:
    return len(msgspec.json.encode(value).decode())
