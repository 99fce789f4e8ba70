"""Dead letters on a real server: kept whole, added once, replayed exactly; and their limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from redis.crc import key_slot
from support.names import GROUP, STREAM
from support.proxy import Proxy

from graphwriter.errors import ConfigError
from graphwriter.stream import DeadLetters, Entry, Stream
from graphwriter.stream.deadletters import Limit

DEAD = f"{{{STREAM}}}:dead"
NAMES = ["reason", "error", "source_id", "deliveries", "consumer", "time"]
Flat = list[bytes]

WIDE: Flat = [b"%d" % number for number in range(10_000)]
ENTRIES: dict[str, Flat] = {
    "flat": [b"schema_version", b"v1", b"post_id", b"p"],
    "binary": [b"\x00\xff\r\n", b"\xfe\x00 $-1\r\n", b"", b"", b"data", b"\xed\xa0\x80"],
    "equal names": [b"a", b"1", b"b", b"2", b"a", b"3", b"a", b"1"],
    "dead already": [b"dead.reason", b"old", b"data", b"{}", b"dead.time", b"then"],
    "1 MiB": [b"data", b"x" * 2**20],
    "5,000 fields": WIDE,
    "5,000 equal names": [b"data" if place % 2 == 0 else text for place, text in enumerate(WIDE)],
}
each_entry = pytest.mark.parametrize("fields", ENTRIES.values(), ids=ENTRIES.keys())
each_width = pytest.mark.parametrize("fields", [ENTRIES["flat"], WIDE], ids=["narrow", "wide"])


@pytest.fixture
def opened(valkey_url: str, redis_client: redis.Redis) -> Iterator[Callable[..., Stream]]:
    """Make consumers of one group; all are closed after the test."""
    made: list[Stream] = []

    def make(url: str = valkey_url, consumer: str = "me") -> Stream:
        made.append(Stream(url, STREAM, GROUP, consumer, block=0.02))
        made[-1].client.ping()
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def stream(opened: Callable[..., Stream], redis_client: redis.Redis) -> Stream:
    """A consumer of a group that is there."""
    consumer = opened()
    consumer.create_group()
    return consumer


def letters_of(stream: Stream) -> DeadLetters:
    return DeadLetters(stream.client, stream.name, stream.group, stream.consumer)


def add(client: Any, *fields: Flat) -> None:
    for flat in fields:
        client.execute_command("XADD", STREAM, "*", *flat)


def raw(client: redis.Redis, key: str) -> list[Flat]:
    """The fields of a stream's entries as they are stored, equal names and all."""
    script = "return redis.call('XRANGE', KEYS[1], '-', '+')"
    rows: Any = client.eval(script, 1, key)
    return [row[1] for row in rows]


def buried(stream: Stream, client: redis.Redis, *reasons: str) -> DeadLetters:
    """Add an entry for each reason, and make it a dead letter."""
    letters = letters_of(stream)
    add(client, *([b"n", b"%d" % number] for number in range(len(reasons))))
    for entry, reason in zip(stream.read(len(reasons)), reasons, strict=True):
        letters.add(entry, reason, "because")
    return letters


@each_entry
def test_the_fields_are_untouched_and_go_back_exactly(
    stream: Stream, redis_client: redis.Redis, fields: Flat
) -> None:
    """What is added comes after them; replayed, the entry is byte for byte as it was."""
    letters = letters_of(stream)
    add(redis_client, fields)
    (entry,) = stream.read(1)
    letters.add(entry, "wrong_type", "no number")
    (kept,) = raw(redis_client, DEAD)
    assert kept[: len(fields)] == fields
    assert kept[len(fields) :: 2] == [f"dead.{name}".encode() for name in NAMES]
    assert kept[len(fields) + 1 :: 2][:3] == [b"wrong_type", b"no number", entry.id]
    assert redis_client.xpending(STREAM, GROUP)["pending"] == 0
    chosen = list(letters.list())
    assert [letters.replay(chosen), letters.replay(chosen)] == [1, 0]
    assert raw(redis_client, STREAM) == [fields, fields]
    assert len(letters) == 0


