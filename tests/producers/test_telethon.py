"""Telethon's messages as events, with its own objects in every shape that Telegram sends."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tl import (
    CHANNEL,
    CHANNEL_MARKED,
    EDITED,
    GROUP,
    OTHER,
    OTHER_MARKED,
    POSTED,
    USER,
    channel,
    finished,
    forwarded,
    in_group,
    message,
    replying,
    user,
)
from telethon.tl import types

import graphwriter
from graphwriter import events as wire_events
from graphwriter.errors import BadEvent
from graphwriter.events.wire import PostParsedEventV1
from graphwriter.producers import prepare_parsed_event
from graphwriter.producers.demo.entries import form_a, form_b

LATE = 4 * 10**12  # milliseconds: no event of a test is later

FORWARD = ("peer_id", "chat_id", "message_id")


def taken(sent: Any, **options: Any) -> dict[str, Any]:
    """The event, after a look that a worker takes it, the same in both forms and from a dump."""
    event = prepare_parsed_event(sent, **options)
    assert event is not None
    decoded = wire_events.decode(form_a(event), LATE)
    assert decoded == wire_events.decode(form_b(event), LATE)
    assert decoded.forward is not None
    assert decoded.reply is not None
    assert decoded.author is not None
    assert event.keys() <= set(PostParsedEventV1.__struct_fields__)
    if not isinstance(sent, dict) and not getattr(sent, "_client", None):
        for dumped in (sent.to_dict(), json.loads(sent.to_json())):
            assert prepare_parsed_event(dumped, **options) == event
    return event


def forward(sent: Any) -> tuple[Any, ...]:
    """The forward's peer, chat, message and name."""
    event = taken(sent)
    ids = (event[f"forward_from_{name}"] for name in FORWARD)
    return (*ids, event["forward_from_name"])


def reply(sent: Any) -> tuple[Any, ...]:
    """The reply's message and chat, and the thread."""
    event = taken(sent)
    return event["reply_to_message_id"], event["reply_to_chat_id"], event["thread_id"]


def author(sent: Any) -> tuple[Any, ...]:
    """The author's peer, name and type."""
    event = taken(sent)
    return event["author_peer_id"], event["author_name"], event["author_type"]


def test_it_is_offered_by_the_package_and_by_the_producers() -> None:
    assert graphwriter.prepare_parsed_event is prepare_parsed_event


# The post


def test_a_post_of_a_channel_has_ids_made_from_its_address() -> None:
    event = taken(message(10, views=7, forwards=2))

    assert (event["tg_channel_id"], event["telegram_message_id"]) == (CHANNEL_MARKED, 10)
    assert f"{CHANNEL_MARKED}:10" == event["post_id"]
    assert (event["views_count"], event["forwards_count"], event["text"]) == (7, 2, "hello")
    assert event["posted_at"] == event["occurred_at"] == "2024-05-01T10:00:00+00:00"
    assert (event["tenant_id"], event["is_edited"]) == ("telethon", False)


def test_ids_of_your_own_and_the_time_are_taken_as_given() -> None:
    options = {"channel_id": "c", "post_id": "p", "tenant_id": "t"}
    event = taken(message(), occurred_at=datetime(2025, 1, 1, tzinfo=UTC), **options)

    assert options == {name: event[name] for name in options}
    assert event["occurred_at"] == "2025-01-01T00:00:00+00:00"


def test_an_edited_post_is_newer_and_a_reaction_is_no_edit_that_anyone_sees() -> None:
    edited = taken(message(edit_date=EDITED))
    reacted = taken(message(edit_date=EDITED, edit_hide=True))

    assert edited["occurred_at"] == reacted["occurred_at"] == "2024-05-01T10:05:00+00:00"
    assert (edited["is_edited"], reacted["is_edited"]) == (True, False)


def test_a_time_without_a_zone_is_utc() -> None:
    assert taken(message(date=POSTED.replace(tzinfo=None)))["posted_at"] == POSTED.isoformat()


