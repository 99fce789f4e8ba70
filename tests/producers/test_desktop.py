"""Telegram Desktop exports: a real one, and hand-made ones for every odd shape seen in others."""

from __future__ import annotations

import json
import re
import tracemalloc
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.paths import DATA
from support.reading import Read

from graphwriter import events as wire_events
from graphwriter.errors import BadEvent
from graphwriter.producers import desktop, jsonfile

REAL = DATA / "desktop-export/result.json"
LATE = 4 * 10**12  # milliseconds: no event of a test is later

CHANNEL = {"name": "Notes", "type": "public_channel", "id": 1234567890}
FORUM = {"name": "Forum", "type": "private_supergroup", "id": 2482670091}
CHANNEL_MARKED = -1001234567890
FORUM_MARKED = -1002482670091


def post(number: int, **fields: Any) -> dict[str, Any]:
    """A plain message as Desktop writes it, a day for each id."""
    return {
        "id": number,
        "type": "message",
        "date": "2024-01-01T05:00:00",
        "date_unixtime": str(1_704_067_200 + number % 1000 * 86_400),
        "from": "Ada",
        "from_id": "user77",
        "text": "hello",
        "text_entities": [],
        **fields,
    }


def service(number: int, action: str) -> dict[str, Any]:
    return {"id": number, "type": "service", "date_unixtime": "1704067200", "action": action}


@pytest.fixture
def export(tmp_path: Path) -> Any:
    """A function that writes an export and reads it."""

    def read(value: dict[str, Any] | bytes, **options: Any) -> Read:
        path = tmp_path / "result.json"
        path.write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
        return Read(desktop.events, path, **options)

    return read


def one(export: Any, message: dict[str, Any], chat: dict[str, Any] = CHANNEL) -> dict[str, Any]:
    """The one event of an export with one message."""
    read = export({**chat, "messages": [message]})
    assert read.rejected == []
    (event,) = read.events
    wire_events.decode({b"data": msgspec.json.encode(event)}, LATE)
    return dict(event)


# The real export


@pytest.fixture(scope="module")
def real() -> Read:
    if not REAL.exists():
        pytest.skip(f"the real export is not here: {REAL}")
    return Read(desktop.events, REAL)


def test_the_real_export_has_908_posts_and_16_service_messages(real: Read) -> None:
    assert Counter(chats=1, events=908, service=16) == real.counts
    assert len(real.events) + real.counts["service"] == 924
    assert (real.rejected, real.error) == ([], None)


def test_the_real_export_has_84_replies_one_of_them_into_another_chat(real: Read) -> None:
    replies = [event for event in real.events if event["reply_to_message_id"] is not None]
    elsewhere = [event for event in replies if event["reply_to_chat_id"] is not None]

    assert len(replies) == 84
    assert [
        (e["telegram_message_id"], e["reply_to_message_id"], e["reply_to_chat_id"])
        for e in elsewhere
    ] == [(534, 207, -1001901773654)]


def test_the_real_export_has_513_signatures_beside_the_channel(real: Read) -> None:
    signed = Counter(event["author_name"] for event in real.events)

    assert signed == {"Daneel God": 431, "goddaneel": 82, None: 395}
    assert real.events[0]["author_peer_id"] == {"channel_id": 1878264527}


def test_every_event_of_the_real_export_is_taken_by_the_decoder(real: Read) -> None:
    decoded = [
        wire_events.decode({b"data": msgspec.json.encode(event)}, LATE) for event in real.events
    ]

    assert len(decoded) == len({event.address for event in decoded})
    assert all(event.forward and event.reply and event.author for event in decoded)


# Chats and shapes


