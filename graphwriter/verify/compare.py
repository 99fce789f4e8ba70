"""Compares an event with the state of its post in the graph.

Pure. Each facet is compared by version. If the graph has the event's version, links and values must
equal the event's; a lower version means that the graph is behind; a higher one means that a newer
event was written, and only equal values are known to be right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from graphwriter.events import Address, Author, Event, Forward, Links, Media, Post, Reply, times
from graphwriter.events.wire import shown
from graphwriter.graph.posts import PostState
from graphwriter.keep import NOTHING, Keep

MISSING_POST = "missing_post"
MISSING_LINK = "missing_link"
WRONG_LINK = "wrong_link"
EXTRA_LINK = "extra_link"
WRONG_VALUE = "wrong_value"
REGRESSION = "version_regression"
IMPOSSIBLE = "impossible_version"
UNSAID = "unsaid_link"

_FACETS = ("post", "forward", "reply", "author", "links", "media")


class Difference(NamedTuple):
    """One difference: its kind, its place, and a sentence for people."""

    kind: str
    where: str
    detail: str


class Comparison(NamedTuple):
    """The differences of a post, and how many facets are right or newer than the source."""

    differences: list[Difference]
    right: int = 0
    newer: int = 0


def compare(
    event: Event, held: PostState | None, latest: int, *, exact: bool, keep: Keep = NOTHING
) -> Comparison:
    """Return the differences between `event`, the newest of the source, and the graph.

    Args:
        held: the state of the post; None if the graph has no node for the address.
        latest: the highest version that an event can have; a higher one is impossible.
        exact: the source has the events that were written. Otherwise it has rows with their own
            time: a lower version is then no difference if the values are equal, and a value that a
            row does not have is not compared.
        keep: what the graph keeps of posts; `event` was decoded with it.
    """
    where = place(event.address)
    if held is None or not held.is_post:
        state = "no node" if held is None else "a node without the label :Post"
        return Comparison([Difference(MISSING_POST, where, state)])
    found: list[Difference] = []
    right = newer = 0
    for name, facet, version in zip(_FACETS, event[2:], held.versions, strict=True):
        if facet is None:
            if getattr(keep, name, True) and _is_unsaid(name, version, held):
                found.append(Difference(UNSAID, where, unsaid(name)))
            continue
        differing = _differences(facet, held, keep, exact)
        wrong = [Difference(kind, where, detail) for kind, detail in differing]
        why = impossible(name, version, max(latest, facet.version))
        if why is not None:
            found += [*wrong, Difference(IMPOSSIBLE, where, why)]
        elif version is not None and version > facet.version:
            right, newer = right + (not wrong), newer + bool(wrong)
        elif wrong or (exact and version != facet.version):
            found += wrong
            if version != facet.version:
                found.append(Difference(REGRESSION, where, _older(name, version, facet.version)))
        else:
            right += 1
    return Comparison(found, right, newer)


def impossible(name: str, version: Any, latest: int) -> str | None:
    """Return why no event can have this version of the facet `name`; None if one can."""
    if version is None or (type(version) is int and version <= latest):
        return None
    return unlikely(name, version)


def unlikely(name: str, version: Any) -> str:
    """Describe a version of the facet `name` that no event can have."""
    problem = f"of the future, {_moment(version)}" if type(version) is int else "not an integer"
    return f"the {name}'s version is {problem}"


def unsaid(name: str) -> str:
    """Describe links of the facet `name` that have no event."""
    if not name:
        return "it is a placeholder, and has links of its own"
    return f"its {name} has a link but no version: no event set it"


def place(address: Address) -> str:
    """Return an address as chat/message."""
    return f"{address[0]}/{address[1]}"


def _is_unsaid(name: str, version: Any, held: PostState) -> bool:
    """Whether a facet has links without an event: an event leaves a version, and so does adoption.

    A post without a version may be another service's: nothing is known about it.
    """
    own = held.versions[0]
    known = own is not None and (type(own) is not int or own >= 0)
    links = {
        "forward": [*held.sources, *held.targets],
        "reply": held.replies,
        "author": held.authors,
        "links": held.links,
        "media": held.media,
    }
    return known and version is None and bool(links[name])


def _differences(facet: Any, held: PostState, keep: Keep, exact: bool) -> Iterator[tuple[str, str]]:
    link: tuple[Any, ...]
    match facet:
        case Post():
            kept = {"text": keep.text, "grouped_id": keep.albums}
            rows = zip(facet._fields[1:], facet[1:], held.post, strict=True)
            for name, wanted, found in rows:
                if not kept.get(name, True):
                    continue
                if not _same(wanted, found) and (exact or wanted is not None):
                    yield (
                        WRONG_VALUE,
                        f"{name} is {_value(name, found)}, not {_value(name, wanted)}",
                    )
        case Forward():
            link = (facet.source, facet.date, facet.message_id, facet.name)
            yield from _links("FORWARDED_FROM", link, facet.source, held.sources)
            to = (facet.target,)
            found_targets = [(each,) for each in held.targets]
            yield from _links("FORWARDED_FROM_POST", to, facet.target, found_targets)
        case Reply():
            link = (facet.target, facet.thread_id)
            yield from _links("REPLIES_TO", link, facet.target, held.replies)
        case Author():
            link = (facet.author, facet.signature)
            yield from _links("AUTHOR_OF", link, facet.author, held.authors)
        case Links():
            if not _same(facet.total, held.links_count):
                yield WRONG_VALUE, f"links_count is {held.links_count}, not {facet.total}"
            yield from _sets("LINKS_TO", facet.targets, held.links)
        case Media():
            yield from _sets("HAS_MEDIA", facet.hashes, held.media)


# What identifies a link: its other end, then its properties.
_NAMES = {
    "FORWARDED_FROM": ("end", "forward_date", "forward_from_message_id", "source_name"),
    "FORWARDED_FROM_POST": ("end",),
    "REPLIES_TO": ("end", "thread_id"),
    "AUTHOR_OF": ("end", "signature"),
}
_TIMES = ("posted_at", "forward_date")


def _links(kind: str, link: Any, end: Any, found: Sequence[Any]) -> Iterator[tuple[str, str]]:
    """Compare the expected link, none if `end` is None, with the existing ones."""
    extra = list(found)
    if end is not None:
        right = [at for at, existing in enumerate(extra) if all(map(_same, existing, link))]
        if right:
            del extra[right[0]]
        elif extra:
            parts = [
                f"{name} is {_value(name, is_)}, not {_value(name, wanted)}"
                for name, is_, wanted in zip(_NAMES[kind], extra.pop(0), link, strict=True)
                if not _same(is_, wanted)
            ]
            yield WRONG_LINK, f"{kind}: {'; '.join(parts)}"
        else:
            yield MISSING_LINK, f"{kind} {_value('end', end)} is missing"
    for existing in extra:
        yield EXTRA_LINK, f"{kind} {_value('end', existing[0])} is one too many"


def _sets(kind: str, wanted: Sequence[Any], found: Sequence[Any]) -> Iterator[tuple[str, str]]:
    """Compare the links of a facet that may have many: each is its end, or its end and its URL."""
    extra = list(found)
    for link in wanted:
        if link in extra:
            extra.remove(link)
        else:
            yield MISSING_LINK, f"{kind} {shown(link)} is missing"
    for link in extra:
        yield EXTRA_LINK, f"{kind} {shown(link)} is one too many"


def _same(one: Any, other: Any) -> bool:
    """Whether two values are equal for Neo4j too: for Python 5 equals 5.0, and 1 equals True."""
    return type(one) is type(other) and bool(one == other)


def _older(name: str, version: int | None, wanted: int) -> str:
    if version is None or version < 0:
        return f"the {name} has no version, the source's time is {_moment(wanted)}"
    if version >> 21 == wanted >> 21:
        return (
            f"the {name} has the same time as the source's, {_moment(wanted)}, but loses the "
            "tie-break"
        )
    return f"the {name} has the time {_moment(version)}, the source's {_moment(wanted)}"


def _moment(version: int) -> str:
    return _value("posted_at", (version >> 21) * 1000)


def _value(name: str, value: Any) -> str:
    if name in _TIMES and isinstance(value, int):
        return _iso(value)
    if name == "end" and value is None:
        return "a node with an unexpected label"
    if name == "end":
        first, second = value
        return f"{second} {first}" if isinstance(second, str) else f"{first}/{second}"
    return shown(value)


def _iso(micros: int) -> str:
    try:
        return times.iso(micros)
    except OverflowError:  # a year that Python does not support
        return shown(micros)