def test_reactions_are_summed() -> None:
    counted = [
        types.ReactionCount(reaction=types.ReactionEmoji(sign), count=count)
        for sign, count in (("a", 3), ("b", 4))
    ]

    assert taken(message(reactions=types.MessageReactions(results=counted)))["reactions_count"] == 7
    assert taken(message(reactions=types.MessageReactions(results=[])))["reactions_count"] == 0
    assert taken(message())["reactions_count"] is None


@pytest.mark.parametrize(
    ("media", "has"),
    [
        (None, False),
        (types.MessageMediaEmpty(), False),
        (types.MessageMediaWebPage(webpage=types.WebPageEmpty(id=1)), False),
        (types.MessageMediaPhoto(photo=types.PhotoEmpty(id=1)), True),
        (types.MessageMediaUnsupported(), True),
    ],
)
def test_media_are_what_is_attached_and_no_preview_of_a_link(media: Any, has: bool) -> None:
    assert taken(message(media=media))["has_media"] is has


def test_the_link_needs_the_channels_user_name() -> None:
    assert taken(message())["telegram_post_url"] is None
    assert taken(message(), username="@notes")["telegram_post_url"] == "https://t.me/notes/10"
    known = finished(message(), channel())
    assert taken(known)["telegram_post_url"] == "https://t.me/notes/10"


@pytest.mark.parametrize(
    ("peer", "marked"),
    [
        (types.PeerChannel(5), -(10**12 + 5)),
        (types.PeerChat(GROUP), -GROUP),
        (types.PeerUser(USER), USER),
    ],
)
def test_the_chat_is_marked_by_its_kind(peer: Any, marked: int) -> None:
    event = taken(message(peer_id=peer, post=None))

    assert marked == event["tg_channel_id"]
    assert (
        taken(message(peer_id=types.PeerChat(GROUP), post=None), username="x")["telegram_post_url"]
        is None
    )


def test_every_message_of_an_album_is_a_post() -> None:
    caption, picture = message(10, grouped_id=7), message(11, grouped_id=7, message="")

    assert [taken(each)["post_id"] for each in (caption, picture)] == [
        f"{CHANNEL_MARKED}:10",
        f"{CHANNEL_MARKED}:11",
    ]
    assert taken(picture)["text"] == ""


def test_service_and_empty_messages_are_no_posts() -> None:
    service = types.MessageService(
        id=1,
        peer_id=types.PeerChannel(CHANNEL),
        date=POSTED,
        action=types.MessageActionTopicCreate(title="x", icon_color=1),
    )
    empty = types.MessageEmpty(id=2, peer_id=None)

    for each in (service, empty):
        assert prepare_parsed_event(each) is None
        assert prepare_parsed_event({"_": type(each).__name__, "id": 1}) is None
    assert prepare_parsed_event(service.to_dict()) is None


# Forwards


def test_no_forward_clears_one() -> None:
    assert forward(message()) == (None, None, None, None)


def test_a_forward_from_a_channel_names_the_source_post() -> None:
    sent = forwarded(from_id=types.PeerChannel(OTHER), channel_post=42, post_author="Bo")

    assert forward(sent) == ({"channel_id": OTHER}, None, 42, None)
    decoded = wire_events.decode(form_a(taken(sent)), LATE).forward
    assert decoded is not None
    assert (decoded.source, decoded.target) == ((str(OTHER), "channel"), (OTHER_MARKED, 42))
    assert taken(sent)["forward_date"] == POSTED.isoformat()


def test_a_forward_from_a_user_has_no_source_post() -> None:
    assert forward(forwarded(from_id=types.PeerUser(USER))) == ({"user_id": USER}, None, None, None)


def test_a_hidden_forwarder_is_a_name() -> None:
    sent = forwarded(from_name="Someone")

    assert forward(sent) == (None, None, None, "Someone")
    decoded = wire_events.decode(form_a(taken(sent)), LATE).forward
    assert decoded is not None
    assert decoded.source == ("Someone", "hidden")


def test_a_header_with_nothing_but_a_date_is_a_forward_from_nowhere() -> None:
    decoded = wire_events.decode(form_a(taken(forwarded())), LATE).forward

    assert decoded is not None
    assert (decoded.source, decoded.target) == (None, None)


