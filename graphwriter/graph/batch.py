"""The parameters of the two write statements: the events of a batch, folded and laid out as rows.

Pure. Events of one message are folded facet by facet: the highest version wins. The distinct
messages, sources and authors are in lists, in an order in which every worker takes its locks; rows
refer to them by position. `cypher/write.cypher` and `cypher/update.cypher` read the columns of a
row by position: a new column is added in all three files.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from graphwriter.events import Address, Endpoint, Event, Links, day
from graphwriter.keep import NOTHING, Keep

Labels = dict[Endpoint, tuple[int, str | None]]  # version and name; -1 while nameless
MICROS = 1_000_000


# A row is a plain list, since the driver's packer in Rust takes no other sequence. Its columns:
Row = list[Any]
POST = (
    *("message", "forward_version", "reply_version", "author_version"),
    *("version", "post_id", "channel_id", "tenant_id", "posted_seconds", "posted_nanoseconds"),
    *("views_count", "forwards_count", "reactions_count", "has_media", "is_edited"),
    *("telegram_post_url", "content_hash", "text"),
)  # and "grouped_id", where albums are kept
FORWARD = (
    *("message", "version", "source", "target"),
    *("seconds", "nanoseconds", "message_id", "name"),
)
REPLY = ("message", "version", "target", "thread_id")
AUTHORED = ("message", "version", "author", "signature")
NO_LINK = ("message", "version")
# `messages` and `urls` are lists of [target, URL as the event has it]; without targets the row ends
# after the count.
LINKS = ("message", "version", "count", "messages", "urls")
MEDIA = ("message", "version", "files")
LABEL = ("id", "type", "name", "name_day")  # of a source or an author; the newest name and its day

_MESSAGE, _VERSION, _POST_ID = map(POST.index, ("message", "version", "post_id"))
# What write.cypher returns of a post that the graph has: its position, and the version of each
# facet, None for a facet that no event had.
VERSIONS = ("message", "post", "forward", "reply", "author", "links", "media")
# Each list of rows, the column of its version, and that version's column in VERSIONS.
_FACETS = (
    ("posts", _VERSION, 1),
    *(("forwards", 1, 2), ("no_forwards", 1, 2), ("replies", 1, 3), ("no_replies", 1, 3)),
    *(("authored", 1, 4), ("no_authors", 1, 4), ("links", 1, 5), ("media", 1, 6)),
)
NODES = ("messages", "sources", "authors", "urls", "files")
# Each column with the position of a link's other end, and the list of nodes that it points into.
_ENDS = (
    *(("forwards", 2, "sources"), ("forwards", 3, "messages")),
    *(("replies", 2, "messages"), ("authored", 2, "authors")),
)


class Claim(NamedTuple):
    """A post_id, the address that claims it, and the version of the post."""

    post_id: str | None
    tg_channel_id: int
    telegram_message_id: int
    version: int


class Parameter(dict[str, Any]):
    """The parameter of the statement: the lists of a batch by name.

    The driver formats every parameter for its own log, even if nothing is logged, which took a
    fifth of a worker's time (neo4j 6.4): this one has a short text.
    """

    def __repr__(self) -> str:
        return f"<{len(self.get('posts', ()))} posts>"


class Batch(NamedTuple):
    """The parameters of the write statements.

    `messages` has three parts, each sorted: the posts of the batch, what they reply to, and other
    targets. write.cypher first writes the posts, which are among the `first` messages, and locks
    the others last; `order` says why. In a batch `in_one_order` all messages are sorted together.

    Rows that only say that a post has no such link are short, and in lists of their own: most posts
    have most facets empty, and a new post has nothing to unlink.
    """

    messages: list[Address]
    sources: list[Row]  # LABEL
    authors: list[Row]  # LABEL
    posts: list[Row]  # POST; message: position in `messages`
    forwards: list[Row]  # FORWARD; source, target: positions, None where unknown
    replies: list[Row]  # REPLY
    authored: list[Row]  # AUTHORED
    no_forwards: list[Row]  # NO_LINK
    no_replies: list[Row]
    no_authors: list[Row]
    urls: list[str]  # keys of :Link
    files: list[str]  # keys of :Media
    links: list[Row]  # LINKS
    media: list[Row]  # MEDIA
    first: int  # number of messages that are locked before any post is written

    def parameter(self) -> Parameter:
        """Return the batch as the one parameter of a statement."""
        return Parameter(self._asdict())

    def claims(self) -> list[Claim]:
        """Return which address claims which post_id."""
        return [
            Claim(row[_POST_ID], *self.messages[row[_MESSAGE]], row[_VERSION]) for row in self.posts
        ]

    def newer(self, versions: list[Row]) -> tuple[Batch, frozenset[int]]:
        """Return what update.cypher writes: the rows that are newer than the posts of the graph.

        `versions` has a row for each post that the graph has, see VERSIONS. Also returns which
        posts change, as positions in `messages`. The lists of nodes have the ends of rows that are
        too old, too: these may have been merged for nothing.
        """
        held = {row[0]: row for row in versions}
        known: dict[str, list[Row]] = {
            name: [row for row in getattr(self, name) if row[0] in held] for name, *_ in _FACETS
        }
        used: dict[str, set[int]] = {name: set() for name in NODES}
        used["messages"].update(held)
        for name, column, list_name in _ENDS:
            ends = (row[column] for row in known[name])
            used[list_name].update(at for at in ends if at is not None)
        for row in known["links"]:
            for list_name, pairs in zip(("messages", "urls"), row[3:], strict=False):
                used[list_name].update(at for at, _ in pairs)
        used["files"].update(at for row in known["media"] for at in row[2])
        places = {name: {old: at for at, old in enumerate(sorted(used[name]))} for name in NODES}

        rows: dict[str, Any] = {
            name: [row.copy() for row in known[name] if _newer_than(row[own], held[row[0]][other])]
            for name, own, other in _FACETS
        }
        changed = frozenset(row[0] for of_facet in rows.values() for row in of_facet)
        _renumber(rows, places)
        nodes: dict[str, Any] = {
            name: [getattr(self, name)[old] for old in places[name]] for name in NODES
        }
        return Batch(**nodes, **rows, first=len(places["messages"])), changed

    def in_one_order(self) -> tuple[Batch, list[int]]:
        """Return the batch with all messages in one list, to be locked before any is written.

        Also returns for each message its position in this batch.
        """
        order = sorted(range(len(self.messages)), key=self.messages.__getitem__)
        rows = {name: [row.copy() for row in getattr(self, name)] for name, *_ in _FACETS}
        _renumber(rows, {"messages": {old: at for at, old in enumerate(order)}})
        messages = [self.messages[old] for old in order]
        return self._replace(messages=messages, first=len(messages), **rows), order

    def links_only(self) -> Batch:
        """Return the batch without the posts' own values.

        Version 0 makes a node a post if nothing is known of it, and is older than any event.
        """
        nothing = [None] * (len(POST) - _VERSION - 1)
        return self._replace(posts=[[*row[:_VERSION], 0, *nothing] for row in self.posts])


def _renumber(rows: dict[str, list[Row]], places: dict[str, dict[int, int]]) -> None:
    """Replace the positions of nodes in `rows`; `places` has old and new ones by list of nodes."""
    for name, column, nodes in (*((name, 0, "messages") for name in rows), *_ENDS):
        if nodes in places:
            place = places[nodes].get  # None stays None
            for row in rows[name]:
                row[column] = place(row[column])
    for row in rows["links"]:
        for column, nodes in ((3, "messages"), (4, "urls"))[: len(row) - 3]:
            if nodes in places:
                row[column] = [[places[nodes][at], url] for at, url in row[column]]
    if "files" in places:
        for row in rows["media"]:
            row[2] = [places["files"][at] for at in row[2]]


def _newer_than(version: int | None, held: Any) -> bool:
    """Whether a row is written over this version; one that is no number is for verify to repair."""
    if version is None:
        return False
    return held is None or (type(held) in (int, float) and version > held)


def fold(events: Iterable[Event], keep: Keep = NOTHING) -> Batch:
    """Return the rows that write `events`, in any order and any number: the newest wins.

    `keep` is what they were decoded with.
    """
    return _rows(newest(events), keep)


def newest(events: Iterable[Event]) -> dict[Address, Event]:
    """Return one event per message: each facet from the newest event that has it."""
    by_address: dict[Address, Event] = {}
    for event in events:
        held = by_address.setdefault(event.address, event)
        if held is not event:
            facets = map(_newer, held[2:], event[2:])
            by_address[event.address] = Event(held.address, held.tenant_id, *facets)
    return by_address


def _newer(held: Any, facet: Any) -> Any:
    """Return the facet with the higher version; None has none."""
    return facet if held is None or (facet is not None and facet.version > held.version) else held


def _rows(events: dict[Address, Event], keep: Keep) -> Batch:
    replied, targets, source_names, author_names, pages, hashes = _ends(events.values())
    replied -= events.keys()
    targets -= events.keys() | replied
    messages = [*sorted(events), *sorted(replied), *sorted(targets)]
    position: dict[Address | None, int]
    position = {address: at for at, address in enumerate(messages)}
    sources, source_position = _sorted(source_names)
    authors, author_position = _sorted(author_names)
    urls, files = sorted(pages), sorted(hashes)
    url_position = {url: at for at, url in enumerate(urls)}
    file_position = {key: at for at, key in enumerate(files)}
    link_rows: list[Row] = []
    media: list[Row] = []
    posts: list[Row] = []
    forwards: list[Row] = []
    replies: list[Row] = []
    authored: list[Row] = []
    no_forwards: list[Row] = []
    no_replies: list[Row] = []
    no_authors: list[Row] = []
    for at, address in enumerate(messages[: len(events)]):
        _, _, post, forward, reply, author, links, files_of = events[address]
        forward_version = reply_version = author_version = None
        if forward is not None:
            forward_version, source, target, date, message_id, name = forward
            if source is None and target is None:
                no_forwards.append([at, forward_version])
            else:
                ends = source_position.get(source), position.get(target)
                forwards.append([at, forward_version, *ends, *_seconds(date), message_id, name])
        if reply is not None:
            reply_version, target, thread_id = reply
            if target is None:
                no_replies.append([at, reply_version])
            else:
                replies.append([at, reply_version, position[target], thread_id])
        if author is not None:
            author_version, endpoint, _, signature = author
            if endpoint is None:
                no_authors.append([at, author_version])
            else:
                authored.append([at, author_version, author_position[endpoint], signature])
        if links is not None:
            link_rows.append(_link_row(at, links, position, url_position))
        if files_of is not None:
            media.append([at, files_of.version, [file_position[one] for one in files_of.hashes]])
        versions = forward_version, reply_version, author_version
        text = post.text if keep.text else None
        row = [at, *versions, *post[:4], *_seconds(post.posted_at), *post[5:-2], text]
        if keep.albums:
            row.append(post.grouped_id)
        posts.append(row)
    rows = forwards, replies, authored, no_forwards, no_replies, no_authors
    sets = urls, files, link_rows, media
    return Batch(messages, sources, authors, posts, *rows, *sets, first=len(events))


def _link_row(
    at: int, links: Links, messages: dict[Address | None, int], urls: dict[str, int]
) -> Row:
    """Return the row of a post's links, see LINKS."""
    if not links.targets:
        return [at, links.version, links.total]
    to_messages = [[messages[to], url] for to, url in links.targets if not isinstance(to, str)]
    to_urls = [[urls[to], url] for to, url in links.targets if isinstance(to, str)]
    return [at, links.version, links.total, to_messages, to_urls]


