"""The meaning of an event: an address, and up to six facets with a version each.

Pure: the same entry gives the same `Event` everywhere, in either form. Ids are marked, times are
integer microseconds since 1970, empty names are None. A new field of a facet is added to its class
here, to its digest, and to the row in `graph/batch.py`. A digest must stay as it was where the new
field is null, as with `grouped_id`: otherwise each version in existing graphs differs from that of
the same event today.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from itertools import islice
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from graphwriter.errors import BadEvent
from graphwriter.events import links, telegram, times, wire
from graphwriter.events.wire import PostParsedEventV1, shown
from graphwriter.keep import NOTHING, Keep

ID_LIMIT = 2000  # bytes; Neo4j cannot index much more, and fails as if the store were broken
DAY = 86_400_000  # milliseconds
CACHED_LENGTH = 200  # characters of an author; longer ones are not cached
MOST_ENDS = 32  # targets of a post's links, and its media
LAST_TIME = 2**42 - 1  # milliseconds since 1970, in 2109: a version has 63 bits

Address = tuple[int, int]  # (marked id of the chat, message id)
Endpoint = tuple[str, str]  # (id, type) of a forward source or an author


class Post(NamedTuple):
    """The post's own facet: the properties of its node. None removes a property."""

    version: int
    post_id: str
    channel_id: str
    tenant_id: str
    posted_at: int | None
    views_count: int | None
    forwards_count: int | None
    reactions_count: int | None
    has_media: bool | None
    is_edited: bool | None
    telegram_post_url: str | None
    content_hash: str | None
    text: str | None
    grouped_id: int | None


class Forward(NamedTuple):
    """The forward: `source` and `target` are None if they are not known."""

    version: int
    source: Endpoint | None
    target: Address | None
    date: int | None
    message_id: int | None
    name: str | None


class Reply(NamedTuple):
    """The reply: `target` is None if there is none, also in a thread."""

    version: int
    target: Address | None
    thread_id: int | None


class Author(NamedTuple):
    """The author: `name` is the author's label, `signature` is what the post shows."""

    version: int
    author: Endpoint | None
    name: str | None
    signature: str | None


class Links(NamedTuple):
    """The links: the first targets, each with the URL as the event has it.

    A target is the address of a message, or the key of a `:Link`.
    """

    version: int
    targets: tuple[tuple[Address | str, str], ...]  # at most MOST_ENDS
    total: int  # of different targets, also those beyond MOST_ENDS


class Media(NamedTuple):
    """The media: SHA-256 in hex, in small letters, without repetition."""

    version: int
    hashes: tuple[str, ...]  # at most MOST_ENDS


class Event(NamedTuple):
    """One event, ready to be folded. A facet that it does not contain, or that is not kept, is
    None."""

    address: Address
    tenant_id: str
    post: Post
    forward: Forward | None
    reply: Reply | None
    author: Author | None
    links: Links | None = None
    media: Media | None = None


def decode(
    fields: Mapping[bytes, bytes], now: int, tenant: str | None = None, keep: Keep = NOTHING
) -> Event:
    """Return the event of a stream entry's `fields`.

    Args:
        now: the later of this machine's clock and the time in the entry's id, in milliseconds
            since 1970. An event that is more than a day later is refused.
        tenant: refuse events of other tenants; None accepts all.
        keep: facets that are not kept are not read.

    Raises:
        BadEvent: the event can never be written.
    """
    return normalise(wire.decode(fields), now, tenant, keep)


def from_values(values: Mapping[str, Any], now: int, keep: Keep = NOTHING) -> Event:
    """Return the event of a mapping with the fields of form (a); raises as `decode`."""
    return normalise(wire.from_values(values), now, None, keep)