@pytest.mark.parametrize(
    ("kind", "marked"),
    [
        ("public_channel", -1000000000005),
        ("private_channel", -1000000000005),
        ("public_supergroup", -1000000000005),
        ("private_supergroup", -1000000000005),
        ("private_group", -5),
        ("personal_chat", 5),
        ("bot_chat", 5),
        ("saved_messages", 5),
        ("replies", 5),
        ("verification_codes", 5),
    ],
)
def test_the_id_of_a_chat_is_marked_by_its_type(export: Any, kind: str, marked: int) -> None:
    event = one(export, post(1), {"type": kind, "id": 5})

    assert (marked, f"{marked}:1") == (event["tg_channel_id"], event["post_id"])


def test_a_whole_account_is_read_with_the_chats_that_were_left(export: Any) -> None:
    read = export(
        {
            "about": "Here is the data you requested.",
            "personal_information": {"user_id": 1, "messages": [post(9)]},
            "contacts": {"about": "", "list": [{"first_name": "Ada"}]},
            "chats": {"about": "", "list": [{**CHANNEL, "messages": [post(1)]}]},
            "left_chats": {"about": "", "list": [{**FORUM, "messages": [post(1)]}]},
        }
    )

    assert [event["tg_channel_id"] for event in read.events] == [CHANNEL_MARKED, FORUM_MARKED]
    assert Counter(chats=2, events=2) == read.counts


def test_a_chat_of_no_known_type_costs_only_that_chat(export: Any) -> None:
    unknown: dict[str, Any] = {"name": None, "type": None, "id": 3, "messages": [post(1), post(2)]}
    chats = [unknown, "no chat", {**CHANNEL, "messages": [post(1)]}]

    read = export({"chats": {"list": chats}})

    assert [event["tg_channel_id"] for event in read.events] == [CHANNEL_MARKED]
    assert read.reasons == ["unknown_chat", "wrong_type"]
    assert read.counts["rejected"] == 3
    assert str(read.rejected[0][1]).startswith("unknown_chat: 2 messages of 1 chat left out: ")


@pytest.mark.parametrize("id_", [0, -5, "5", None, 1.5])
def test_a_chat_without_a_bare_id_is_rejected(export: Any, id_: object) -> None:
    assert export({"type": "replies", "id": id_, "messages": [post(1)]}).reasons == ["wrong_type"]


def test_type_and_id_may_come_after_the_messages(export: Any) -> None:
    assert export({"messages": [post(1), post(2)], **CHANNEL}).ids == [1, 2]


def test_a_chat_without_a_type_is_left_out_and_its_messages_are_counted(export: Any) -> None:
    read = export({"messages": [post(1), post(2)], "id": 5})

    assert (read.reasons, read.counts["rejected"]) == (["missing_field"], 2)


def test_the_account_may_come_after_the_chats(export: Any) -> None:
    chat = {"type": "private_group", "id": 5, "messages": [post(1)]}

    read = export({"chats": {"list": [chat]}, "personal_information": {"user_id": 77}})

    assert read.events[0]["account_id"] == 77
    assert "unaccounted" not in read.counts


def test_a_given_account_counts_more_than_that_of_the_export(export: Any) -> None:
    chat = {"type": "personal_chat", "id": 5, "messages": [post(1)]}
    value = {"personal_information": {"user_id": 77}, "chats": {"list": [chat]}}

    assert export(value, account=78).events[0]["account_id"] == 78


def test_events_of_a_channel_have_no_account(export: Any) -> None:
    assert "account_id" not in export({**CHANNEL, "messages": [post(1)]}, account=78).events[0]


def test_an_export_in_utf_16_is_read(export: Any) -> None:
    text = json.dumps({**CHANNEL, "messages": [post(1, text="Ñandú")]}, ensure_ascii=False)

    for encoding in ("utf-16", "utf-16-be"):
        mark = "" if encoding == "utf-16" else "\ufeff"
        assert export((mark + text).encode(encoding)).events[0]["text"] == "Ñandú"


def test_a_directory_stands_for_the_export_in_it(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps({**CHANNEL, "messages": [post(1)]}))

    assert len(list(desktop.events(tmp_path))) == 1


