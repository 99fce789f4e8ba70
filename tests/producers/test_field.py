"""Files of the shapes that people have, imported into a graph: their addresses and links."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.graphs import graph as graph
from support.graphs import rows
from support.paths import DATA

from graphwriter import events
from graphwriter.errors import BadEvent, ConfigError
from graphwriter.events.telegram import chat_of_account
from graphwriter.graph import Graph
from graphwriter.graph.batch import fold
from graphwriter.keep import Keep
from graphwriter.producers import desktop
from graphwriter.producers.telethon import dump

FIELD = DATA / "field"
LATE = 4 * 10**12  # milliseconds: no event of a test is later
Reader = Callable[..., Iterator[dict[str, Any]]]
Import = Callable[..., list[str]]

# Chats of accounts 1001 and 1002 with user 777000 and with the basic group 4242: computed from the
# contract by hand.
OF_1001 = {-2708686557495157, -2671388531566531}


@pytest.fixture
def imported(graph: Graph) -> Import:
    """A function that writes a file to the graph and returns the errors of what was left out."""

    def write(read: Reader, path: Path, **options: Any) -> list[str]:
        errors: list[str] = []

        def rejected(_: str, error: BadEvent) -> None:
            errors.append(error.message)

        found = [events.from_values(e, LATE) for e in read(path, rejected=rejected, **options)]
        graph.write(fold(found, Keep(text=True)))
        return errors

    return write


def field(name: str) -> Path:
    path = FIELD / name
    if not path.exists():
        pytest.skip(f"no real data at {DATA}")
    return path


def posts(graph: Graph) -> set[tuple[int, int]]:
    found = rows(graph, "MATCH (p:Post) RETURN p.tg_channel_id, p.telegram_message_id")
    return {(chat, message) for chat, message in found}


def replies(graph: Graph) -> set[tuple[int, int, int]]:
    """Message, chat and message that it replies to."""
    query = """MATCH (p:Post)-[:REPLIES_TO]->(to)
        RETURN p.telegram_message_id, to.tg_channel_id, to.telegram_message_id"""
    return {(a, b, c) for a, b, c in rows(graph, query)}


CHANNEL = -1001900000006
# File, reader, posts in the graph, and how many errors.
FILES: list[tuple[str, Reader, set[tuple[int, int]]]] = [
    ("c04_migrated_single.json", desktop.events,
        {(-1001500000002, n) for n in (-999999990, -999999989, 2)}),
    ("c05_reply_peer_user.json", desktop.events, {(-1001600000003, n) for n in (20, 21, 22)}),
    ("c06_topic_range.json", desktop.events, {(-1001800000005, n) for n in range(30, 34)}),
    ("c07_channelmessages.json", dump.events, {(CHANNEL, 1), (CHANNEL, 2)}),
    ("c09_tg_history_dumper.json", dump.events, {(CHANNEL, 5), (CHANNEL, 6)}),
    ("c12_pandas_records.json", dump.events, {(CHANNEL, 5), (CHANNEL, 6)}),
    ("c16b_negative_chat_id.json", desktop.events, {(-1001600000003, 20)}),
    ("c18_forward_null.json", desktop.events, {(-1001600000003, n) for n in range(20, 24)}),
    ("c22_sorted_keys.json", desktop.events, {(-1001600000003, n) for n in range(1, 51)}),
    ("c32_new_kinds.json", desktop.events, {(CHANNEL, n) for n in (1, 2, 3, 4, 6, 7, 8)}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "read", "wanted"), FILES, ids=[name for name, *_ in FILES])
def test_the_posts_of_a_file_are_in_the_graph(
    imported: Import, graph: Graph, name: str, read: Reader, wanted: set[tuple[int, int]]
) -> None:
    assert imported(read, field(name)) == []
    assert wanted <= posts(graph)
    assert {chat for chat, _ in posts(graph)} == {chat for chat, _ in wanted}


@pytest.mark.parametrize(
    ("name", "tool"),
    [
        ("c10_pyrogram.json", "Pyrogram"),
        ("c26_gramjs.json", "GramJS"),
        ("c27_madeline.json", "MadelineProto"),
    ],
)
@pytest.mark.parametrize("read", [desktop.events, dump.events])
def test_a_file_of_a_tool_that_is_not_read_is_named_in_one_line(
    read: Reader, name: str, tool: str
) -> None:
    with pytest.raises(ConfigError, match=tool) as error:
        list(read(field(name)))
    assert "\n" not in str(error.value)
    assert "Telegram Desktop" in str(error.value)


def test_two_accounts_never_share_a_message(imported: Import, graph: Graph) -> None:
    imported(desktop.events, field("c03_account_a.json"))
    assert {chat for chat, _ in posts(graph)} == OF_1001
    imported(desktop.events, field("c03_account_b.json"))
    assert len(posts(graph)) == 4
    texts = rows(graph, "MATCH (p:Post) RETURN p.text ORDER BY p.text")
    assert [text for (text,) in texts] == [
        "group: notice for A", "group: notice for B", "notice for A", "notice for B",
    ]  # fmt: skip


def test_an_export_and_telethon_of_one_account_meet(
    imported: Import, graph: Graph, tmp_path: Path
) -> None:
    imported(desktop.events, field("c03_account_a.json"))
    before = posts(graph)
    message = {"id": 40, "peer_id": {"user_id": 777000}, "date": 1714557600}
    (tmp_path / "dump.json").write_text(json.dumps([message]))
    imported(dump.events, tmp_path / "dump.json", account=1001)
    assert posts(graph) == before


def test_exports_before_may_2021_have_todays_addresses(imported: Import, graph: Graph) -> None:
    assert imported(desktop.events, field("c01_old_2020_chat_ids.json"), account=None) == []
    query = "MATCH (p:Post) WHERE p.tg_channel_id = -1001400000001 RETURN p.telegram_message_id"
    assert rows(graph, query) == [[7]]
    found = events.from_values(
        next(desktop.events(field("c01_old_2020_chat_ids.json"))), LATE
    ).address  # the basic group 123456 of account 11000001
    assert found == (chat_of_account(11000001, -123456), 501)


def test_a_sender_above_32_bits_in_a_new_file_is_that_user(
    imported: Import, graph: Graph, tmp_path: Path
) -> None:
    message = {"id": 1, "type": "message", "date": "2024-01-01T00:00:00", "from_id": 5555555555}
    export = {"type": "public_channel", "id": 5, "messages": [message]}
    (tmp_path / "result.json").write_text(json.dumps(export))
    imported(desktop.events, tmp_path)
    query = "MATCH (a:Author) RETURN a.author_type, a.author_id"
    assert rows(graph, query) == [["user", "5555555555"]]


def test_a_reply_into_a_private_chat_is_no_link(imported: Import, graph: Graph) -> None:
    imported(desktop.events, field("c05_reply_peer_user.json"))
    assert replies(graph) == {(21, -4242, 334), (22, -1001700000004, 335)}


def test_a_reply_to_the_chat_itself_is_one_within_the_chat(
    imported: Import, graph: Graph, tmp_path: Path
) -> None:
    message: dict[str, Any] = {"id": 2, "type": "message", "date_unixtime": "1714557600"}
    message |= {"reply_to_message_id": 1, "reply_to_peer_id": "channel5"}
    export = {"type": "private_supergroup", "id": 5, "messages": [message]}
    (tmp_path / "result.json").write_text(json.dumps(export))
    imported(desktop.events, tmp_path)
    assert replies(graph) == {(2, -1000000000005, 1)}


OLD: list[dict[str, Any]] = [
    {"id": -(10**9) + 10, "from_id": "user11", "text": "old days"},
    {"id": -(10**9) + 11, "from_id": "user12", "reply_to_message_id": -(10**9) + 10},
]
OF_THE_GROUP = {"id": -(10**9) + 12, "type": "service", "actor_id": "chat55555"}
BY_THE_GROUP = {"id": -(10**9) + 12, "from_id": "chat55555"}
OF_ANOTHER = {"id": -(10**9) + 13, "from_id": "chat66666"}
ANSWER = {"id": 3, "reply_to_message_id": 11, "reply_to_peer_id": "chat55555"}
ELSEWHERE = {"id": 4, "reply_to_message_id": 99, "reply_to_peer_id": "chat66666"}


@pytest.fixture
def exported(imported: Import, tmp_path: Path) -> Callable[..., None]:
    """A function that imports a chat of the messages given, in the order of their ids."""

    def write(type_: str, bare: int, messages: list[dict[str, Any]], **options: Any) -> None:
        both = {"type": "message", "date_unixtime": "1577872800"}
        found = [both | one for one in sorted(messages, key=lambda one: one["id"])]
        export = {"type": type_, "id": bare, "messages": found}
        (tmp_path / "result.json").write_text(json.dumps(export))
        assert imported(desktop.events, tmp_path, **options) == []

    return write


@pytest.mark.parametrize("account", [None, 1001])
@pytest.mark.parametrize("says", [[OF_THE_GROUP], [BY_THE_GROUP], [ANSWER], [ANSWER, ELSEWHERE]])
def test_old_history_meets_its_basic_group_where_the_export_names_it(
    exported: Callable[..., None], graph: Graph, says: list[dict[str, Any]], account: int | None
) -> None:
    exported("private_supergroup", 1500000002, [*OLD, {"id": 2}, *says], account=account)
    single = posts(graph)
    group = [{"id": 10, "text": "old days"}, {"id": 11, "reply_to_message_id": 10}]
    exported("private_group", 55555, group, account=account)
    assert posts(graph) - single <= {(-1000000066666, 99)}
    chat = chat_of_account(account, -55555)
    assert {(chat, 10), (chat, 11), (-1001500000002, 2)} <= posts(graph)
    assert (11, chat, 10) in replies(graph)
    assert not any(number < 0 for _, number in posts(graph))


@pytest.mark.parametrize(
    "says", [[], [BY_THE_GROUP, OF_ANOTHER], [ELSEWHERE], [ANSWER, OF_ANOTHER]]
)
def test_old_history_keeps_an_address_of_its_own_where_the_export_does_not_say_whose_it_is(
    exported: Callable[..., None], graph: Graph, says: list[dict[str, Any]]
) -> None:
    exported("private_supergroup", 1500000002, [*OLD, {"id": 2}, *says])
    assert {(-1001500000002, -(10**9) + 10), (-1001500000002, 2)} <= posts(graph)
    assert (-(10**9) + 11, -1001500000002, -(10**9) + 10) in replies(graph)


def test_a_reply_of_old_history_to_another_chat_has_the_id_of_that_chat(
    exported: Callable[..., None], graph: Graph
) -> None:
    """Desktop shifts it with the ids of the group."""
    away = {"reply_to_message_id": -(10**9) + 7, "reply_to_peer_id": "channel8"}
    exported("private_supergroup", 1500000002, [OLD[0] | away])
    assert replies(graph) == {(-(10**9) + 10, -1000000000008, 7)}


def test_a_part_of_a_forum_makes_no_reply_to_a_topics_root(imported: Import, graph: Graph) -> None:
    imported(desktop.events, field("c06_topic_range.json"))
    assert replies(graph) == {(32, -1001800000005, 30)}


def test_a_page_of_history_names_its_chat(imported: Import, graph: Graph) -> None:
    imported(dump.events, field("c07_channelmessages.json"))
    query = "MATCH (p:Post) RETURN p.telegram_post_url ORDER BY p.telegram_message_id"
    assert rows(graph, query) == [["https://t.me/news_x/1"], ["https://t.me/news_x/2"]]


@pytest.mark.parametrize("separator", ["\n", ","])
def test_pages_of_history_are_read_as_a_list_and_as_lines(
    imported: Import, graph: Graph, tmp_path: Path, separator: str
) -> None:
    """The names of a page are those of its own users and chats."""
    pages = []
    for number in (1, 2):
        message: dict[str, Any] = {
            "_": "Message",
            "id": number,
            "date": 1714557600,
            "peer_id": {"channel_id": 7},
        }
        message |= {"from_id": {"_": "PeerUser", "user_id": 9}}
        users = [{"_": "User", "id": 9, "first_name": "Ann", "last_name": str(number)}]
        pages.append(json.dumps({"messages": [message], "users": users, "chats": []}))
    text = separator.join(pages)
    (tmp_path / "dump.json").write_text(text if separator == "\n" else f"[{text}]")
    assert imported(dump.events, tmp_path / "dump.json") == []
    query = """MATCH (:Author)-[r:AUTHOR_OF]->(p) RETURN p.telegram_message_id, r.signature
        ORDER BY p.telegram_message_id"""
    assert rows(graph, query) == [[1, "Ann 1"], [2, "Ann 2"]]


def test_records_of_pandas_keep_their_reply(imported: Import, graph: Graph) -> None:
    imported(dump.events, field("c12_pandas_records.json"))
    assert replies(graph) == {(5, CHANNEL, 4), (6, CHANNEL, 5)}
    query = "MATCH (p:Post) RETURN toString(p.posted_at) ORDER BY p.telegram_message_id"
    assert rows(graph, query)[0] == ["2024-05-01T10:00:00Z"]


def test_dates_of_mongoexport_are_read(imported: Import, graph: Graph, tmp_path: Path) -> None:
    dates = ("2024-05-01T10:00:00Z", 1714557600000, {"$numberLong": "1714557600000"})
    lines = [
        json.dumps({"id": number, "peer_id": {"channel_id": 7}, "date": {"$date": date}})
        for number, date in enumerate(dates, 1)
    ]
    (tmp_path / "dump.json").write_text("\n".join(lines))
    assert imported(dump.events, tmp_path / "dump.json") == []
    query = "MATCH (p:Post) RETURN DISTINCT toString(p.posted_at), count(*)"
    assert rows(graph, query) == [["2024-05-01T10:00:00Z", 3]]


def test_a_raw_export_of_tdl_is_read(imported: Import, graph: Graph, tmp_path: Path) -> None:
    """Absent values of Go are 0 and empty text: they make no links."""
    header: dict[str, Any] = {
        "FromID": {"ChannelID": 9},
        "FromName": "",
        "Date": 1714471200,
        "ChannelPost": 8,
    }
    raw: dict[str, Any] = {
        "ID": 5,
        "PeerID": {"ChannelID": 7},
        "Date": 1714557600,
        "EditDate": 0,
        "Views": 3,
    }
    raw |= {"FwdFrom": header, "ReplyTo": {"ReplyToMsgID": 0, "ReplyToTopID": 0}, "PostAuthor": ""}
    export: dict[str, Any] = {
        "id": 7,
        "messages": [{"id": 5, "type": "message", "file": "", "raw": raw}],
    }
    (tmp_path / "dump.json").write_text(json.dumps(export))
    assert imported(dump.events, tmp_path / "dump.json") == []
    query = "MATCH (p:Post)-[:FORWARDED_FROM_POST]->(m) RETURN m.tg_channel_id, p.views_count"
    assert rows(graph, query) == [[-1000000000009, 3]]
    assert replies(graph) == set()


def test_media_are_told_also_in_new_kinds_of_messages(imported: Import, graph: Graph) -> None:
    imported(desktop.events, field("c32_new_kinds.json"))
    query = """MATCH (p:Post) WHERE p.has_media RETURN p.telegram_message_id
        ORDER BY p.telegram_message_id"""
    assert [number for (number,) in rows(graph, query)] == [1, 3, 4]
    query = "MATCH (p:Post {telegram_message_id: 2}) RETURN p.text"
    assert rows(graph, query) == [["rich hello"]]