def test_where_it_was_saved_from_is_the_source_post_if_there_is_no_other() -> None:
    saved = {"saved_from_peer": types.PeerChannel(OTHER), "saved_from_msg_id": 9}

    assert forward(forwarded(from_id=types.PeerUser(USER), **saved))[:3] == (
        {"user_id": USER},
        OTHER_MARKED,
        9,
    )
    assert forward(forwarded(from_id=types.PeerChannel(CHANNEL), channel_post=42, **saved))[:3] == (
        {"channel_id": CHANNEL},
        None,
        42,
    )
    assert forward(forwarded(**saved))[:3] == (None, OTHER_MARKED, 9)


def test_a_hidden_forwarder_stays_one_wherever_it_was_saved_from() -> None:
    saved = {"saved_from_peer": types.PeerChannel(OTHER), "saved_from_msg_id": 9}

    assert forward(forwarded(from_name="Someone", **saved)) == (None, None, None, "Someone")


def test_a_private_chat_that_it_was_saved_from_is_no_source_post() -> None:
    saved = {"saved_from_peer": types.PeerUser(USER), "saved_from_msg_id": 9}

    assert forward(forwarded(from_id=types.PeerUser(8), **saved))[:3] == (
        {"user_id": 8},
        None,
        None,
    )


def test_the_source_is_labelled_with_what_came_beside_the_message() -> None:
    from_channel = forwarded(from_id=types.PeerChannel(OTHER), channel_post=1, post_author="Bo")
    from_user = forwarded(from_id=types.PeerUser(USER))

    assert forward(finished(from_channel, channel(OTHER, title="Other")))[3] == "Other"
    assert forward(finished(from_user, user()))[3] == "Ada Lovelace"
    assert (
        forward(finished(forwarded(from_id=types.PeerUser(USER)), user(last_name=None)))[3] == "Ada"
    )


# Replies


def test_a_reply_is_in_the_same_chat_unless_it_says_so() -> None:
    assert reply(replying(reply_to_msg_id=3)) == (3, None, None)
    assert reply(replying(reply_to_msg_id=3, reply_to_peer_id=types.PeerChannel(CHANNEL))) == (
        3,
        None,
        None,
    )
    assert reply(replying(reply_to_msg_id=3, reply_to_peer_id=types.PeerChannel(OTHER))) == (
        3,
        OTHER_MARKED,
        None,
    )


def test_a_reply_within_a_thread_has_both() -> None:
    assert reply(replying(reply_to_msg_id=9, reply_to_top_id=3)) == (9, None, 3)


def test_a_plain_post_in_a_topic_is_no_reply() -> None:
    assert reply(replying(reply_to_msg_id=3, forum_topic=True)) == (None, None, 3)
    root = replying(reply_to_msg_id=3, reply_to_top_id=3, forum_topic=True)
    assert reply(root) == (None, None, 3)
    assert reply(replying(reply_to_msg_id=9, reply_to_top_id=3, forum_topic=True)) == (9, None, 3)


def test_a_reply_into_another_chat_from_a_topic_keeps_both() -> None:
    there = {"reply_to_peer_id": types.PeerChannel(OTHER), "forum_topic": True}

    assert reply(replying(reply_to_msg_id=9, reply_to_top_id=3, **there)) == (9, OTHER_MARKED, 3)
    assert reply(replying(reply_to_msg_id=9, **there)) == (9, OTHER_MARKED, None)


def test_a_reply_whose_parent_cannot_be_addressed_is_none() -> None:
    unseen = types.MessageFwdHeader(date=POSTED, from_name="Someone")

    assert reply(replying(reply_from=unseen)) == (None, None, None)
    assert reply(replying(reply_to_msg_id=3, reply_to_scheduled=True)) == (None, None, None)
    private = replying(reply_to_msg_id=3, reply_to_peer_id=types.PeerUser(USER))
    assert reply(private) == (None, None, None)


def test_a_reply_to_a_story_has_no_message() -> None:
    story = types.MessageReplyStoryHeader(peer=types.PeerUser(USER), story_id=3)

    assert reply(in_group(reply_to=story)) == (None, None, None)


def test_a_quote_is_a_reply() -> None:
    assert reply(replying(reply_to_msg_id=3, quote=True, quote_text="x")) == (3, None, None)