def normalise(
    event: PostParsedEventV1, now: int, tenant: str | None = None, keep: Keep = NOTHING
) -> Event:
    """Return the meaning of `event`; arguments and errors are those of `decode`."""
    if event.schema_version != "v1":
        raise wire.unknown_version(event.schema_version)
    if tenant is not None and event.tenant_id != tenant:
        raise BadEvent("tenant", f"tenant_id is {shown(event.tenant_id)}, expected {tenant!r}")
    _indexable("post_id", event.post_id)
    occurred = times.micros("occurred_at", event.occurred_at) // 1000
    if occurred < 0:
        raise BadEvent("occurred_at", f"occurred_at is {shown(event.occurred_at)}, before 1970")
    if occurred > _last(now):
        raise BadEvent(
            "occurred_at",
            f"occurred_at is {shown(event.occurred_at)}, more than a day ahead of the clock",
        )
    account = telegram.read_account(event.account_id)
    own = telegram.read_marked("tg_channel_id", event.tg_channel_id)
    address = (telegram.chat_of_account(account, own), _message_id(event))
    base = occurred << 21
    posted = None if event.posted_at is None else times.micros("posted_at", event.posted_at)
    values = (
        event.post_id,
        event.channel_id,
        event.tenant_id,
        posted,
        event.views_count,
        event.forwards_count,
        event.reactions_count,
        event.has_media,
        event.is_edited,
        event.telegram_post_url,
        event.content_hash,
        event.text,
    )
    # Without an album the digest is the one of versions that were written before albums existed.
    album = event.grouped_id
    tie = digest(values if album is None else (*values, album))
    post: Post = _new(Post, (base | tie, *values, album))
    return Event(
        address,
        event.tenant_id,
        post,
        _forward(event, address, account, base),
        _reply(event, address, account, base),
        _author(event, address[0], base),
        _links(event, address[0], base) if keep.links else None,
        _media(event, base) if keep.media else None,
    )


def latest(now: int) -> int:
    """Return the highest version that an event can have; `now` is that of `decode`."""
    return _last(now) << 21 | 2**21 - 1


def day(version: int) -> int:
    """Return the day of a version, counted since 1970."""
    return (version >> 21) // DAY


def _last(now: int) -> int:
    return min(now + DAY, LAST_TIME)


_new: Any = tuple.__new__  # three times as fast as a named tuple's own constructor
_encode = msgspec.json.Encoder().encode


def digest(values: tuple[Any, ...]) -> int:
    """Return 21 bits that break a tie of two facets of one millisecond, the same everywhere."""
    return int.from_bytes(blake2b(_encode(values), digest_size=3).digest()) >> 3


_NO_FORWARD, _NO_REPLY, _NO_ENDS = digest((None,) * 5), digest((None,) * 3), digest(())


def _forward(
    event: PostParsedEventV1, own: Address, account: int | None, base: int
) -> Forward | None:
    peer_id, chat_id = event.forward_from_peer_id, event.forward_from_chat_id
    message_id, date = event.forward_from_message_id, event.forward_date
    name = event.forward_from_name
    if (
        peer_id is UNSET
        and chat_id is UNSET
        and message_id is UNSET
        and date is UNSET
        and name is UNSET
    ):
        return None
    if peer_id is chat_id is message_id is date is name is None:
        return Forward(base | _NO_FORWARD, None, None, None, None, None)
    peer = telegram.read_peer("forward_from_peer_id", peer_id)
    chat = telegram.read_chat("forward_from_chat_id", chat_id, peer)
    message = None if message_id is UNSET else message_id
    when = None if date is UNSET or date is None else times.micros("forward_date", date)
    label = None if name is UNSET else name or None
    source: Endpoint | None = None
    if peer is not None:
        source = (str(peer.id), peer.kind)
    elif chat is not None:
        kind, bare = telegram.unmarked(chat)
        source = (str(bare), kind)
    elif label is not None:
        _indexable("forward_from_name", label)
        source = (label, "hidden")
    where = chat
    if where is None and peer is not None and peer.kind != "user":
        where = peer.marked
    target = None
    if where is not None and message is not None:
        target = (telegram.chat_of_account(account, where), message)
    if target == own:
        raise BadEvent("self_link", f"the post {own} forwards itself")
    marked = None if peer is None else peer.marked
    if target is not None and target[0] != where:
        # The digest has the target too: two accounts may send events of one post in a channel.
        marked, chat = marked or where, target[0]
    version = base | digest((marked, chat, message, when, label))
    return Forward(version, source, target, when, message, label)


