"""The names of several streams, and the stream of an event."""

from __future__ import annotations

import json
from collections import Counter
from random import Random
from zlib import crc32

import pytest
from support.cases import BASE

from graphwriter import partitions
from graphwriter.config import Config, load, read
from graphwriter.errors import ConfigError


@pytest.mark.parametrize(
    ("setting", "names"),
    [
        ("stream:posts:parsed", ["stream:posts:parsed"]),
        (" a b ", [" a b "]),
        ("a,b", ["a", "b"]),
        (" a , b ", ["a", "b"]),
        ("posts:{0..2}", ["posts:{0}", "posts:{1}", "posts:{2}"]),
        ("posts:{9..11}:x", ["posts:{9}:x", "posts:{10}:x", "posts:{11}:x"]),
        ("posts:{3..3}", ["posts:{3}"]),
        ("old,posts:{0..1}", ["old", "posts:{0}", "posts:{1}"]),
        ("posts:{tag}", ["posts:{tag}"]),
        ("{0..63}", [f"{{{n}}}" for n in range(64)]),
    ],
)
def test_a_setting_names_its_streams_in_order(setting: str, names: list[str]) -> None:
    assert [*partitions.names(setting)] == names
    assert [*load({"GRAPH_WRITER_STREAM": setting}).streams] == names


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("", "expected a name"),
        (",", "expected a name"),
        ("a,,b", "expected a name"),
        ("a, ", "expected a name"),
        ("a,a", "names 'a' twice: leave one out"),
        ("x:{1},x:{0..2}", "names 'x:{1}' twice"),
        ("x:{3..1}", "the smaller one first"),
        ("x:{0..}", "expected one range such as {0..7}"),
        ("x:{a..b}", "expected one range such as {0..7}"),
        ("x:{00..07}", "expected one range such as {0..7}"),
        ("x:{0..1}:{0..1}", "expected one range such as {0..7}"),
        ("x:{0..64}", "names 65 streams, expected at most 64"),
        ("x:{0..999999999}", "expected at most 64"),
        ("x:{0..40},y:{0..40}", "names 82 streams, expected at most 64"),
        ("a,{a}", "'a' and '{a}' have the same stream of dead letters"),
        ("a,{a}:dead", "'{a}:dead' has the dead letters of 'a'"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_name_value_and_way_out(
    setting: str, words: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        partitions.names(setting)
    assert str(raised.value).startswith(f"GRAPH_WRITER_STREAM is {setting!r}")
    assert words in str(raised.value)
    config, wrong = read({"GRAPH_WRITER_STREAM": setting})
    assert [str(error) for error in wrong] == [str(raised.value)]
    assert config.stream == Config().stream


def test_both_forms_of_an_event_belong_to_one_stream() -> None:
    """And so does the same chat in any other event."""
    streams = partitions.names("posts:{0..7}")
    for chat in range(-1001000000050, -1001000000000):
        event = BASE | {"tg_channel_id": chat}
        expected = streams[crc32(str(chat).encode()) % 8]
        json_form = {b"data": json.dumps(event).encode()}
        flat_form = {key.encode(): str(value).encode() for key, value in event.items()}
        later = {b"data": json.dumps(event | {"telegram_message_id": 99}).encode()}
        assert {partitions.of(streams, each) for each in (json_form, flat_form, later)} == {
            expected
        }


def test_the_hash_stays_as_it_is() -> None:
    """Producers in other languages compute it too, and other releases."""
    streams = partitions.names("posts:{0..7}")
    chats = (-1001000000001, -1001179270258, 42)
    found = [partitions.of(streams, {b"tg_channel_id": b"%d" % chat}) for chat in chats]
    assert found == ["posts:{6}", "posts:{3}", "posts:{0}"]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {b"data": b"{"},
        {b"data": b"[1]"},
        {b"data": b'{"tg_channel_id": null}'},
        {b"data": b'{"tg_channel_id": "\xff"}'},
        {b"data": b"[" * 100_000},
        {b"tg_channel_id": b"many"},
        {b"tg_channel_id": b"9" * 5000},
    ],
)
def test_an_event_without_a_readable_chat_belongs_to_the_first_stream(
    fields: dict[bytes, bytes],
) -> None:
    assert partitions.of(("a", "b", "c"), fields) == "a"


def test_one_stream_reads_nothing_of_the_event() -> None:
    assert partitions.of(("a",), {b"data": b"{"}) == "a"


@pytest.mark.parametrize("number", [2, 3, 8, 64])
def test_chats_are_spread_evenly(number: int) -> None:
    """Chats in sequence, and any others."""
    streams = partitions.names(f"posts:{{0..{number - 1}}}")
    random = Random(1)
    for chats in (
        range(-1001000020000, -1001000000000),
        [-(10**12) - random.randrange(2 * 10**9) for _ in range(20_000)],
    ):
        found = Counter(partitions.of(streams, {b"tg_channel_id": b"%d" % one}) for one in chats)
        share = 20_000 / number
        assert set(found) == set(streams)
        assert all(0.75 * share < each < 1.25 * share for each in found.values())