def test_a_letter_tells_why_from_where_and_when(stream: Stream, redis_client: redis.Redis) -> None:
    """Its deliveries are the server's count, its consumer is who gave up."""
    add(redis_client, ENTRIES["flat"])
    stream.read(1)
    (entry,) = stream.pending(1)
    before = time.time()
    letters_of(stream).add(entry, "refused", "no: \N{SNOWMAN}")
    (letter,) = letters_of(stream).list()
    assert letter[1:6] == (entry.id.decode(), "refused", "no: \N{SNOWMAN}", 2, "me")
    assert before - 0.001 < letter.time < time.time() + 0.001
    assert letter.fields == {b"schema_version": b"v1", b"post_id": b"p"}
    rows: Any = redis_client.xrange(DEAD)
    assert rows[0][0].decode() == letter.id


@each_width
def test_nothing_is_added_for_what_another_has_acknowledged(
    stream: Stream, redis_client: redis.Redis, fields: Flat
) -> None:
    """A worker that was overtaken has no say any more."""
    add(redis_client, fields)
    (entry,) = stream.read(1)
    stream.ack([entry.id])
    letters_of(stream).add(entry, "refused", "late")
    assert redis_client.exists(DEAD) == 0 or len(letters_of(stream)) == 0


@each_width
def test_an_entry_that_was_trimmed_meanwhile_is_kept(
    stream: Stream, redis_client: redis.Redis, fields: Flat
) -> None:
    """With the fields as they were read."""
    add(redis_client, fields)
    (entry,) = stream.read(1)
    redis_client.xtrim(STREAM, maxlen=0)
    letters_of(stream).add(entry, "refused", "no")
    assert raw(redis_client, DEAD)[0][:-12] == fields
    assert redis_client.xpending(STREAM, GROUP)["pending"] == 0


def test_a_group_that_is_gone_keeps_nothing(stream: Stream, redis_client: redis.Redis) -> None:
    """The entry is delivered again in the new group; its death is not told twice."""
    add(redis_client, ENTRIES["flat"])
    (entry,) = stream.read(1)
    redis_client.xgroup_destroy(STREAM, GROUP)
    letters_of(stream).add(entry, "refused", "no")
    assert len(letters_of(stream)) == 0


@each_width
@pytest.mark.parametrize("hindered", ["permission", "another key"])
def test_an_entry_that_cannot_be_kept_stays_pending(
    stream: Stream,
    opened: Callable[..., Stream],
    redis_client: redis.Redis,
    valkey_url: str,
    fields: Flat,
    hindered: str,
) -> None:
    """Without permission to add, or with another key of the name, nothing is acknowledged."""
    add(redis_client, fields)
    (entry,) = stream.read(1)
    if hindered == "another key":
        redis_client.set(DEAD, "text")
    command: Any = redis_client.execute_command
    command("ACL SETUSER", "t", "reset", "on", ">t", "~*", "+@all", "-xadd")
    at = f"t:t@{urlsplit(valkey_url).netloc.rpartition('@')[2]}"
    url = urlsplit(valkey_url)._replace(netloc=at).geturl()
    consumer = opened(url) if hindered == "permission" else stream
    try:
        with pytest.raises(ConfigError):
            letters_of(consumer).add(entry, "refused", "no")
    finally:
        command("ACL DELUSER", "t")
    assert redis_client.xpending(STREAM, GROUP)["pending"] == 1


@each_width
def test_a_lost_reply_adds_no_second_letter(
    stream: Stream,
    opened: Callable[..., Stream],
    redis_client: redis.Redis,
    proxy: Callable[[str], Proxy],
    valkey_url: str,
    fields: Flat,
) -> None:
    """The client tries again; the script finds it done."""
    between = proxy(valkey_url)
    letters = letters_of(opened(between.url))
    add(redis_client, fields, ENTRIES["binary"])
    first, second = stream.read(2)
    letters.add(second, "bad_utf8", "no")  # the script is known now, its reply is the next one
    lost = between.drop_next_reply(lambda _: len(letters_of(stream)) == 2)
    letters.add(first, "refused", "no")
    assert lost.is_set()
    assert [letter.source_id.encode() for letter in letters.list()] == [second.id, first.id]
    assert len(letters) == 2


