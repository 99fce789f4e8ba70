"""Dumps of Telethon messages: a real one, and hand-made ones for what scripts leave."""

from __future__ import annotations

import json
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.paths import DATA
from support.reading import Read
from support.tl import CHANNEL_MARKED, forwarded, in_group, message

from graphwriter import events as wire_events
from graphwriter.errors import BadEvent
from graphwriter.producers import jsonfile, prepare_parsed_event
from graphwriter.producers.telethon import dump

REAL = DATA / "telethon-dump/channel_messages.json"
LATE = 4 * 10**12  # milliseconds: no event of a test is later

ONE, TWO, THREE = (json.loads(message(number).to_json()) for number in (1, 2, 3))
SERVICE = {"_": "MessageService", "id": 4, "action": {"_": "MessageActionPinMessage"}}


@pytest.fixture
def read(tmp_path: Path) -> Any:
    """A function that writes a dump, of values or of text, and reads it."""

    def read(value: Any) -> Read:
        path = tmp_path / "dump.json"
        path.write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
        return Read(dump.events, path)

    return read


@pytest.fixture(scope="module")
def real() -> Read:
    if not REAL.exists():
        pytest.skip(f"the real dump is not here: {REAL}")
    return Read(dump.events, REAL)


def test_the_real_dump_has_100_posts_newest_first(real: Read) -> None:
    assert Counter(arrays=1, chats=1, events=100) == real.counts
    assert (real.rejected, real.error) == ([], None)
    assert (real.ids[0], real.ids[-1], len(set(real.ids))) == (24237, 24138, 100)
    assert sorted(real.ids, reverse=True) == real.ids


def test_the_real_dump_has_6_replies_one_of_them_within_a_thread(real: Read) -> None:
    replies = [
        (event["telegram_message_id"], event["reply_to_message_id"], event["thread_id"])
        for event in real.events
        if event["reply_to_message_id"] is not None
    ]

    assert len(replies) == 6
    assert [each for each in replies if each[2] is not None] == [(24223, 23373, 23098)]


def test_every_event_of_the_real_dump_is_taken_by_the_decoder(real: Read) -> None:
    decoded = [
        wire_events.decode({b"data": msgspec.json.encode(event)}, LATE) for event in real.events
    ]

    assert all(event.forward and event.reply and event.author for event in decoded)
    assert {event.author.author for event in decoded if event.author} == {("1075565753", "channel")}


def test_a_dump_gives_the_events_that_the_messages_give(read: Any) -> None:
    sent = [message(1), in_group(2), forwarded(from_name="Someone")]

    found = read(json.dumps([json.loads(each.to_json()) for each in sent]).encode())

    assert [prepare_parsed_event(each) for each in sent] == found.events


def test_the_order_makes_no_difference(read: Any) -> None:
    newest, oldest = read([THREE, TWO, ONE]), read([ONE, TWO, THREE])

    assert newest.events == oldest.events[::-1]


def test_several_arrays_are_read_and_what_is_wrong_is_named_by_position(read: Any) -> None:
    text = b"\n".join(json.dumps(part).encode() for part in ([ONE, TWO], [], [THREE, {"id": "x"}]))

    found = read(text)

    assert found.ids == [1, 2, 3]
    assert (found.counts["arrays"], found.counts["rejected"]) == (3, 1)
    ((place, error),) = found.rejected
    at = text.index(b'{"id": "x"')
    assert place.endswith(f"dump.json, byte {at} (array 3, item 2)")
    assert error.reason == "wrong_type"


def test_messages_one_after_another_are_read_too(read: Any) -> None:
    found = read(b"\n".join(json.dumps(each).encode() for each in (ONE, SERVICE, {"id": 5}, TWO)))

    assert found.ids == [1, 2]
    assert Counter(chats=1, events=2, service=1, rejected=1) == found.counts
    assert "(message 3)" in found.rejected[0][0]


def test_service_and_empty_messages_are_counted(read: Any) -> None:
    found = read([ONE, SERVICE, {"_": "MessageEmpty", "id": 6, "peer_id": None}])

    assert Counter(arrays=1, chats=1, events=1, service=1, empty=1) == found.counts


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (b'{"id": 1, "_": "Message"}', "missing_field"),
        (b'{"id": 1,, nonsense}', "not_json"),
        (b'{"id": 1, "message": "\xff"}', "bad_utf8"),
        (b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"}", "too_deep"),
        (b'{"id": 1' + b"0" * 30 + b"}", "integer_range"),
        (b'"text"', "wrong_type"),
        (b"7", "wrong_type"),
        (b"[1, 2]", "wrong_type"),
        (b"nonsense", "not_json"),
    ],
)
def test_a_message_that_cannot_be_read_costs_only_itself(
    read: Any, wrong: bytes, reason: str
) -> None:
    one, two = (json.dumps(each).encode() for each in (ONE, TWO))

    found = read(b"[" + b",".join((one, wrong, two)) + b"]")

    assert found.ids == [1, 2]
    assert [error.reason for _, error in found.rejected] == [reason]
    assert "array 1, item 2" in found.rejected[0][0]


def test_without_anyone_to_tell_the_first_bad_message_is_raised(tmp_path: Path) -> None:
    path = tmp_path / "dump.json"
    path.write_text(json.dumps([ONE, {"id": "x"}]))

    with pytest.raises(BadEvent, match="item 2"):
        list(dump.events(path))


def test_a_dump_that_is_cut_off_gives_what_came_before(read: Any) -> None:
    text = json.dumps([ONE, TWO, THREE]).encode()

    found = read(text[:-20])

    assert found.ids == [1, 2]
    assert "the file is truncated" in str(found.error)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (b"", "is empty"),
        (b"hello", "is not a dump"),
        (b'{"name": "Notes", "type": "public_channel", "id": 5, "messages": []}', "import desktop"),
        (b'{"schema_version": "v1", "post_id": "p"}\n{"schema_version": "v1"}', "publish"),
        (b'{"name": "Notes", "messages": [{}', "import desktop"),
    ],
)
def test_a_file_of_another_kind_is_told_where_it_goes(read: Any, text: bytes, named: str) -> None:
    found = read(text)

    assert found.events == found.rejected == []
    assert named in str(found.error)


def test_missing_files_and_directories_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "no-such.json", tmp_path):
        assert str(path) in str(Read(dump.events, path).error)


def test_a_big_dump_takes_the_memory_of_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonfile, "CHUNK", 1 << 14)
    path = tmp_path / "dump.json"
    line = json.dumps({**ONE, "message": "word " * 400}).encode()
    path.write_bytes(b"[" + b",\n".join([line] * 4_000) + b"]")
    assert path.stat().st_size > 8_000_000
    tracemalloc.start()

    assert sum(1 for _ in dump.events(path)) == 4_000

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500_000


def test_the_chat_of_the_dump_is_marked(read: Any) -> None:
    assert read([ONE]).events[0]["tg_channel_id"] == CHANNEL_MARKED