def test_service_messages_and_unsupported_ones_are_counted_and_no_posts(export: Any) -> None:
    messages = [service(1, "create_channel"), {"id": 2, "type": "unsupported"}, post(3)]

    read = export({**CHANNEL, "messages": messages})

    assert list(read.by_id) == [3]
    assert Counter(chats=1, events=1, service=1, unsupported=1) == read.counts


def test_the_same_export_gives_the_same_events(export: Any) -> None:
    value = {**CHANNEL, "messages": [post(1), post(2)]}

    assert export(value).events == export(value).events
    assert len({event["idempotency_key"] for event in export(value).events}) == 2


# Times


def test_the_time_of_an_event_is_that_of_the_last_edit(export: Any) -> None:
    event = one(export, post(0, edited="2024-01-03T05:00:00", edited_unixtime="1704240000"))

    assert event["occurred_at"] == "2024-01-03T00:00:00+00:00"
    assert event["posted_at"] == "2024-01-01T00:00:00+00:00"
    assert event["is_edited"] is True


def test_an_export_without_unixtime_has_its_local_dates_taken_as_utc(export: Any) -> None:
    message = post(1, date="2019-05-31T21:28:30", edited="2019-06-01T00:00:00")
    del message["date_unixtime"]

    event = one(export, message)

    assert event["occurred_at"] == "2019-06-01T00:00:00+00:00"
    assert event["posted_at"] == "2019-05-31T21:28:30+00:00"


def test_an_edit_in_1970_is_an_old_export_saying_never(export: Any) -> None:
    message = post(1, date="2018-09-01T10:00:00", edited="1970-01-01T03:00:00")
    del message["date_unixtime"]

    event = one(export, message)

    assert (event["occurred_at"], event["is_edited"]) == ("2018-09-01T10:00:00+00:00", False)


def test_the_time_of_the_export_can_decide_instead(export: Any) -> None:
    made = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    read = export({**CHANNEL, "messages": [post(1)]}, occurred_at=made)

    assert [event["occurred_at"] for event in read.events] == ["2026-01-02T03:04:05+00:00"]


@pytest.mark.parametrize("date", ["hidden", "", "9" * 30, 10**17])
def test_a_date_that_is_none_is_rejected_with_its_field(export: Any, date: object) -> None:
    ((_, error),) = export({**CHANNEL, "messages": [post(1, date_unixtime=date)]}).rejected

    assert error.reason == "wrong_type"
    assert error.message.startswith("date_unixtime")


def test_a_message_without_any_date_is_rejected(export: Any) -> None:
    message = {"id": 1, "type": "message", "text": ""}

    assert export({**CHANNEL, "messages": [message]}).reasons == ["missing_field"]


# Content


def test_a_text_is_one_string_or_a_list_of_strings_and_parts(export: Any) -> None:
    parts = ["see ", {"type": "link", "text": "t.me", "href": None}, {"type": "plain"}, "!"]

    assert one(export, post(1))["text"] == "hello"
    assert one(export, post(1, text=parts))["text"] == "see t.me!"
    assert one(export, post(1, text=[]))["text"] == ""


@pytest.mark.parametrize("key", ["photo", "file", "poll", "location_information", "place_name"])
def test_media_is_told_by_what_it_left_in_the_message(export: Any, key: str) -> None:
    assert one(export, post(1))["has_media"] is False
    assert one(export, post(1, **{key: None}))["has_media"] is True


def test_reactions_are_summed_and_absent_where_the_exporter_is_silent(export: Any) -> None:
    counts = [{"type": "emoji", "count": 3, "emoji": "👍"}, {"type": "paid", "count": 4}]

    assert one(export, post(1, reactions=counts))["reactions_count"] == 7
    assert one(export, post(1))["reactions_count"] is None


def test_an_id_may_be_negative(export: Any) -> None:
    event = one(export, post(-999999939, reply_to_message_id=-999999999))

    assert (event["telegram_message_id"], event["reply_to_message_id"]) == (-999999939, -999999999)


