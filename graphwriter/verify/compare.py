"""What an event says of a post, held against what the graph has of it.

Pure. Each facet is judged by its version: where the graph's is the event's own, links and values
have to be just the event's; where it is lower, the graph is behind; where it is higher, something
newer was written, and only equal values say that all is well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from graphwriter.events import Address, Event, times
from graphwriter.events.wire import shown
from graphwriter.graph.posts import PostState

MISSING_POST = "missing_post"
MISSING_LINK = "missing_link"
WRONG_LINK = "wrong_link"
EXTRA_LINK = "extra_link"
WRONG_VALUE = "wrong_value"
REGRESSION = "version_regression"
IMPOSSIBLE = "impossible_version"
UNSAID = "unsaid_link"

_FACETS = ("post", "forward", "reply", "author")


class Finding(NamedTuple):
    """One difference: its kind, where it is, and what differs, for a person."""

    kind: str
    where: str
    detail: str


class Judgement(NamedTuple):
    """What is wrong with a post, how many facets are right, and how many newer than the source."""

    findings: list[Finding]
    right: int = 0
    newer: int = 0


def judge(
    event: Event, held: PostState | None, latest: int, *, exact: bool, text: bool = False
) -> Judgement:
    """Return how the graph's post compares with `event`, the newest of the source.

    Args:
        held: None where the graph has no node for the address.
        latest: the highest version that an event can have; a higher one counts as none.
        exact: the source holds the events that were written. Else it holds rows with a time of
            their own: a lower version is then no difference where the values are equal, and what a
            row has no value for it does not speak of.
        text: the graph keeps texts.
    """
    where = place(event.address)
    if held is None or not held.is_post:
        there = "no node" if held is None else "a node, but no :Post"
        return Judgement([Finding(MISSING_POST, where, there)])
    found: list[Finding] = []
    right = newer = 0
    for name, facet, version in zip(_FACETS, event[2:], held.versions, strict=True):
        if facet is None:
            found += [Finding(UNSAID, where, unsaid(name))] * _is_unsaid(name, version, held)
            continue
        differing = _differences(facet, held, text, exact)
        wrong = [Finding(kind, where, detail) for kind, detail in differing]
        why = impossible(name, version, max(latest, facet.version))
        if why is not None:
            found += [*wrong, Finding(IMPOSSIBLE, where, why)]
        elif version is not None and version > facet.version:
            right, newer = right + (not wrong), newer + bool(wrong)
        elif wrong or (exact and version != facet.version):
            found += wrong
            if version != facet.version:
                found.append(Finding(REGRESSION, where, _older(name, version, facet.version)))
        else:
            right += 1
    return Judgement(found, right, newer)


def impossible(name: str, version: Any, latest: int) -> str | None:
    """Return why no event can have this version of the facet `name`; None where one can."""
    if version is None or (type(version) is int and version <= latest):
        return None
    return unlikely(name, version)


def unlikely(name: str, version: Any) -> str:
    """Return what there is to say of a version of the facet `name` that no event can have."""
    told = f"of {_moment(version)}, a time to come" if type(version) is int else "no integer"
    return f"the {name}'s version is {told}"


def unsaid(name: str) -> str:
    """Return what there is to say of links of the facet `name` that no event said."""
    if not name:
        return "it is no :Post, and has links of its own"
    return f"its {name} has a link, but no version: no event spoke of it"


def place(address: Address) -> str:
    """Return an address as people write it: chat/message."""
    return f"{address[0]}/{address[1]}"


def _is_unsaid(name: str, version: Any, held: PostState) -> bool:
    """Whether a facet has links, which no event said: each leaves a version, and so does adoption.

    Of a post without a version of its own nothing is known yet: another service may have made it.
    """
    own = held.versions[0]
    known = own is not None and (type(own) is not int or own >= 0)
    links = {
        "forward": [*held.sources, *held.targets],
        "reply": held.replies,
        "author": held.authors,
    }
    return known and version is None and bool(links[name])


def _differences(facet: Any, held: PostState, text: bool, exact: bool) -> Iterator[tuple[str, str]]:
    link: tuple[Any, ...]
    match type(facet).__name__:
        case "Post":
            names = facet._fields[1:] if text else facet._fields[1:-1]
            for name, wanted, found in zip(names, facet[1:], held.post, strict=False):
                if not _same(wanted, found) and (exact or wanted is not None):
                    yield (
                        WRONG_VALUE,
                        f"{name} is {_value(name, found)}, not {_value(name, wanted)}",
                    )
        case "Forward":
            link = (facet.source, facet.date, facet.message_id, facet.name)
            yield from _links("FORWARDED_FROM", link, facet.source, held.sources)
            to = (facet.target,)
            found_targets = [(each,) for each in held.targets]
            yield from _links("FORWARDED_FROM_POST", to, facet.target, found_targets)
        case "Reply":
            link = (facet.target, facet.thread_id)
            yield from _links("REPLIES_TO", link, facet.target, held.replies)
        case _:
            link = (facet.author, facet.signature)
            yield from _links("AUTHOR_OF", link, facet.author, held.authors)


# What a link is told by: its other end, then its properties.
_NAMES = {
    "FORWARDED_FROM": ("end", "forward_date", "forward_from_message_id", "source_name"),
    "FORWARDED_FROM_POST": ("end",),
    "REPLIES_TO": ("end", "thread_id"),
    "AUTHOR_OF": ("end", "signature"),
}
_TIMES = ("posted_at", "forward_date")


def _links(kind: str, link: Any, end: Any, found: Sequence[Any]) -> Iterator[tuple[str, str]]:
    """Compare the one link that there should be, none where `end` is None, with those there are."""
    extra = list(found)
    if end is not None:
        right = [at for at, one in enumerate(extra) if all(map(_same, one, link))]
        if right:
            del extra[right[0]]
        elif extra:
            said = [
                f"{name} is {_value(name, is_)}, not {_value(name, wanted)}"
                for name, is_, wanted in zip(_NAMES[kind], extra.pop(0), link, strict=True)
                if not _same(is_, wanted)
            ]
            yield WRONG_LINK, f"{kind}: {'; '.join(said)}"
        else:
            yield MISSING_LINK, f"{kind} {_value('end', end)} is not there"
    for one in extra:
        yield EXTRA_LINK, f"{kind} {_value('end', one[0])} is one too many"


def _same(one: Any, other: Any) -> bool:
    """Whether two values are one to Neo4j, too: Python takes 5 for 5.0, and 1 for true."""
    return type(one) is type(other) and bool(one == other)


def _older(name: str, version: int | None, wanted: int) -> str:
    if version is None or version < 0:
        return f"the {name} has no version, the source's is of {_moment(wanted)}"
    if version >> 21 == wanted >> 21:
        return f"the {name} is what loses the tie of {_moment(wanted)}"
    return f"the {name} is of {_moment(version)}, the source's of {_moment(wanted)}"


def _moment(version: int) -> str:
    return _value("posted_at", (version >> 21) * 1000)


def _value(name: str, value: Any) -> str:
    if name in _TIMES and isinstance(value, int):
        return _iso(value)
    if name == "end" and value is None:
        return "a node of another kind"
    if name == "end":
        one, other = value
        return f"{other} {one}" if isinstance(other, str) else f"{one}/{other}"
    return shown(value)


def _iso(micros: int) -> str:
    try:
        return times.iso(micros)
    except OverflowError:  # in the year 0 or 10000, of a zone where the year is one of Python's
        return shown(micros)