# Authors


def test_a_channels_post_is_the_channels_and_signed_by_whom_it_says() -> None:
    assert author(message()) == ({"channel_id": CHANNEL}, None, "channel")
    assert author(message(post_author="Bo")) == ({"channel_id": CHANNEL}, "Bo", "channel")


def test_a_user_is_labelled_with_the_name_that_came_beside_the_message() -> None:
    assert author(in_group()) == ({"user_id": USER}, None, "user")
    assert author(finished(in_group(), user())) == ({"user_id": USER}, "Ada Lovelace", "user")


def test_an_anonymous_admin_is_the_group() -> None:
    sent = in_group(from_id=types.PeerChannel(CHANNEL), post_author="boss")

    assert author(sent) == ({"channel_id": CHANNEL}, "boss", "channel")


def test_an_anonymous_admin_of_older_layers_is_nobody_or_a_signature() -> None:
    assert author(in_group(from_id=None)) == (None, None, None)
    assert author(in_group(from_id=None, post_author="boss")) == (None, "boss", "signature")


def test_in_a_private_chat_only_the_other_one_is_left_unnamed() -> None:
    private = {"peer_id": types.PeerUser(USER), "from_id": None}

    assert author(in_group(**private)) == ({"user_id": USER}, None, "user")
    assert author(in_group(**private, out=True)) == (None, None, None)


# Dumps of older layers


def old(**fields: Any) -> dict[str, Any]:
    """A message as Telethon dumped it until 2020."""
    return {
        "_": "Message",
        "id": 5,
        "to_id": {"_": "PeerChannel", "channel_id": CHANNEL},
        "date": "2019-05-01T10:00:00",
        "message": "old",
        "post": True,
        "from_id": None,
        "fwd_from": None,
        "reply_to_msg_id": None,
        **fields,
    }


def test_an_old_dump_has_to_id_a_flat_reply_and_a_plain_sender() -> None:
    assert reply(old(reply_to_msg_id=3)) == (3, None, None)
    assert author(old(from_id=USER, post=False)) == ({"user_id": USER}, None, "user")
    assert taken(old())["tg_channel_id"] == CHANNEL_MARKED
    assert taken(old())["posted_at"] == "2019-05-01T10:00:00+00:00"


def test_an_old_forward_from_a_channel_may_name_who_signed_it() -> None:
    header = {"_": "MessageFwdHeader", "date": 1556704800, "channel_id": OTHER, "channel_post": 4}

    assert forward(old(fwd_from={**header, "from_id": USER}))[:3] == (
        {"channel_id": OTHER},
        None,
        4,
    )
    assert forward(old(fwd_from={"date": 1556704800, "from_id": USER}))[0] == {"user_id": USER}


def test_an_old_private_message_was_addressed_to_us() -> None:
    me = {"_": "PeerUser", "user_id": 1}

    assert taken(old(to_id=me, from_id=USER, post=False, out=False))["tg_channel_id"] == USER
    assert taken(old(to_id=me, from_id=USER, post=False, out=True))["tg_channel_id"] == 1


# What is no message


@pytest.mark.parametrize(
    ("wrong", "reason", "named"),
    [
        ({"id": "five"}, "wrong_type", "id is 'five'"),
        ({"id": 2**70}, "integer_range", "id is"),
        ({"date": None}, "missing_field", "date"),
        ({"date": "yesterday"}, "wrong_type", "date is 'yesterday'"),
        ({"date": True}, "wrong_type", "date is True"),
        ({"date": []}, "wrong_type", "date is []"),
        ({"to_id": None}, "missing_field", "peer_id"),
        ({"to_id": {"_": "PeerChannel"}}, "wrong_type", "to_id"),
        ({"to_id": {"channel_id": 0}}, "wrong_type", "to_id"),
        ({"to_id": {"channel_id": 1, "user_id": 2}}, "wrong_type", "to_id"),
        ({"fwd_from": {"from_id": "x"}}, "wrong_type", "fwd_from"),
        ({"fwd_from": {"date": "x"}}, "wrong_type", "fwd_from.date is 'x'"),
        ({"reply_to": 5}, "wrong_type", "reply_to is 5"),
        ({"message": ["a"]}, "wrong_type", "message is ['a']"),
    ],
)
def test_a_value_that_cannot_be_is_named(wrong: dict[str, Any], reason: str, named: str) -> None:
    with pytest.raises(BadEvent) as caught:
        prepare_parsed_event(old(**wrong))

    assert reason == caught.value.reason
    assert named in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("thing", [None, 5, "text", [], {}, object(), SimpleNamespace(id=1)])