# Authors


@pytest.mark.parametrize(
    ("fields", "peer", "name", "kind"),
    [
        ({}, {"user_id": 77}, "Ada", "user"),
        ({"from": None, "from_id": "user100000009"}, {"user_id": 100000009}, None, "user"),
        ({"author": "Admin"}, {"user_id": 77}, "Ada", "user"),
        ({"from": "Forum", "from_id": "channel2482670091"}, {"channel_id": 2482670091}, None, None),
        ({"from_id": "channel9", "author": "Ada L."}, {"channel_id": 9}, "Ada L.", None),
        ({"from_id": "chat8"}, {"chat_id": 8}, None, "chat"),
        ({"from_id": 77}, {"user_id": 77}, "Ada", "user"),
        ({"from_id": 5_000_000_001}, {"user_id": 5_000_000_001}, "Ada", "user"),
        ({"from_id": None, "author": "Ada L."}, None, "Ada L.", "signature"),
        ({"from_id": None}, None, "Ada", "signature"),
        ({"from": None, "from_id": None}, None, None, None),
    ],
)
def test_the_name_is_the_users_or_else_the_signature(
    export: Any, fields: dict[str, Any], peer: object, name: object, kind: object
) -> None:
    event = one(export, post(1, **fields), FORUM)

    assert (peer, name) == (event["author_peer_id"], event["author_name"])
    assert kind in (event["author_type"], None)


def test_a_channels_post_without_a_sender_is_the_channels(export: Any) -> None:
    message = post(1, author="Ada L.")
    del message["from"], message["from_id"]

    event = one(export, message)

    assert (
        event["author_peer_id"],
        event["author_name"],
    ) == ({"channel_id": 1234567890}, "Ada L.")


@pytest.mark.parametrize(
    ("from_id", "peer"),
    [
        (77, {"user_id": 77}),
        ((1 << 32) + 77, {"user_id": 77}),
        ((2 << 32) + 88, {"channel_id": 88}),
        ((2 << 32) + 5, {"chat_id": 5}),
    ],
)
def test_peers_of_2020_are_one_integer_with_the_kind_in_the_high_bits(
    export: Any, from_id: int, peer: dict[str, int]
) -> None:
    message = post(1, from_id=from_id, date="2020-11-01T05:00:00")
    del message["date_unixtime"]

    assert peer == one(export, message, {"type": "private_group", "id": 5})["author_peer_id"]


@pytest.mark.parametrize("from_id", ["user", "user0", "bot5", "user-5", 0, -5, "user" + "9" * 30])
def test_a_peer_that_is_none_is_rejected_with_its_field(export: Any, from_id: object) -> None:
    ((_, error),) = export({**FORUM, "messages": [post(1, from_id=from_id)]}).rejected

    assert error.reason == "wrong_type"
    assert error.message.startswith("from_id")


# Forwards


@pytest.mark.parametrize(
    ("fields", "peer", "name"),
    [
        ({"forwarded_from": "N", "forwarded_from_id": "user5"}, {"user_id": 5}, "N"),
        ({"forwarded_from": "N", "forwarded_from_id": "channel5"}, {"channel_id": 5}, "N"),
        ({"forwarded_from": "N", "forwarded_from_id": "chat5"}, {"chat_id": 5}, "N"),
        ({"forwarded_from": None, "forwarded_from_id": "user5"}, {"user_id": 5}, None),
        ({"forwarded_from": "Hidden"}, None, "Hidden"),
        ({"forwarded_from": None, "saved_from": None}, None, None),
    ],
)
def test_a_forward_names_its_source(
    export: Any, fields: dict[str, Any], peer: object, name: object
) -> None:
    event = one(export, post(1, **fields))

    assert (peer, name) == (event["forward_from_peer_id"], event["forward_from_name"])


