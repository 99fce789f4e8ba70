"""The generated chats, people and texts of the demo, and the posts that they write."""

from __future__ import annotations

import uuid
from bisect import bisect
from collections import Counter, deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from random import Random
from typing import Any, NamedTuple

import msgspec

from graphwriter.events.telegram import Peer

Event = dict[str, Any]

STEP = 7  # seconds from one post to the next
RECENT = 64  # posts of a chat that are still replied to and forwarded
EDITABLE = 2_000  # posts that may still be edited

_NO_FORWARD = {
    "forward_from_peer_id": None,
    "forward_from_chat_id": None,
    "forward_from_message_id": None,
    "forward_date": None,
    "forward_from_name": None,
}
_NO_REPLY = {"reply_to_message_id": None, "reply_to_chat_id": None, "thread_id": None}


class _Script(NamedTuple):
    words: list[str]  # of texts
    first: list[str]  # and second word of the name of a chat
    second: list[str]


_SCRIPTS = tuple(
    _Script(*(column.split() for column in columns))
    for columns in (
        (
            (
                "the harbour opens early today and fresh bread waits on every table while gulls "
                "argue about fish a new bridge joins both banks rain is due after noon"
            ),
            "Harbour Morning Northern Quiet Paper Copper Little Open",
            "Gazette Kitchen Observatory Radio Library Garden Workshop Letter",
        ),
        (
            (
                "сегодня утром в саду расцвели яблони соседи пьют чай на веранде поезд из "
                "города снова опоздал на десять минут завтра обещают солнце и тёплый ветер"
            ),
            "Вечерний Тихий Зелёный Речной Старый Новый",
            "сад вестник телескоп маяк чайник архив",
        ),
        (
            "今天 早上 茶馆 开门 很早 朋友 带来 新书 下午 有雨 图书馆 安静 🍵",
            "晨间 江边 城南 星空",
            "茶馆 日报 书店 天文台",
        ),
        (
            "صباح الخير من السوق القديم اليوم نشرب القهوة ونقرأ كتابا جديدا عن النجوم ☕",
            "دار صوت نافذة حديقة",
            "النجوم المدينة القهوة الكتب",
        ),
        (
            "σήμερα το πρωί η θάλασσα είναι ήρεμη και στον φούρνο μυρίζει ψωμί 🐟",
            "Μικρό Παλιό Γαλάζιο",
            "λιμάνι βιβλίο περιβόλι",
        ),
        (
            "आज सुबह बगीचे में फूल खिले और सब ने चाय पी नई किताब मेज़ पर है",
            "नया पुराना हरा",
            "बगीचा अख़बार पुस्तकालय",
        ),
    )
)
_GIVEN = "Ada Jonas Mira Олег Ольга 小明 丽 ليلى كريم Ελένη Νίκος मीरा Priya Tomás Zoë Yusuf"
_FAMILY = "Lind Okafor Marsh Соколова 王 حداد Παππάς शर्मा Ferreira Novák Ito Ek"
_PERSON = (tuple(_GIVEN.split()), tuple(_FAMILY.split()))


class _Zipf:
    """Picks from `items` so that the first is by far the most popular."""

    def __init__(self, random: Random, items: Sequence[Any], exponent: float = 1.1) -> None:
        self._random = random
        self._items = items
        self._sums = list(accumulate((rank + 1) ** -exponent for rank in range(len(items))))

    def pick(self) -> Any:
        return self._items[bisect(self._sums, self._random.random() * self._sums[-1])]


class _Source(NamedTuple):
    """What a post may be forwarded from: a peer, or a name alone."""

    name: str
    peer: Peer | None


class _Chat:
    """A chat of the stream, with the habits of the producer that reads it."""

    def __init__(self, random: Random, rank: int) -> None:
        self.script = rank % len(_SCRIPTS)
        self.name = _title(random, self.script)
        kind = "chat" if rank % 11 == 7 else "channel"
        self.peer = Peer(
            kind, 1_200_000_000 + 7_919 * rank if kind == "channel" else 4_000_000 + rank
        )
        self.marked = self.peer.marked
        self.channel_id = str(uuid.UUID(int=random.getrandbits(128), version=4))
        self.broadcast = kind == "channel" and rank % 3 != 2
        self.signers = [_person(random) for _ in range(rank % 4)]
        self.old_producer = rank % 13 == 12  # knows no facets
        self.style = rank % 3  # how it writes peers, chat ids and times
        self.last = random.randrange(1, 5_000)
        self.recent: deque[int] = deque(maxlen=RECENT)


