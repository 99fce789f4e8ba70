"""Small worlds of events that meet each other: few posts, few moments, every form of a field."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from support.cases import KIND, REGISTERS
from support.model import Model, addressed

Event = dict[str, Any]
Entry = dict[bytes, bytes]

# In a channel, a basic chat, a channel with the chat's number and a private chat.
ADDRESSES = (
    (-1001179270258, 1),
    (-1001179270258, -999999939),
    (-5, 1),
    (-1000000000005, 1),
    (777, 2),
)
MESSAGES = (1, 2, -999999939)
BARE = (5, 1179270258)
# The first four are one moment; the next is later in the same millisecond, the others are apart.
MOMENTS = (
    "2024-05-01T10:00:00Z",
    "2024-05-01 10:00:00",
    "2024-05-01T12:00:00.0000009+02:00",
    1714557600,
    "2024-05-01T10:00:00.000999Z",
    "2024-05-01T10:00:00.001Z",
    1714557600.5,
    "2024-04-30T23:59:59Z",
)
NAMES = ("Ann", "Ñandú: 1", "null")
# One URL for each target: of two spellings in one millisecond the first one that comes would stay.
URLS = (
    "https://t.me/c/1179270258/1",
    "https://t.me/c/5/1",
    "https://t.me/Own/2",
    "HTTPS://Example.ORG:443/A?x=1&utm_source=t#part",
    "bare.example",
    " ",
)
HASHES = ("ab" * 32, "0C" * 32, "12" * 32)
TEXT_OR_NULL = st.sampled_from((None, "", "a", "null"))
COUNT = st.sampled_from((None, 0, 1, 2**63 - 1))
MOMENT = st.sampled_from((None, *MOMENTS))
NAME = st.sampled_from((None, "", *NAMES))
MESSAGE = st.sampled_from(MESSAGES)


def form_a(event: Event) -> Entry:
    """The entry with one field `data` that holds the event as a JSON object."""
    return {b"data": json.dumps(event).encode()}


def form_b(event: Event, null: bytes = b"null") -> Entry:
    """The entry with flat fields. A null text is left out, as flat text has no null; but a facet
    that would not be spoken of any more says it with an empty name."""
    entry = {name.encode(): flat(value, null) for name, value in event.items()}
    for name, value in event.items():
        if value is None and KIND.get(name) == "text":
            del entry[name.encode()]
    for facet, name in (("forward", "forward_from_name"), ("author", "author_name")):
        fields = set(REGISTERS[facet])
        if fields & event.keys() and not fields & {name.decode() for name in entry}:
            entry[name.encode()] = b""
    return entry


def flat(value: Any, null: bytes) -> bytes:
    if value is None:
        return null
    return (value if isinstance(value, str) else json.dumps(value)).encode()


def peers(kinds: tuple[str, ...] = ("user", "channel", "chat")) -> st.SearchStrategy[Any]:
    """Few peers, each as an object, as JSON text and as a marked id."""
    forms: list[Any] = []
    for kind in kinds:
        peer = {f"{kind}_id": 5}
        nulls = {"user_id": None, "channel_id": None, "chat_id": None}
        forms += [peer, json.dumps(peer), nulls | peer]
        forms += [{"user": 5, "channel": -1000000000005, "chat": -5}[kind]]
    return st.sampled_from(forms)


NO_PEER = st.sampled_from((None, {}, {"user_id": None, "channel_id": None}))
CHATS = st.sampled_from((None, *BARE, -1001179270258, -1000000000005, -5))


def facet(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Event]:
    """At least one of the fields; the others are there or not."""
    return st.fixed_dictionaries({}, optional=fields).filter(bool)


def cleared(name: str) -> st.SearchStrategy[Event]:
    nulls = {field: st.none() for field in REGISTERS[name]}
    return facet(**nulls)


def forwards() -> st.SearchStrategy[Event]:
    mixed = facet(
        forward_from_peer_id=st.one_of(NO_PEER, peers(), peers()),
        forward_from_chat_id=CHATS,
        forward_from_message_id=st.one_of(st.none(), MESSAGE, MESSAGE),
        forward_date=MOMENT,
        forward_from_name=NAME,
    )
    message = {"forward_from_message_id": MESSAGE}
    of_peer = st.fixed_dictionaries({"forward_from_peer_id": peers(("channel", "chat"))} | message)
    of_chat = st.fixed_dictionaries({"forward_from_chat_id": CHATS} | message)
    with_post = st.tuples(mixed, st.one_of(of_peer, of_chat)).map(lambda pair: pair[0] | pair[1])
    return st.one_of(mixed, with_post)


def replies() -> st.SearchStrategy[Event]:
    thread = st.sampled_from((None, 1))
    return st.one_of(
        facet(reply_to_message_id=MESSAGE, reply_to_chat_id=CHATS, thread_id=thread),
        st.fixed_dictionaries({"reply_to_message_id": MESSAGE}),
        st.fixed_dictionaries({"thread_id": st.just(1)}),
    )


def authors() -> st.SearchStrategy[Event]:
    return facet(
        author_peer_id=st.one_of(NO_PEER, peers()),
        author_name=NAME,
        author_type=st.sampled_from((None, "user", "channel")),
    )


def posts() -> st.SearchStrategy[Event]:
    return st.fixed_dictionaries(
        {},
        optional={
            "posted_at": MOMENT,
            "views_count": COUNT,
            "forwards_count": COUNT,
            "reactions_count": COUNT,
            "has_media": st.sampled_from((None, True, False)),
            "is_edited": st.sampled_from((None, True, False)),
            "telegram_post_url": st.one_of(TEXT_OR_NULL, st.just("https://t.me/own/1")),
            "grouped_id": st.sampled_from((None, 0, 7)),
            "content_hash": TEXT_OR_NULL,
            "text": TEXT_OR_NULL,
            "urls": st.one_of(st.none(), st.lists(st.sampled_from(URLS), max_size=4)),
            "media_sha256_list": st.one_of(
                st.none(), st.lists(st.sampled_from(HASHES), max_size=3)
            ),
            "trace_id": TEXT_OR_NULL,
            "link_count": COUNT,
            "not_in_the_contract": st.sampled_from((None, [1], "x")),
        },
    )


@st.composite
def anything(draw: st.DrawFn) -> Event:
    channel, message = draw(st.sampled_from(ADDRESSES))
    account = draw(st.sampled_from((None, None, 777, 1001)))
    names = draw(
        st.sampled_from(
            (["telegram_message_id"], ["tg_message_id"], ["telegram_message_id", "tg_message_id"])
        )
    )
    event = {
        "schema_version": "v1",
        "occurred_at": draw(st.sampled_from(MOMENTS)),
        "idempotency_key": draw(st.sampled_from(("", "k"))),
        "tenant_id": draw(st.sampled_from(("t", "u"))),
        "channel_id": draw(st.sampled_from(("c", "d"))),
        "post_id": f"{addressed(account, channel)}:{message}",
        "tg_channel_id": channel,
        **dict.fromkeys(names, message),
        **({} if account is None else {"account_id": account}),
        **draw(posts()),
    }
    for name, spoken in (("forward", forwards()), ("reply", replies()), ("author", authors())):
        event |= draw(st.one_of(st.just({}), cleared(name), spoken, spoken))
    return event


def is_self_link(event: Event) -> bool:
    return Model().apply(form_a(event)) == "self_link"


def events() -> st.SearchStrategy[Event]:
    """Events that are all accepted."""
    return anything().filter(lambda event: not is_self_link(event))


@st.composite
def refused(draw: st.DrawFn) -> tuple[Event, str]:
    """An event that has to be refused, and the model's word for why."""
    event = draw(events())
    channel = event["tg_channel_id"]
    message = event.get("telegram_message_id", event.get("tg_message_id"))
    own_forward = dict.fromkeys(REGISTERS["forward"]) | {"forward_from_message_id": message}
    changes: list[tuple[str, Event]] = [
        ("self_link", {"reply_to_message_id": message, "reply_to_chat_id": None}),
        ("integer_range", {"views_count": draw(st.sampled_from((2**63, -(2**63) - 1, 10**40)))}),
        ("missing_field", {"telegram_message_id": None, "tg_message_id": None}),
        ("schema_version", {"schema_version": "v2"}),
        ("wrong_type", {"is_edited": "yes"}),
        ("wrong_type", {"author_peer_id": {"user_id": 5, "chat_id": 5}}),
        ("id_too_long", {"post_id": "é" * 1001}),
        ("occurred_at", {"occurred_at": draw(st.sampled_from((-1, "2900-01-01T00:00:00Z")))}),
    ]
    if channel < 0:
        changes += [
            ("self_link", {"reply_to_message_id": message, "reply_to_chat_id": channel}),
            ("self_link", own_forward | {"forward_from_chat_id": channel}),
            ("self_link", own_forward | {"forward_from_peer_id": channel}),
        ]
    reason, change = draw(st.sampled_from(changes))
    return event | change, reason


@st.composite
def worlds(draw: st.DrawFn) -> list[Entry]:
    """The entries of 1 to 25 events in some order, some of them twice and in either wire form."""
    least = draw(st.sampled_from((1, 5, 15)))
    told = draw(st.lists(events(), min_size=least, max_size=20))
    again = draw(st.lists(st.sampled_from(told), max_size=5))
    nulls = st.sampled_from((None, b"null", b""))
    forms = draw(st.lists(nulls, min_size=len(told + again), max_size=len(told + again)))
    pairs = zip(draw(st.permutations(told + again)), forms, strict=True)
    return [form_a(event) if null is None else form_b(event, null) for event, null in pairs]