def test_the_forwarded_post_is_known_where_an_exporter_adds_it(export: Any) -> None:
    event = one(export, post(1, forwarded_from_id="channel5", forwarded_from_message_id=42))

    decoded = wire_events.decode({b"data": msgspec.json.encode(event)}, LATE)

    assert decoded.forward is not None
    assert decoded.forward.target == (-1000000000005, 42)


def test_a_plain_post_clears_what_an_earlier_export_said(export: Any) -> None:
    event = one(export, post(1, from_id=None, **{"from": None}), FORUM)

    facets = {k: v for k, v in event.items() if re.match(r"forward_|reply_|thread_|author_", k)}

    assert len(facets) == 11
    assert {None} == set(facets.values())


# Replies and topics


def replies(read: Read) -> dict[int, tuple[Any, Any, Any]]:
    return {
        number: (e["reply_to_message_id"], e["reply_to_chat_id"], e["thread_id"])
        for number, e in read.by_id.items()
    }


def test_a_reply_to_a_topics_root_is_a_thread_and_no_reply(export: Any) -> None:
    read = export(
        {
            **FORUM,
            "messages": [
                service(10, "topic_created"),
                post(11, reply_to_message_id=10),
                post(12, reply_to_message_id=11),
                post(13, reply_to_message_id=12),
                post(14),
                post(15, reply_to_message_id=14),
                service(16, "topic_created"),
                post(17, reply_to_message_id=16),
                post(18, reply_to_message_id=11, reply_to_peer_id="channel2482670091"),
                post(19, reply_to_message_id=10, reply_to_peer_id="channel5"),
                post(20, reply_to_message_id=9),
            ],
        }
    )

    assert replies(read) == {
        11: (None, None, 10),
        12: (11, None, 10),
        13: (12, None, 10),
        14: (None, None, None),
        15: (14, None, None),
        17: (None, None, 16),
        18: (11, None, 10),
        19: (10, -1000000000005, None),
        20: (9, None, None),
    }


def test_topics_of_one_chat_are_none_of_another(export: Any) -> None:
    chats = [
        {**FORUM, "messages": [service(10, "topic_created"), post(11, reply_to_message_id=10)]},
        {**CHANNEL, "messages": [service(10, "pin_message"), post(11, reply_to_message_id=10)]},
    ]

    read = export({"chats": {"list": chats}})

    assert [(event["reply_to_message_id"], event["thread_id"]) for event in read.events] == [
        (None, 10),
        (10, None),
    ]


# What is no export, or no whole one


HINT = (
    "a Telethon dump goes through `graphwriter import telethon`, events, one a line, through "
    "`graphwriter publish`"
)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", " is empty"),
        (b" \n ", " is empty"),
        (
            b"<html></html>",
            " is an HTML file: export the chat again, in the format JSON (machine-readable)",
        ),
        (b"[1, 2]", " is not a Telegram export; " + HINT),
        (b"\x1f\x8b\x08\x00", " is not a Telegram export; " + HINT),
        (b'"text"', " is not a Telegram export; " + HINT),
        (b"{}", " is not a Telegram export with chats: it has no messages; " + HINT),
        (
            b'{"messages": {}, "chats": []}',
            " is not a Telegram export with chats: it has no messages; " + HINT,
        ),
        (b'{"a": 1]', ", byte 7: expected a key or }, found ']'"),
        (b'{"a": }', ", byte 6: expected a value, found '}'"),
    ],
)
def test_a_file_that_is_no_export_is_refused_in_a_line(
    export: Any, tmp_path: Path, data: bytes, error: str
) -> None:
    read = export(data)

    assert ([], f"{tmp_path / 'result.json'}{error}") == (read.events, str(read.error))


def test_a_missing_file_and_an_empty_directory_are_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "result.json"):
        assert f"{tmp_path / 'result.json'}: No such file or directory" == str(
            Read(desktop.events, path).error
        )