def _ends(
    events: Iterable[Event],
) -> tuple[set[Address], set[Address], Labels, Labels, set[str], set[str]]:
    """Return the other ends of the links.

    These are messages that are replied to, other messages, sources, authors, pages, and files.
    """
    replied: set[Address] = set()
    messages: set[Address] = set()
    sources: Labels = {}
    authors: Labels = {}
    pages: set[str] = set()
    files: set[str] = set()
    for _, _, _, forward, reply, author, links, media in events:
        if forward is not None:
            if forward.target is not None:
                messages.add(forward.target)
            if forward.source is not None:
                name_of_end(sources, forward.source, forward.version, forward.name)
        if reply is not None and reply.target is not None:
            replied.add(reply.target)
        if author is not None and author.author is not None:
            name_of_end(authors, author.author, author.version, author.name)
        if links is not None:
            for end, _ in links.targets:
                if isinstance(end, str):
                    pages.add(end)
                else:
                    messages.add(end)
        if media is not None:
            files.update(media.hashes)
    return replied, messages, sources, authors, pages, files


def _seconds(micros: int | None) -> tuple[int | None, int | None]:
    """Return whole seconds and nanoseconds, as Cypher's datetime() takes them, also before 1970."""
    if micros is None:
        return None, None
    seconds, rest = divmod(micros, MICROS)
    return seconds, rest * 1000


def name_of_end(held: Labels, key: Endpoint, version: int, name: str | None) -> None:
    """Keep `key`, a source or an author, with the newest name that was given for it."""
    if key not in held or (name is not None and version > held[key][0]):
        held[key] = (version if name is not None else -1, name)


def _sorted(names: Labels) -> tuple[list[Row], dict[Endpoint | None, int]]:
    rows: list[Row] = []
    position: dict[Endpoint | None, int] = {}
    for at, (key, (version, name)) in enumerate(sorted(names.items())):
        position[key] = at
        rows.append([*key, name, None if name is None else day(version)])
    return rows, position
