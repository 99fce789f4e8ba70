"""The tables of an offline load: the graph as CSV, as `neo4j-admin database import` reads it. Pure.

The values and their types are those of `graph/cypher/write.cypher`. An empty field is null, a
quoted empty one is an empty text. A node is named by a text that is not a property of it:
`CHAT:MESSAGE` for a message, `TYPE:ID` for a source or an author, the key for a page or a file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date
from functools import lru_cache
from typing import NamedTuple

from graphwriter.events import Address, Endpoint, Event, day
from graphwriter.graph.batch import MICROS, Labels, name_of_end
from graphwriter.keep import NOTHING, Keep

EPOCH_DAY = date(1970, 1, 1).toordinal()


class Table(NamedTuple):
    """One table: the labels of its nodes, or the type of its links, and its columns."""

    nodes: bool
    kind: str  # labels, separated by colons, or a type
    columns: tuple[str, ...]


_ENDS = ":START_ID(Message)", ":END_ID(Message)"
# Columns of posts that depend on what is kept come last, in this order; see `tables`.
_POST = (
    *(":ID(Message)", "tg_channel_id:long", "telegram_message_id:long"),
    *("version:long", "forward_version:long", "reply_version:long", "author_version:long"),
    *("post_id:string", "channel_id:string", "tenant_id:string", "posted_at:datetime"),
    *("views_count:long", "forwards_count:long", "reactions_count:long"),
    *("has_media:boolean", "is_edited:boolean", "telegram_post_url:string", "content_hash:string"),
)
_KEPT: dict[str, tuple[str, ...]] = {
    "text": ("text:string",),
    "albums": ("grouped_id:long",),
    "links": ("links_version:long", "links_count:long"),
    "media": ("media_version:long",),
}
_ALWAYS = {
    "messages": Table(
        True, "Message", (":ID(Message)", "tg_channel_id:long", "telegram_message_id:long")
    ),
    "sources": Table(
        True,
        "ForwardSource",
        (
            ":ID(ForwardSource)",
            "source_id:string",
            "source_type:string",
            "name:string",
            "name_day:long",
        ),
    ),
    "authors": Table(
        True,
        "Author",
        (":ID(Author)", "author_id:string", "author_type:string", "name:string", "name_day:long"),
    ),
    "forwards": Table(
        False,
        "FORWARDED_FROM",
        (
            *(":START_ID(Message)", ":END_ID(ForwardSource)"),
            *("forward_date:datetime", "forward_from_message_id:long", "source_name:string"),
        ),
    ),
    "forwarded_posts": Table(False, "FORWARDED_FROM_POST", _ENDS),
    "replies": Table(False, "REPLIES_TO", (*_ENDS, "thread_id:long")),
    "authored": Table(
        False, "AUTHOR_OF", (":START_ID(Author)", ":END_ID(Message)", "signature:string")
    ),
}
_LINKS = {
    "urls": Table(True, "Link", (":ID(Link)", "url:string")),
    "links": Table(False, "LINKS_TO", (":START_ID(Message)", ":END_ID(Link)", "url:string")),
    "message_links": Table(False, "LINKS_TO", (*_ENDS, "url:string")),
}
_MEDIA = {
    "files": Table(True, "Media", (":ID(Media)", "sha256:string")),
    "media": Table(False, "HAS_MEDIA", (":START_ID(Message)", ":END_ID(Media)")),
}


def tables(keep: Keep) -> dict[str, Table]:
    """Return the tables by name, nodes first in each group, for what the graph keeps."""
    more = [column for name, columns in _KEPT.items() if getattr(keep, name) for column in columns]
    posts = Table(True, "Message:Post", (*_POST, *more))
    found = {"posts": posts, **_ALWAYS}
    return found | (_LINKS if keep.links else {}) | (_MEDIA if keep.media else {})


class Ends:
    """The other ends of links, each once: what `rows` adds to, and what is written at the end."""

    def __init__(self) -> None:
        self.sources: Labels = {}
        self.authors: Labels = {}
        self.urls: set[str] = set()
        self.files: set[str] = set()

    def __len__(self) -> int:
        return len(self.sources) + len(self.authors) + len(self.urls) + len(self.files)


class Rows(NamedTuple):
    """Lines of the tables, and the messages that links lead to."""

    lines: dict[str, list[str]]
    targets: set[Address]


def rows(found: Collection[Event], keep: Keep, ends: Ends) -> Rows:
    """Return the lines of posts and of their links, one event a post; add to `ends`."""
    targets: set[Address] = set()
    lines = {
        "posts": [_post(event) for event in found],
        **_forwards(found, ends.sources, targets),
        "replies": _replies(found, targets),
        "authored": _authored(found, ends.authors),
    }
    if keep != NOTHING:
        posts = zip(lines["posts"], found, strict=True)
        lines["posts"] = [f"{line}{_more(event, keep)}" for line, event in posts]
    if keep.links:
        lines |= _links(found, ends.urls, targets)
    if keep.media:
        lines["media"] = _media(found, ends.files)
    return Rows(lines, targets)


_BOOLEANS: Mapping[bool | None, str] = {None: "", True: "true", False: "false"}


def _post(event: Event) -> str:
    """Return the line of a post, without the columns of `_KEPT`."""
    (chat, message), _, post, forward, reply, author, _, _ = event
    version, post_id, channel_id, tenant_id, posted, views, forwards, reactions = post[:8]
    has_media, is_edited, url, content = post[8:12]
    return (
        f"{chat}:{message},{chat},{message},{version},"
        f"{'' if forward is None else forward[0]},{'' if reply is None else reply[0]},"
        f"{'' if author is None else author[0]},"
        f"{_text(post_id)},{_text(channel_id)},{_text(tenant_id)},{_time(posted)},"
        f"{'' if views is None else views},{'' if forwards is None else forwards},"
        f"{'' if reactions is None else reactions},{_BOOLEANS[has_media]},{_BOOLEANS[is_edited]},"
        f"{_text(url)},{_text(content)}"
    )


def _more(event: Event, keep: Keep) -> str:
    """Return the columns of `_KEPT`, each with a comma before it."""
    *_, links, media = event
    more = f",{_text(event.post.text)}" if keep.text else ""
    if keep.albums:
        more += f",{_number(event.post.grouped_id)}"
    if keep.links:
        more += ",," if links is None else f",{links.version},{links.total}"
    if keep.media:
        more += "," if media is None else f",{media.version}"
    return more


def _forwards(
    found: Iterable[Event], sources: Labels, targets: set[Address]
) -> dict[str, list[str]]:
    forwards: list[str] = []
    posts: list[str] = []
    for (chat, message), _, _, forward, _, _, _, _ in found:
        if forward is None:
            continue
        version, source, target, sent, number, name = forward
        if source is not None:
            name_of_end(sources, source, version, name)
            forwards.append(
                f"{chat}:{message},{node(source)},{_time(sent)},{_number(number)},{_text(name)}"
            )
        if target is not None:
            targets.add(target)
            posts.append(f"{chat}:{message},{target[0]}:{target[1]}")
    return {"forwards": forwards, "forwarded_posts": posts}


def _replies(found: Iterable[Event], targets: set[Address]) -> list[str]:
    lines: list[str] = []
    for (chat, message), _, _, _, reply, _, _, _ in found:
        if reply is not None and (target := reply[1]) is not None:
            targets.add(target)
            lines.append(f"{chat}:{message},{target[0]}:{target[1]},{_number(reply[2])}")
    return lines


def _authored(found: Iterable[Event], authors: Labels) -> list[str]:
    lines: list[str] = []
    for (chat, message), _, _, _, _, author, _, _ in found:
        if author is not None and (end := author[1]) is not None:
            version, _, name, signature = author
            name_of_end(authors, end, version, name)
            lines.append(f"{node(end)},{chat}:{message},{_text(signature)}")
    return lines


def _links(found: Iterable[Event], urls: set[str], targets: set[Address]) -> dict[str, list[str]]:
    to_urls: list[str] = []
    to_messages: list[str] = []
    for (chat, message), *_, links, _ in found:
        for end, given in () if links is None else links.targets:
            if isinstance(end, str):
                urls.add(end)
                to_urls.append(f"{chat}:{message},{_text(end)},{_text(given)}")
            else:
                targets.add(end)
                to_messages.append(f"{chat}:{message},{end[0]}:{end[1]},{_text(given)}")
    return {"links": to_urls, "message_links": to_messages}


def _media(found: Iterable[Event], files: set[str]) -> list[str]:
    lines: list[str] = []
    for (chat, message), *_, media in found:
        if media is not None:
            files.update(media.hashes)
            lines += [f"{chat}:{message},{sha256}" for sha256 in media.hashes]
    return lines


def messages(keys: Iterable[str]) -> Iterator[str]:
    """Yield the lines of messages that are no posts; a key is such as `-1001179270258:7`."""
    for key in keys:
        chat, _, message = key.partition(":")
        yield f"{key},{chat},{message}"


def labels(held: Labels) -> Iterator[str]:
    """Yield the lines of sources or authors."""
    for (key, kind), (version, name) in held.items():
        named = "," if name is None else f"{_text(name)},{day(version)}"
        yield f"{node((key, kind))},{_text(key)},{kind},{named}"


def keys(held: Iterable[str]) -> Iterator[str]:
    """Yield the lines of pages or files: the key names the node, and is its property."""
    for key in held:
        quoted = _text(key)
        yield f"{quoted},{quoted}"


def node(end: Endpoint) -> str:
    """Return what names a source or an author in the tables."""
    return _text(f"{end[1]}:{end[0]}")


def _text(value: str | None) -> str:
    if value is None:
        return ""
    return f'"{value}"' if '"' not in value else '"' + value.replace('"', '""') + '"'


def _number(value: int | None) -> int | str:
    return "" if value is None else value


def _time(micros: int | None) -> str:
    """Return a time as ISO 8601 text, in a third of the time of `events.times.iso`."""
    if micros is None:
        return ""
    minutes, rest = divmod(micros, 60 * MICROS)
    days, minute = divmod(minutes, 1440)
    second, fraction = divmod(rest, MICROS)
    text = f"{_date(days)}{_CLOCK[minute]}{second:02}"
    return f"{text}.{fraction:06}Z" if fraction else f"{text}Z"


_CLOCK = [f"T{minute // 60:02}:{minute % 60:02}:" for minute in range(1440)]


@lru_cache(maxsize=4096)
def _date(days: int) -> str:
    """Return the day that is so many days after 1970."""
    return date.fromordinal(days + EPOCH_DAY).isoformat()
