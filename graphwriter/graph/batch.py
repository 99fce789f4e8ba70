"""What one statement carries: the events of a batch, folded and laid out as rows.

Pure. Events of one message are folded facet by facet, the highest version wins. The distinct
messages, sources and authors stand in lists sorted by key, so that every worker takes its locks in
the same order, and rows name them by their place in those lists.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from graphwriter.events import Address, Endpoint, Event, day

Row = list[Any]
Labels = dict[Endpoint, tuple[int, str | None]]  # version and name; -1 while nameless
MICROS = 1_000_000


class Parameter(dict[str, list[Any]]):
    """What the driver sends: a batch's lists by their names.

    The driver makes a text of every parameter for its own log, also while nothing is logged, which
    took a fifth of a worker's time (neo4j 6.4): this one's is short.
    """

    def __repr__(self) -> str:
        return f"<{len(self.get('posts', ()))} posts>"


class Batch(NamedTuple):
    """The parameters of the write statement; `write.cypher` says what each row holds.

    Rows that say only that a post has no such link are short, and stand apart: most posts have most
    facets empty, and a new post has nothing to unlink.
    """

    messages: list[Address]
    sources: list[Row]
    authors: list[Row]
    posts: list[Row]
    forwards: list[Row]
    replies: list[Row]
    authored: list[Row]
    no_forwards: list[Row]
    no_replies: list[Row]
    no_authors: list[Row]

    def parameter(self) -> Parameter:
        """Return the batch as the one parameter of its statement."""
        return Parameter(self._asdict())


def fold(events: Iterable[Event], with_text: bool = False) -> Batch:
    """Return the rows that write `events`, in any order and any number, with the newest winning."""
    return _rows(newest(events), with_text)


def newest(events: Iterable[Event]) -> dict[Address, Event]:
    """Return one event a message: of each facet what the newest that speaks for it says."""
    found: dict[Address, Event] = {}
    for event in events:
        held = found.setdefault(event.address, event)
        if held is not event:
            facets = map(_newer, held[2:], event[2:])
            found[event.address] = Event(held.address, held.tenant_id, *facets)
    return found


def _newer(one: Any, other: Any) -> Any:
    """Return the facet of the higher version; None has none."""
    return other if one is None or (other is not None and other.version > one.version) else one


def _rows(events: dict[Address, Event], with_text: bool) -> Batch:
    messages, sources, authors = _ends(events.values())
    message_list = sorted(messages.union(events))
    message_at: dict[Address | None, int]
    message_at = {address: place for place, address in enumerate(message_list)}
    source_list, source_at = _sorted(sources)
    author_list, author_at = _sorted(authors)
    batch = Batch(message_list, source_list, author_list, [], [], [], [], [], [], [])
    _, _, _, posts, forwards, replies, authored, no_forwards, no_replies, no_authors = batch
    for at, address in enumerate(message_list):
        event = events.get(address)
        if event is None:
            continue  # only a target
        _, _, post, forward, reply, author = event
        forward_version = reply_version = author_version = None
        if forward is not None:
            forward_version, source, to, date, message_id, name = forward
            if source is None and to is None:
                no_forwards.append([at, forward_version])
            else:
                where = source_at.get(source), message_at.get(to)
                forwards.append([at, forward_version, *where, *_seconds(date), message_id, name])
        if reply is not None:
            reply_version, to, thread_id = reply
            if to is None:
                no_replies.append([at, reply_version])
            else:
                replies.append([at, reply_version, message_at[to], thread_id])
        if author is not None:
            author_version, endpoint, _, signature = author
            if endpoint is None:
                no_authors.append([at, author_version])
            else:
                authored.append([at, author_version, author_at[endpoint], signature])
        versions = forward_version, reply_version, author_version
        row = [at, *versions, *post[:4], *_seconds(post.posted_at), *post[5:]]
        if not with_text:
            row[-1] = None
        posts.append(row)
    return batch


def _ends(events: Iterable[Event]) -> tuple[set[Address], Labels, Labels]:
    """Return what the links lead to: messages, sources, authors."""
    messages: set[Address] = set()
    sources: Labels = {}
    authors: Labels = {}
    for _, _, _, forward, reply, author in events:
        if forward is not None:
            if forward.target is not None:
                messages.add(forward.target)
            if forward.source is not None:
                _label(sources, forward.source, forward.version, forward.name)
        if reply is not None and reply.target is not None:
            messages.add(reply.target)
        if author is not None and author.author is not None:
            _label(authors, author.author, author.version, author.name)
    return messages, sources, authors


def _seconds(micros: int | None) -> tuple[int | None, int | None]:
    """Return whole seconds and nanoseconds, which Cypher's datetime() takes, also before 1970."""
    if micros is None:
        return None, None
    seconds, rest = divmod(micros, MICROS)
    return seconds, rest * 1000


def _label(held: Labels, key: Endpoint, version: int, name: str | None) -> None:
    """Keep the newest name that is given for `key`."""
    if key not in held or (name is not None and version > held[key][0]):
        held[key] = (version if name is not None else -1, name)


def _sorted(held: Labels) -> tuple[list[Row], dict[Endpoint | None, int]]:
    rows: list[Row] = []
    places: dict[Endpoint | None, int] = {}
    for place, (key, (version, name)) in enumerate(sorted(held.items())):
        places[key] = place
        rows.append([*key, name, None if name is None else day(version)])
    return rows, places