def test_what_is_no_message_is_refused(thing: object) -> None:
    with pytest.raises(BadEvent):
        prepare_parsed_event(thing)


PEERS = st.none() | st.builds(types.PeerUser, st.integers(1, 10**12)) | st.builds(
    types.PeerChannel, st.integers(1, 10**12)
) | st.builds(types.PeerChat, st.integers(1, 10**9))  # fmt: skip
TIMES = st.integers(0, 10**9).map(lambda seconds: POSTED + timedelta(seconds=seconds))
IDS = st.none() | st.integers(11, 2**31 - 1)  # never the message itself
NAMES = st.none() | st.text(max_size=20)
FLAGS = st.none() | st.booleans()
HEADERS = st.none() | st.builds(
    types.MessageFwdHeader,
    date=TIMES,
    from_id=PEERS,
    from_name=NAMES,
    channel_post=IDS,
    post_author=NAMES,
    saved_from_peer=PEERS,
    saved_from_msg_id=IDS,
    imported=FLAGS,
)
REPLIES = st.none() | st.builds(
    types.MessageReplyHeader,
    reply_to_msg_id=IDS,
    reply_to_peer_id=PEERS,
    reply_to_top_id=IDS,
    forum_topic=FLAGS,
    reply_to_scheduled=FLAGS,
)


@settings(max_examples=150, deadline=None)
@given(
    peer=PEERS.filter(bool),
    sender=PEERS,
    edited=st.none() | TIMES,
    header=HEADERS,
    reply_to=REPLIES,
    name=NAMES,
    flags=st.tuples(FLAGS, FLAGS, FLAGS),
)
def test_whatever_telegram_can_say_becomes_an_event_that_a_worker_takes(
    peer: Any, sender: Any, edited: Any, header: Any, reply_to: Any, name: Any, flags: Any
) -> None:
    """The event of the object, of its dump and of both forms are the same one."""
    post, out, hidden = flags
    taken(
        types.Message(
            id=10,
            peer_id=peer,
            from_id=sender,
            date=POSTED,
            edit_date=edited,
            edit_hide=hidden,
            fwd_from=header,
            reply_to=reply_to,
            post_author=name,
            post=post,
            out=out,
            message=name,
        )
    )


def test_a_typed_event_is_one_too() -> None:
    event = taken(message())

    typed = msgspec.convert(event, PostParsedEventV1)
    assert wire_events.decode({b"data": msgspec.json.encode(typed)}, LATE) == wire_events.decode(
        form_a(event), LATE
    )


def test_urls_are_those_in_the_text_behind_words_and_of_the_preview() -> None:
    """Offsets count units of UTF-16, of which an emoji has two."""
    text = "😀 https://a.example/x and b.example"
    entities = [
        types.MessageEntityUrl(offset=3, length=19),
        types.MessageEntityBold(offset=3, length=19),
        types.MessageEntityTextUrl(offset=23, length=3, url="https://t.me/c/5/1"),
        types.MessageEntityUrl(offset=27, length=9),
    ]
    preview = types.WebPage(id=1, url="https://c.example", display_url="c.example", hash=0)
    event = taken(
        message(message=text, entities=entities, media=types.MessageMediaWebPage(preview))
    )
    assert event["urls"] == [
        "https://a.example/x",
        "https://t.me/c/5/1",
        "b.example",
        "https://c.example",
    ]
    assert taken(message())["urls"] == []


def test_parts_of_an_album_have_its_id() -> None:
    assert taken(message(grouped_id=13_000_000_000_000_007))["grouped_id"] == 13_000_000_000_000_007
    assert taken(message())["grouped_id"] is None