class World:
    """The chats, the people and the sources, and what was posted of late."""

    def __init__(self, random: Random, count: int, planted: Counter[str]) -> None:
        self._random = random
        self._content_random = Random()  # noqa: S311 - content changes nothing else of the world
        self._content_random.setstate(random.getstate())
        self._planted = planted
        self._chats = [_Chat(random, rank) for rank in range(max(4, min(300, count // 60)))]
        self._by_id = {chat.marked: chat for chat in self._chats}
        self._chat = _Zipf(random, self._chats)
        users = [Peer("user", 100_000_007 + 104_729 * n) for n in range(max(10, count // 40))]
        self._user = _Zipf(random, [_Source(_person(random), user) for user in users], 0.8)
        outside = [
            _Source(_title(random, n % len(_SCRIPTS)), Peer("channel", 1_900_000_000 + 6_007 * n))
            for n in range(80)
        ]
        self._outside = _Zipf(random, outside)
        self._hidden = _Zipf(random, [_Source(_person(random), None) for _ in range(60)])
        self._editable: deque[Event] = deque(maxlen=EDITABLE)
        self._older: Event | None = None

    def next(self, now: datetime) -> Event:
        """Return the next event: a new post, or an edit of one."""
        if self._older is not None:
            event, self._older = self._older, None
            self._planted["edits"] += 1
            return event
        if self._editable and self._random.random() < 0.06:
            return self._edit(now)
        return self.post(now)

    def post(self, now: datetime, *, keep: bool = True) -> Event:
        """Return a new post; unless it is to `keep`, nothing will ever point to it."""
        random, chat = self._random, self._chat.pick()
        if keep:
            self._planted["posts"] += 1
        chat.last += 1 if random.random() < 0.9 else 1 + random.randrange(6)  # deleted posts
        number = chat.last
        chance = random.random()
        when = now.isoformat()
        views = int(10 / (0.001 + random.random()))
        event: Event = {
            "schema_version": "v1",
            "trace_id": f"{random.getrandbits(64):016x}",
            "occurred_at": _time(chat, now),
            "idempotency_key": f"demo:{chat.marked}:{number}:0",
            "tenant_id": "demo",
            "channel_id": chat.channel_id,
            "post_id": str(uuid.UUID(int=random.getrandbits(128), version=4)),
            "tg_channel_id": chat.marked,
            "telegram_message_id": number,
            "posted_at": when,
            "text": _text(random, chat.script),
            "has_media": chance < 0.4,
            "is_edited": False,
            "views_count": views,
            "forwards_count": views // 90,
            "reactions_count": views // 25,
        }
        event |= self._content(event["has_media"])
        if not chat.old_producer:
            event |= self._forward(chat, number, now) if random.random() < 0.35 else _NO_FORWARD
            event |= self._reply(chat, number) if random.random() < 0.25 else _NO_REPLY
            event |= self._author(chat)
        if keep:
            chat.recent.append(number)
            self._editable.append(event)
        return event

    def _edit(self, now: datetime) -> Event:
        """Return a later word on a post: new counts, and perhaps a link that moved or went."""
        random = self._random
        index = int(random.random() * len(self._editable))
        old = self._editable[index]
        chat, number = self._by_id[old["tg_channel_id"]], old["telegram_message_id"]
        event = self._again(old, chat, now)
        chance = random.random()
        forwarded = old.get("forward_from_peer_id") or old.get("forward_from_name")
        linked = forwarded or old.get("reply_to_message_id")
        if linked and chance < 0.3:
            self._planted["moved"] += 1
            event |= self._forward(chat, number, now) if forwarded else self._reply(chat, number)
        elif linked and chance < 0.5:
            self._planted["cleared"] += 1
            event |= _NO_FORWARD if forwarded else _NO_REPLY
        if chance > 0.6:
            event |= self._content(event["has_media"])
        if chance > 0.8:
            # What was said in between comes after: it must not bring the old back.
            self._older = self._again(old, chat, now - timedelta(seconds=STEP // 2))
        self._editable[index] = event
        self._planted["edits"] += 1
        return event

    def _again(self, old: Event, chat: _Chat, when: datetime) -> Event:
        """Return `old` as it was seen at `when`."""
        views = old["views_count"] + int(self._random.random() * 100)
        number = old["telegram_message_id"]
        return {
            **old,
            "occurred_at": _time(chat, when),
            "idempotency_key": f"demo:{chat.marked}:{number}:{when.timestamp():.0f}",
            "is_edited": True,
            "views_count": views,
            "reactions_count": views // 20,
        }

    def _content(self, has_media: bool) -> Event:
        """Return links, to pages and to messages of other chats, files and perhaps an album."""
        random = self._content_random
        urls = []
        while random.random() < 0.3:
            chat = random.choice(self._chats)
            page = int(2 / (0.01 + random.random()))
            if chat.peer.kind == "channel" and chat.recent and random.random() < 0.5:
                urls.append(f"https://t.me/c/{chat.peer.id}/{random.choice(chat.recent)}")
            else:
                urls.append(f"https://site-{page % 23}.example/{page}")
        file, album = int(5 / (0.001 + random.random())), random.randrange(40)
        return {
            "urls": urls,
            "media_sha256_list": [f"{file:064x}"] if has_media else [],
            "grouped_id": album if album < 4 else None,
        }

    def _forward(self, chat: _Chat, number: int, now: datetime) -> Event:
        random = self._random
        chance = random.random()
        message: int | None = None
        if chance < 0.15:
            name, peer = self._user.pick()
        elif chance < 0.3:
            name, peer = self._hidden.pick()
        elif chance < 0.6 and (other := self._chat.pick()).recent:
            name, peer = other.name, other.peer
            message = self._of(other, chat, number)
        else:
            name, peer = self._outside.pick()
            if random.random() < 0.7:
                message = 1 + int(3_000 * random.random() ** 3)
        whole = peer is not None and peer.kind == "channel" and chat.style
        return {
            "forward_from_peer_id": _wire(chat, peer),
            "forward_from_chat_id": (peer.id if chat.style == 1 else peer.marked)
            if whole
            else None,
            "forward_from_message_id": message,
            "forward_date": (now - timedelta(seconds=int(random.random() * 90_000))).isoformat(),
            "forward_from_name": name,
        }

    def _reply(self, chat: _Chat, number: int) -> Event:
        random = self._random
        chance = random.random()
        forum = not chat.broadcast and chat.peer.kind == "channel"
        where: int | None = None
        to: int | None
        if chance < 0.08 and (other := self._chat.pick()).recent and other.peer.kind == "channel":
            to = self._of(other, chat, number)
            where = other.peer.id if chat.style == 1 else other.marked
        elif chance < 0.16:
            to = max(chat.last, number) + 1 + int(random.random() * 5)  # not there yet, or never
        elif chance < 0.24 and forum:
            to = None  # in a thread, but to nobody in it
        else:
            to = self._of(chat, chat, number)
        return {
            "reply_to_message_id": to,
            "reply_to_chat_id": where,
            "thread_id": number // 200 * 200 + 1 if forum else None,
        }

    def _of(self, other: _Chat, own: _Chat, number: int) -> int:
        """Return a recent post of `other`, but never the post `number` of `own` itself."""
        found = self._random.choice(other.recent) if other.recent else number
        return number - 1 if other is own and found == number else found

    def _author(self, chat: _Chat) -> Event:
        random = self._random
        peer: Peer | None = chat.peer
        name: str | None = random.choice(chat.signers) if chat.signers else None
        if not chat.broadcast and random.random() < 0.95:
            name, peer = self._user.pick()
        elif name is not None and chat.style == 2:
            peer = None  # this producer knows the signature only
        return {
            "author_peer_id": _wire(chat, peer),
            "author_name": name,
            "author_type": None if peer is None else peer.kind,
        }


def _wire(chat: _Chat, peer: Peer | None) -> Any:
    """Return a peer in the way of the producer that reads `chat`."""
    if peer is None:
        return None
    if chat.style == 2:
        return peer.marked
    named = {f"{peer.kind}_id": peer.id}
    return msgspec.json.encode(named).decode() if chat.style == 1 else named


def _time(chat: _Chat, when: datetime) -> Any:
    return when.isoformat() if chat.style else int(when.timestamp())


def _text(random: Random, script: int) -> str:
    """Return a short text in the script of that number."""
    return " ".join(random.choices(_SCRIPTS[script].words, k=3 + int(random.random() * 12)))


def _title(random: Random, script: int) -> str:
    """Return the name of a chat, which may come up more than once, as names do."""
    return f"{random.choice(_SCRIPTS[script].first)} {random.choice(_SCRIPTS[script].second)}"


def _person(random: Random) -> str:
    """Return the name of a person, scripts mixed."""
    return f"{random.choice(_PERSON[0])} {random.choice(_PERSON[1])}"
