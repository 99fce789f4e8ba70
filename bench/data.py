"""Seeded events for the bench, of any number, skew and order.

Each post has an author; some are forwarded (from channels, users and hidden users, half of them
with the post in the source known), some reply to a post of their chat. `skew` is the exponent of a
Zipf law over chats, sources and authors: 0 is uniform, 1.1 is measured in public channels, with 1.5
a few of them get most links. With `edits`, that share of the events are edits of earlier posts,
with new counts, and half of those move links. With `rich` a post has more: a text, 0.5 URLs on
average (some to posts of Telegram, by a Zipf law as well), a hash of its medium, an album.
"""

from __future__ import annotations

import uuid
from bisect import bisect
from collections.abc import Iterator
from itertools import accumulate
from random import Random
from typing import Any

import orjson

Event = dict[str, Any]

START = 1_700_000_000  # seconds since 1970 of the first event
FORWARDS, REPLIES, HIDDEN, BY_USER = 0.45, 0.25, 0.1, 0.2  # shares
WORDS = [f"word{number}" for number in range(5_000)]
ORDERS = ("stream", "shuffled", "newest first")


class _Zipf:
    def __init__(self, random: Random, number: int, skew: float) -> None:
        self._random = random
        self._sums = list(accumulate((rank + 1) ** -skew for rank in range(number)))

    def pick(self) -> int:
        return bisect(self._sums, self._random.random() * self._sums[-1])


def events(
    count: int, seed: int = 1, skew: float = 1.1, edits: float = 0.0, *, rich: bool = False
) -> Iterator[Event]:
    """Yield `count` events, the same for the same arguments."""
    random, more = Random(seed), Random(-seed)
    pages = _Zipf(more, max(20, count // 10), skew)
    chats = _Zipf(random, max(10, count // 400), skew)
    sources = _Zipf(random, max(20, count // 40), skew)
    users = _Zipf(random, max(20, count // 20), skew)
    last: dict[int, int] = {}
    posts: list[Event] = []
    for number in range(count):
        if posts and random.random() < edits:
            place = random.randrange(len(posts))
            event = {**posts[place], "occurred_at": START + number, "is_edited": True}
            event["views_count"] += random.randrange(1, 500)
            if random.random() < 0.5:
                event |= _links(random, event, sources)
            posts[place] = event
            yield event
            continue
        chat = -(10**12 + 1_200_000_000 + 7_919 * chats.pick())
        message = last[chat] = last.get(chat, 0) + 1
        event = {
            "schema_version": "v1",
            "occurred_at": START + number,
            "idempotency_key": f"{chat}:{message}",
            "tenant_id": "bench",
            "channel_id": f"c{-chat}",
            "post_id": str(uuid.UUID(int=random.getrandbits(128), version=4)),
            "tg_channel_id": chat,
            "telegram_message_id": message,
            "posted_at": START + number,
            "content_hash": f"{random.getrandbits(128):032x}",
            "telegram_post_url": f"https://t.me/c/{-chat - 10**12}/{message}",
            "has_media": random.random() < 0.4,
            "is_edited": False,
            "views_count": random.randrange(10_000),
            "forwards_count": random.randrange(100),
            "reactions_count": random.randrange(300),
        }
        event |= _links(random, event, sources)
        user = users.pick()
        event |= {
            "author_peer_id": {"user_id": 100_000_000 + user},
            "author_name": f"Person {user}",
            "author_type": "user",
        }
        if rich:
            event |= _content(more, event, pages)
        if edits:
            posts.append(event)
        yield event


def _links(random: Random, event: Event, sources: _Zipf) -> Event:
    peer = chat = original = date = name = reply = None
    if random.random() < FORWARDS:
        source, chance = sources.pick(), random.random()
        name, date = f"Source {source}", event["occurred_at"] - random.randrange(90_000)
        if chance < HIDDEN:
            name = f"Hidden {source}"
        elif chance < HIDDEN + BY_USER:
            peer = {"user_id": 900_000_000 + source}
        else:
            peer = {"channel_id": 1_900_000_000 + 6_007 * source}
            if random.random() < 0.7:
                chat = -(10**12 + peer["channel_id"])
                original = 1 + int(3_000 * random.random() ** 3)
    message = event["telegram_message_id"]
    if random.random() < REPLIES and message > 1:
        reply = max(1, message - 1 - int(random.expovariate(0.05)))
    return {
        "forward_from_peer_id": peer,
        "forward_from_chat_id": chat,
        "forward_from_message_id": original,
        "forward_date": date,
        "forward_from_name": name,
        "reply_to_message_id": reply,
        "reply_to_chat_id": None,
        "thread_id": None,
    }


def _content(random: Random, event: Event, pages: _Zipf) -> Event:
    urls = []
    while random.random() < 1 / 3:  # 0.5 on average
        page = pages.pick()
        telegram = f"https://t.me/c/{1_900_000_000 + page % 97}/{page}"
        urls.append(
            telegram if random.random() < 0.3 else f"https://site{page % 53}.example/{page}"
        )
    words = " ".join(random.choice(WORDS) for _ in range(random.randrange(5, 60)))
    hashes = [f"{random.getrandbits(256):064x}"] if event["has_media"] else []
    album = event["telegram_message_id"] // 4 if random.random() < 0.1 else None
    more = {"urls": urls, "text": words, "media_sha256_list": hashes}
    return more if album is None else more | {"grouped_id": album}


def lines(
    count: int,
    seed: int = 1,
    skew: float = 1.1,
    edits: float = 0.0,
    order: str = "stream",
    *,
    rich: bool = False,
) -> list[bytes]:
    """Return events as JSON, in one of `ORDERS`."""
    made = [orjson.dumps(event) for event in events(count, seed, skew, edits, rich=rich)]
    if order == "newest first":
        made.reverse()
    elif order == "shuffled":
        Random(seed).shuffle(made)
    return made