def _reply(event: PostParsedEventV1, own: Address, account: int | None, base: int) -> Reply | None:
    message, chat_id, thread = (
        event.reply_to_message_id,
        event.reply_to_chat_id,
        event.thread_id,
    )
    if message is UNSET and chat_id is UNSET and thread is UNSET:
        return None
    if message is chat_id is thread is None:
        return Reply(base | _NO_REPLY, None, None)
    to = None if message is UNSET else message
    chat = telegram.read_chat("reply_to_chat_id", chat_id, None)
    if chat is not None:
        chat = telegram.chat_of_account(account, chat)
    thread_id = None if thread is UNSET else thread
    target = None if to is None else (own[0] if chat is None else chat, to)
    if target == own:
        raise BadEvent("self_link", f"the post {own} replies to itself")
    return Reply(base | digest((to, chat, thread_id)), target, thread_id)


def _author(event: PostParsedEventV1, channel: int, base: int) -> Author | None:
    peer, name, kind = event.author_peer_id, event.author_name, event.author_type
    if peer is UNSET and name is UNSET and kind is UNSET:
        return None
    signature = None if name is UNSET else name or None
    given_type = None if kind is UNSET else kind or None  # form (b) has no null for text
    size = (
        len(signature or "") + len(given_type or "") + (len(peer) if isinstance(peer, str) else 0)
    )
    tie, author, label = (_cached_author if size <= CACHED_LENGTH else _author_of)(
        channel, peer, signature, given_type
    )
    return Author(base | tie, author, label, signature)


def _author_of(
    channel: int,
    peer_id: wire.PeerV1 | int | str | UnsetType | None,
    name: str | None,
    kind: str | None,
) -> tuple[int, Endpoint | None, str | None]:
    """Return the digest, the author and the label."""
    peer = telegram.read_peer("author_peer_id", peer_id)
    author: Endpoint | None = None
    label = name
    if peer is not None:
        author = (str(peer.id), peer.kind)
        if peer.kind != "user":
            label = None  # many people sign in one channel, and one person signs in many ways
    elif name is not None:
        _indexable("author_name", name)
        author = (f"{channel}:{name}", "signature")
    marked = None if peer is None else peer.marked
    return digest((marked, name, kind)), author, label


# Few authors write most posts.
_cached_author = lru_cache(maxsize=1024)(_author_of)


def _links(event: PostParsedEventV1, chat: int, base: int) -> Links | None:
    urls = event.urls
    if urls is UNSET:
        return None
    if not urls:
        return Links(base | _NO_ENDS, (), 0)
    name = links.public_name(event.telegram_post_url)
    own = None if name is None else (name, chat)
    targets: dict[Address | str, str] = {}
    for url in urls:
        target = links.target(url, own)
        if target is not None:
            targets.setdefault(target, url)
    texts = [to if isinstance(to, str) else f"{to[0]}:{to[1]}" for to in targets]
    first = tuple(islice(targets.items(), MOST_ENDS))
    return Links(base | digest(tuple(sorted(texts))), first, len(targets))


def _media(event: PostParsedEventV1, base: int) -> Media | None:
    given = event.media_sha256_list
    if given is UNSET:
        return None
    hashes = dict.fromkeys(each.strip().lower() for each in given or ())
    for each in hashes:
        if not _sha256(each):
            raise BadEvent(
                "wrong_type", f"media_sha256_list has {shown(each)}, expected 64 digits in hex"
            )
    return Media(base | digest(tuple(sorted(hashes))), tuple(islice(hashes, MOST_ENDS)))


_sha256 = re.compile("[0-9a-f]{64}").fullmatch


def _message_id(event: PostParsedEventV1) -> int:
    one, twin = event.telegram_message_id, event.tg_message_id
    if one is None:
        one = twin
    elif twin is not None and twin != one:
        raise BadEvent("wrong_type", f"telegram_message_id is {one}, but tg_message_id is {twin}")
    if one is None:
        raise BadEvent("missing_field", "telegram_message_id is required and missing")
    return one


def _indexable(name: str, value: str) -> None:
    # UTF-8 has at most four bytes per character: short values need no encoding.
    if len(value) * 4 > ID_LIMIT and (size := len(value.encode())) > ID_LIMIT:
        raise BadEvent("id_too_long", f"{name} has {size} bytes, at most {ID_LIMIT} can be indexed")