def test_a_cut_anywhere_keeps_what_was_before_it(tmp_path: Path) -> None:
    whole = json.dumps({**CHANNEL, "messages": [post(n, text=[{"text": "]}"}]) for n in (1, 2)]})
    path = tmp_path / "result.json"
    ends = [m.end() for m in re.finditer(r'"text_entities": \[\]\}', whole)]
    for cut in range(1, len(whole)):
        path.write_text(whole[:cut])
        read = Read(desktop.events, path)

        assert sum(end <= cut for end in ends) == len(read.events)
        assert str(read.error).endswith("the file is truncated here; everything before was read")
        assert read.rejected == []


def test_a_byte_order_mark_is_passed_over(export: Any) -> None:
    read = export(b"\xef\xbb\xbf" + json.dumps({**CHANNEL, "messages": [post(1)]}).encode())

    assert (len(read.events), read.error) == (1, None)


def test_what_follows_an_export_is_told(export: Any) -> None:
    read = export(json.dumps({**CHANNEL, "messages": [post(1)]}).encode() + b"{}")

    assert len(read.events) == 1
    assert str(read.error).endswith("there is more data after the end of the export")


def test_a_malformed_message_costs_only_itself_and_is_named(export: Any, tmp_path: Path) -> None:
    bad = [
        (b'{"id": "1", "type": "message"}', "wrong_type", "id is '1', expected int, got str"),
        (b'{"type": "message"}', "missing_field", "id is required and missing"),
        (
            b'{"id": 1, "type": "poem"}',
            "wrong_type",
            "type is 'poem', expected message, service or unsupported",
        ),
        (b'{"id": 1, "text": ["\xff"]}', "bad_utf8", "the message contains text that is not UTF-8"),
        (b'{"id": 1, "text": "\\q"}', "not_json", "JSON is malformed"),
        (b'{"id": 1 "type": "message"}', "not_json", "JSON is malformed"),
        (b'{"id": 1]', "not_json", "JSON is malformed"),
        (b"7", "wrong_type", "Expected object, got int"),
        (b"null", "wrong_type", "Expected object, got null"),
        (b"nonsense", "not_json", "JSON is malformed"),
        (b'{"id": 1, "a": ' + b"[" * 9999 + b"]" * 9999 + b"}", "too_deep", "the JSON is nested"),
        (
            b'{"id": 99999999999999999999}',
            "integer_range",
            "id is 99999999999999999999, expected int",
        ),
    ]
    head = b'{"type": "public_channel", "id": 5, "messages": [\n'
    good = json.dumps(post(7)).encode()
    for raw, reason, message in bad:
        read = export(head + raw + b",\n" + good + b"]}")

        ((place, error),) = read.rejected
        assert list(read.by_id) == [7]
        assert f"{tmp_path / 'result.json'}, byte {len(head)}" == place
        assert (reason, message) == (error.reason, error.message[: len(message)])


def test_without_a_callback_the_first_malformed_message_is_raised(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps({**CHANNEL, "messages": [post(1), {"id": "x"}, post(2)]}))
    seen: list[dict[str, Any]] = []

    with pytest.raises(BadEvent, match=r"result\.json, byte \d+: id is .*, expected int, got str"):
        seen.extend(desktop.events(path))

    assert len(seen) == 1


# What Desktop writes that is no JSON


def test_control_characters_as_desktop_escapes_them_are_read(export: Any) -> None:
    raw = json.dumps({**CHANNEL, "messages": [post(1, text="1~2 \\x41 \\\\ é\n")]})

    read = export(raw.replace("~", "\\x01").encode())

    assert [event["text"] for event in read.events] == ["1\x012 \\x41 \\\\ é\n"]


def test_document_ids_without_quotes_are_passed_over(export: Any) -> None:
    part = {"type": "custom_emoji", "text": "😁", "document_id": "~"}
    raw = json.dumps({**CHANNEL, "messages": [post(1, text=["a", part])]}, indent=1)

    read = export(raw.replace('"~"', "video_files/sticker (2).webm").encode())

    assert (read.rejected, [event["text"] for event in read.events]) == ([], ["a😁"])


