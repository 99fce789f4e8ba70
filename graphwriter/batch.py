"""What one statement carries: the events of a batch, folded and laid out as rows.

Pure. Events of one message are folded facet by facet, the highest version wins. The distinct
messages, sources and authors stand in lists sorted by key, so that every worker takes its locks in
the same order, and rows name them by their place in those lists.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from graphwriter.events import Address, Endpoint, Event

Row = list[Any]
MICROS = 1_000_000
DAY = 86_400_000  # milliseconds


class Batch(NamedTuple):
    """The parameters of the write statement; `write.cypher` says what each row holds."""

    messages: list[Address]
    sources: list[Row]
    authors: list[Row]
    posts: list[Row]
    forwards: list[Row]
    replies: list[Row]
    authored: list[Row]


def fold(events: Iterable[Event], with_text: bool = False) -> Batch:
    """Return the rows that write `events`, in any order and any number, with the newest winning."""
    newest: dict[Address, Event] = {}
    for event in events:
        held = newest.setdefault(event.address, event)
        if held is not event:
            facets = map(_newer, held[2:], event[2:])
            newest[event.address] = Event(held.address, held.tenant_id, *facets)
    return _rows(newest, with_text)


def _newer(one: Any, other: Any) -> Any:
    """Return the facet of the higher version; None has none."""
    return other if one is None or (other is not None and other.version > one.version) else one


def _rows(newest: dict[Address, Event], with_text: bool) -> Batch:
    messages = set(newest)
    sources: dict[Endpoint, tuple[int, str | None]] = {}
    authors: dict[Endpoint, tuple[int, str | None]] = {}
    for _, _, _, forward, reply, author in newest.values():
        if forward is not None:
            if forward.target is not None:
                messages.add(forward.target)
            if forward.source is not None:
                _label(sources, forward.source, forward.version, forward.name)
        if reply is not None and reply.target is not None:
            messages.add(reply.target)
        if author is not None and author.author is not None:
            _label(authors, author.author, author.version, author.name)
    message_list = sorted(messages)
    message_at: dict[Address | None, int]
    message_at = {address: place for place, address in enumerate(message_list)}
    source_list, source_at = _sorted(sources)
    author_list, author_at = _sorted(authors)
    batch = Batch(message_list, source_list, author_list, [], [], [], [])
    for address in sorted(newest):
        _, _, post, forward, reply, author = newest[address]
        at = message_at[address]
        row = [at, None, None, None, *post]
        row[8:9] = _seconds(post.posted_at)
        if not with_text:
            row[-1] = None
        if forward is not None:
            version, source, target, date, message_id, name = forward
            row[1] = version
            batch.forwards.append(
                [
                    at,
                    version,
                    source_at.get(source),
                    message_at.get(target),
                    *_seconds(date),
                    message_id,
                    name,
                ]
            )
        if reply is not None:
            version, target, thread_id = reply
            row[2] = version
            batch.replies.append([at, version, message_at.get(target), thread_id])
        if author is not None:
            version, endpoint, _, signature = author
            row[3] = version
            batch.authored.append([at, version, author_at.get(endpoint), signature])
        batch.posts.append(row)
    return batch


def _seconds(micros: int | None) -> tuple[int | None, int | None]:
    """Return whole seconds and nanoseconds, which Cypher's datetime() takes, also before 1970."""
    if micros is None:
        return None, None
    seconds, rest = divmod(micros, MICROS)
    return seconds, rest * 1000


def _label(
    held: dict[Endpoint, tuple[int, str | None]], key: Endpoint, version: int, name: str | None
) -> None:
    """Keep the newest name that is given for `key`."""
    if key not in held or (name is not None and version > held[key][0]):
        held[key] = (version if name is not None else -1, name)


def _sorted(
    held: dict[Endpoint, tuple[int, str | None]],
) -> tuple[list[Row], dict[Endpoint | None, int]]:
    rows: list[Row] = []
    places: dict[Endpoint | None, int] = {}
    for place, (key, (version, name)) in enumerate(sorted(held.items())):
        places[key] = place
        rows.append([*key, name, None if name is None else (version >> 21) // DAY])
    return rows, places