@pytest.mark.parametrize(
    ("name", "dead"),
    [
        ("stream:posts:parsed", "{stream:posts:parsed}:dead"),
        ("{tag}:posts", "{tag}:posts:dead"),
        ("posts:{tag}", "posts:{tag}:dead"),
    ],
)
def test_the_key_lies_in_the_streams_slot(redis_client: redis.Redis, name: str, dead: str) -> None:
    """The name in braces, unless it has a hash tag of its own."""
    letters = DeadLetters(redis_client, name, GROUP)
    assert letters.name == dead
    assert key_slot(name.encode()) == key_slot(dead.encode())


def test_a_list_has_each_source_once_by_reason_and_over_pages(
    stream: Stream, redis_client: redis.Redis
) -> None:
    """Oldest first; a source that died in two groups is shown once."""
    reasons = ["not_json", "tenant", "not_json", "too_deep", "not_json", "tenant", "not_json"]
    letters = buried(stream, redis_client, *reasons)
    redis_client.xgroup_destroy(STREAM, GROUP)
    stream.create_group()
    for entry in stream.read(9):
        letters.add(entry, "again", "the group was made again")
    assert len(letters) == 14
    for page in (1, 2, 7, 100):
        found = list(letters.list(page=page))
        assert [letter.reason for letter in found] == reasons
        assert [letter.fields for letter in found] == [{b"n": b"%d" % n} for n in range(7)]
    assert [letter.fields[b"n"] for letter in letters.list("tenant", page=2)] == [b"1", b"5"]
    assert list(letters.list("no such reason")) == []


def test_replaying_twice_at_once_beside_readers_is_once(
    stream: Stream, opened: Callable[..., Stream], redis_client: redis.Redis
) -> None:
    """Each letter goes back once, and each is read once."""
    letters = buried(stream, redis_client, *["refused"] * 200)
    chosen = list(letters.list())
    replayed: list[int] = []
    others = [letters_of(opened()), letters_of(opened())]
    threads = [
        threading.Thread(target=lambda own=own: replayed.append(own.replay(chosen)))
        for own in others
    ]
    for thread in threads:
        thread.start()
    read: list[Entry] = []
    while any(thread.is_alive() for thread in threads):
        read += stream.read(7)
    for thread in threads:
        thread.join(10)
    read += stream.read(200)
    assert sum(replayed) == 200
    assert sorted(int(entry.fields[b"n"]) for entry in read) == list(range(200))
    assert len(letters) == 0


def test_purging_deletes_what_was_chosen(stream: Stream, redis_client: redis.Redis) -> None:
    """And nothing else, and what is gone counts for nothing."""
    letters = buried(stream, redis_client, "tenant", "refused", "tenant")
    chosen = list(letters.list("tenant"))
    assert [letters.purge(chosen), letters.purge(chosen), letters.replay(chosen)] == [2, 0, 0]
    assert [letter.reason for letter in letters.list()] == ["refused"]


def test_the_limit_is_passed_above_its_share_of_enough_entries() -> None:
    """Half is not more than half, and a few are no ground to stop."""
    limit = Limit(share=0.5, least=1000, window=300)
    assert not limit.exceeded(999, 999, 0)
    assert limit.exceeded(1, 0, 1)
    assert not limit.exceeded(998, 0, 2)
    assert limit.exceeded(1, 1, 3)


def test_the_limit_forgets_what_is_older_than_its_window() -> None:
    """Entries and deaths alike, also after a long silence."""
    limit = Limit(share=0.5, least=10, window=300)
    assert limit.exceeded(10, 10, 0)
    assert limit.exceeded(9, 0, 300)
    assert not limit.exceeded(1, 1, 301)
    assert not limit.exceeded(9, 9, 1000)
    assert limit.exceeded(1, 0, 1000)