# Size and chance


def test_memory_does_not_grow_with_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonfile, "CHUNK", 1 << 14)
    path = tmp_path / "result.json"
    message = json.dumps(post(1, text="x" * 2000))
    contacts = ",".join(["{}"] * 50_000)
    path.write_text(
        '{"contacts": {"list": [' + contacts + "]},"
        '"type": "public_channel", "id": 5, "messages": [' + ",".join([message] * 1_000) + "]}"
    )
    tracemalloc.start()

    count = sum(1 for _ in desktop.events(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert count == 1_000
    assert peak < 200_000 < path.stat().st_size / 10


def test_one_value_without_end_is_refused_before_it_fills_the_memory(
    export: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonfile, "VALUE_LIMIT", 1 << 20)

    read = export(b'{"type": "replies", "id": 5, "messages": ["' + b"x" * (1 << 22))

    assert str(read.error).endswith("one value is longer than 1 MiB")


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64])
def test_values_may_lie_across_any_edge_of_a_read(
    export: Any, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    value = {
        "about": 'quotes \\" and ]}',
        "chats": {
            "list": [{**FORUM, "messages": [post(1, text='}"\\'), service(2, "x"), post(3)]}]
        },
    }
    expected = export(value).events

    monkeypatch.setattr(jsonfile, "CHUNK", chunk)

    assert len(expected) == 2
    assert expected == export(value).events


SAMPLE = json.dumps(
    {
        "about": "x",
        "chats": {
            "list": [
                {
                    **FORUM,
                    "messages": [service(10, "topic_created"), post(11, edited="2024-01-01")],
                },
                {
                    **CHANNEL,
                    "messages": [
                        post(1, forwarded_from="N", forwarded_from_id="user5", author="A"),
                        post(2, reply_to_message_id=1, reply_to_peer_id="channel5", text=["a"]),
                        post(3, reactions=[{"count": 1}], photo="p.jpg"),
                    ],
                },
            ]
        },
    },
    indent=1,
).encode()

JSON_BITS = st.sampled_from(
    rb"""{ } [ ] " : , \ \x01 null -1 1e999 0 "user0" "message" "service" \u0000 \ud800""".split()
) | st.sampled_from([b"\xff", b"\x00", b"9" * 25])
EDITS = st.lists(
    st.tuples(
        st.integers(0, len(SAMPLE)),
        st.integers(0, 12),
        st.one_of(JSON_BITS, st.binary(max_size=4)),
    ),
    min_size=1,
    max_size=6,
)


@given(EDITS)
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_damage_gives_an_unnamed_error(
    tmp_path: Path, edits: list[tuple[int, int, bytes]]
) -> None:
    data = SAMPLE
    for at, length, new in edits:
        data = data[:at] + new + data[at + length :]
    path = tmp_path / "fuzz.json"
    path.write_bytes(data)

    read = Read(desktop.events, path)

    for event in read.events:
        try:
            wire_events.decode({b"data": msgspec.json.encode(event)}, LATE)
        except BadEvent as error:
            assert error.reason in ("self_link", "occurred_at", "wrong_type")  # noqa: PT017
    assert "\n" not in str(read.error)


def test_urls_are_those_in_the_text_and_behind_words(export: Any) -> None:
    text = [
        "see ",
        {"type": "link", "text": "https://a.example/x"},
        {"type": "bold", "text": "b.example"},
        {"type": "text_link", "text": "here", "href": "https://t.me/c/5/1"},
        {"type": "text_link", "text": "nowhere"},
    ]
    assert one(export, post(1, text=text))["urls"] == ["https://a.example/x", "https://t.me/c/5/1"]
    assert one(export, post(1, text="https://a.example"))["urls"] == []
    rich = {"blocks": [{"text": [{"type": "link", "text": "c.example"}]}]}
    assert one(export, post(1, text="", rich_message=rich))["urls"] == ["c.example"]
