"""Several streams as one consumer reads them: on one server, and on the nodes of a cluster."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import neo4j
import pytest
import redis
from support.cases import BASE
from support.cluster import direct, move
from support.names import GROUP
from support.neo4j import Server
from support.waits import until
from support.writers import running

from graphwriter import partitions
from graphwriter.embedded import Valkey
from graphwriter.errors import ConfigError
from graphwriter.graph import Graph
from graphwriter.producers.publisher import EventPublisher
from graphwriter.stream import DeadLetters, Entry, Stream, Streams, consumer_of, info
from graphwriter.stream import consumer as one_consumer
from graphwriter.stream import streams as several
from graphwriter.stream.client import Client
from graphwriter.stream.streams import Spread, each
from graphwriter.worker.writer import Writer

SETTING = "posts:{0..2}"
NAMES = partitions.names(SETTING)
A, B, C = NAMES
Open = Callable[..., Streams]


@pytest.fixture(params=["RESP2", "RESP3", "cluster"])
def url(request: pytest.FixtureRequest, valkey_url: str, redis_client: redis.Redis) -> str:
    """Empty servers: one, by each protocol, and a cluster."""
    if request.param != "cluster":
        return f"{valkey_url}?protocol={request.param[-1]}"
    for node in request.getfixturevalue("cluster"):
        with direct(node) as one:
            one.flushall()
    return str(request.getfixturevalue("cluster_url"))


@pytest.fixture
def at(url: str) -> Iterator[dict[str, Client]]:
    """A client for each stream."""
    found = each(url, SETTING)
    yield {name: client for client, name in found}
    for client, _ in found:
        client.close()


@pytest.fixture
def opened(url: str) -> Iterator[Open]:
    """Make consumers of all three; they are closed after the test."""
    made: list[Streams] = []

    def make(consumer: str = "me", **more: Any) -> Streams:
        stream = consumer_of(url, SETTING, GROUP, consumer, **{"block": 0.05} | more)
        assert isinstance(stream, Streams)
        made.append(stream)
        return stream

    yield make
    for stream in made:
        stream.close()


def add(at: dict[str, Client], name: str, number: int) -> list[tuple[str, bytes]]:
    """Add entries to a stream; return the stream and the id of each."""
    pipe = at[name].pipeline(transaction=False)
    for n in range(number):
        pipe.xadd(name, {"n": n})
    return [(name, key) for key in pipe.execute()]


def keys(entries: Sequence[Entry]) -> list[tuple[str, bytes]]:
    return [(entry.stream, entry.id) for entry in entries]


def age(at: dict[str, Client], name: str, ids: Sequence[bytes]) -> None:
    """Let entries be pending for a minute with a consumer `gone`."""
    at[name].xclaim(name, GROUP, "gone", 0, [*ids], idle=60_000, justid=True)


def test_one_name_is_one_stream(valkey_url: str) -> None:
    """As before there were several."""
    for setting in ("posts", "posts:{7..7}"):
        stream = consumer_of(valkey_url, setting, GROUP, "me")
        assert isinstance(stream, Stream)
        assert stream.name == partitions.names(setting)[0]
        stream.close()


def test_every_entry_is_given_to_one_consumer(opened: Open, at: dict[str, Client]) -> None:
    """With its stream; the groups begin at the first entry."""
    there = [*add(at, A, 30), *add(at, B, 20), *add(at, C, 1)]
    one, other = opened("one"), opened("other")
    assert [one.create_group(), other.create_group()] == [True, False]
    found: list[Entry] = []
    for _ in range(6):
        found += [*one.read(7), *other.read(7)]
    assert sorted(keys(found)) == sorted(there)
    assert one.read(7) == other.read(7) == []


def test_a_busy_stream_keeps_no_other_waiting_and_batches_stay_full(
    opened: Open, at: dict[str, Client]
) -> None:
    """Each has its share of every batch; what is left over goes to those that have more."""
    busy, slow = add(at, A, 600), add(at, B, 40)
    stream = opened()
    stream.create_group()
    first = stream.read(99)
    assert Counter(entry.stream for entry in first) == {A: 59, B: 40}
    second = stream.read(99)
    assert Counter(entry.stream for entry in second) == {A: 99}
    late = add(at, C, 1)
    third = stream.read(99)
    assert Counter(entry.stream for entry in third) == {A: 98, C: 1}
    rest = [entry for _ in range(4) for entry in stream.read(99)]
    assert sorted(keys([*first, *second, *third, *rest])) == sorted([*busy, *slow, *late])


def test_a_batch_is_in_the_order_of_time(opened: Open, at: dict[str, Client]) -> None:
    """The ages of a batch are those of its first and last entry."""
    for name, ids in ((A, (3, 9)), (B, (1, 12)), (C, (2, 4))):
        for number in ids:
            at[name].xadd(name, {"n": 1}, id=f"{number}-0")
    stream = opened()
    stream.create_group()
    assert [entry.time for entry in stream.read(100)] == [1, 2, 3, 4, 9, 12]


@pytest.mark.parametrize("name", NAMES)
def test_a_read_that_waits_returns_with_the_first_entry_of_any(
    opened: Open, at: dict[str, Client], name: str
) -> None:
    """However long it may wait, and whichever stream it is."""
    stream = opened(block=5.0)
    stream.create_group()
    found: list[tuple[float, list[Entry]]] = []

    def read() -> None:
        found.append((0.0, stream.read(9)))
        found.append((time.monotonic(), stream.read(9)))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    time.sleep(0.6)
    start = time.monotonic()
    first = add(at, name, 1)
    until(lambda: len(found) == 1, 2)
    time.sleep(0.3)  # it waits again
    second = add(at, name, 1)
    reader.join(2)
    assert [keys(entries) for _, entries in found] == [first, second]
    assert time.monotonic() - start < 1.5


def test_a_read_of_idle_streams_returns_nothing_after_its_block(opened: Open) -> None:
    """It waits `block` seconds, not less and not much more."""
    stream = opened(block=0.4)
    stream.create_group()
    for _ in range(2):
        start = time.monotonic()
        assert stream.read(9) == []
        assert 0.39 <= time.monotonic() - start < 1


@pytest.mark.parametrize("gone", ["group", "stream"])
def test_a_group_that_goes_is_made_again(opened: Open, at: dict[str, Client], gone: str) -> None:
    """Of one stream; the others keep theirs, and what they have delivered."""
    stream = opened()
    stream.create_group()
    add(at, A, 2), add(at, B, 2)
    stream.done(stream.read(9))
    at[B].delete(B) if gone == "stream" else at[B].xgroup_destroy(B, GROUP)
    found = [*stream.read(9), *stream.read(9)]
    more = [*add(at, A, 1), *add(at, B, 1)]
    found += [*stream.read(9), *stream.read(9)]
    assert stream.regrouped == 1
    assert {key for key in keys(found) if key in more} == {*more}
    assert Counter(entry.stream for entry in found) == {A: 1, B: 3 if gone == "group" else 1}


def test_own_entries_come_back_with_their_streams(opened: Open, at: dict[str, Client]) -> None:
    """Those of one stream after those of another, until all are acknowledged."""
    there = [*add(at, A, 3), *add(at, C, 4)]
    opened().create_group()
    assert len(opened().read(9)) == 7
    again = opened()
    found: list[Entry] = []
    while entries := again.pending(9):
        assert len({entry.stream for entry in entries}) == 1
        again.done(entries)
        found += entries
    assert keys(found) == there
    assert {entry.deliveries for entry in found} == {2}


def test_a_sweep_takes_the_entries_of_the_dead_from_every_stream(
    opened: Open, at: dict[str, Client]
) -> None:
    """In steps of a batch; what was just delivered stays where it is."""
    there = [*add(at, A, 50), *add(at, C, 30)]
    add(at, B, 5)
    stream = opened()
    stream.create_group()
    while opened("gone").read(99):
        pass
    for name in (A, C):
        age(at, name, [key for own, key in there if own == name])
    cursor, found = stream.claim(30, 20)
    steps = 1
    while cursor != b"0-0":
        cursor, entries = stream.claim(30, 20, cursor)
        assert len(entries) <= 20
        found += entries
        steps += 1
    assert keys(found) == there
    assert steps < 10
    assert stream.claim(30, 20) == (b"0-0", [])


def test_entries_of_one_id_in_two_streams_are_two(opened: Open, at: dict[str, Client]) -> None:
    """When they are buried, tried alone, acknowledged, listed and replayed."""
    for name in (A, B):
        at[name].xadd(name, {"n": name}, id="5-1")
    stream = opened()
    stream.create_group()
    first, second = sorted(stream.read(9), key=lambda entry: entry.stream)
    assert (first.id, second.id) == (b"5-1", b"5-1")
    assert [stream.try_alone(first), stream.try_alone(first), stream.try_alone(second)] == [1, 2, 1]
    stream.tried(first)
    assert [stream.try_alone(first), stream.try_alone(second)] == [1, 2]
    stream.bury(first, "refused", "so")
    letters = {name: DeadLetters(at[name], name, GROUP) for name in NAMES}
    assert {name: len(one) for name, one in letters.items()} == {A: 1, B: 0, C: 0}
    assert info.drained(at[A], A, GROUP)
    assert at[B].xpending(B, GROUP)["pending"] == 1
    stream.done([second])
    assert info.drained(at[B], B, GROUP)
    (letter,) = letters[A].list()
    assert (letter.source_id, letter.fields) == ("5-1", {b"n": A.encode()})
    assert letters[A].replay([letter]) == 1
    (again,) = stream.read(9)
    assert (again.stream, again.fields) == (A, {b"n": A.encode()})


def test_what_goes_before_it_is_read_is_counted_once_and_by_stream(
    opened: Open, at: dict[str, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a stream lags, and when all were read."""
    monkeypatch.setattr(several, "MISSED_INTERVAL", 0.0)
    monkeypatch.setattr(one_consumer, "MISSED_INTERVAL", 0.0)
    one, other = opened("one"), opened("other")
    one.create_group()
    add(at, A, 1), add(at, B, 1)
    one.read(9)
    add(at, A, 20), add(at, B, 20)
    at[A].xtrim(A, maxlen=13, approximate=False)
    read = len(one.read(6))
    at[B].xtrim(B, maxlen=10, approximate=False)
    while entries := [*one.read(6), *other.read(6)]:
        read += len(entries)
    lost = [part.missed + twin.missed for part, twin in zip(one.parts, other.parts, strict=True)]
    assert (lost[0], lost[2], read + sum(lost)) == (7, 0, 40)
    assert 7 <= lost[1] <= 10


# In a cluster, or as if the streams were in one


def spread(url: str) -> Spread:
    return Spread(SETTING, [Stream(url, name, GROUP, "me", block=2.0) for name in NAMES])


def test_without_the_right_to_wait_streams_are_read_again_and_again(
    valkey_url: str, redis_client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A user without XREAD: a warning, and a short pause instead of an alarm."""
    redis_client.execute_command(
        "ACL SETUSER", "tester", "reset", "on", ">right", "+@all", "-xread", "~*"
    )
    parts = urlsplit(valkey_url)
    own = parts._replace(netloc=f"tester:right@{parts.hostname}:{parts.port}").geturl()
    stream = spread(own)
    stream.create_group()
    redis_client.config_resetstat()
    timer = threading.Timer(0.5, lambda: redis_client.xadd(C, {"n": 1}))
    timer.start()
    start = time.monotonic()
    assert [entry.stream for entry in stream.read(9)] == [C]
    assert 0.4 < time.monotonic() - start < 0.9
    assert caplog.text.count("is read every 0.05 s, since our user may not XREAD") == 1
    calls = redis_client.info("commandstats")["cmdstat_xreadgroup"]["calls"]
    assert calls < 60  # three streams, twenty times a second
    stream.close()
    redis_client.execute_command("ACL DELUSER", "tester")


def test_alarms_whose_connections_break_are_set_again(valkey_url: str, redis_client: Any) -> None:
    """All connections are killed while it waits; what comes then is read at once."""
    stream = spread(valkey_url)
    stream.create_group()
    found: list[Entry] = []
    reader = threading.Thread(target=lambda: found.extend(stream.read(9)), daemon=True)
    reader.start()
    until(lambda: redis_client.info("clients")["blocked_clients"] == 3, 5)
    redis_client.client_kill_filter(_type="normal", skipme=True)
    time.sleep(0.3)
    redis_client.xadd(B, {"n": 1})
    reader.join(1)
    assert [entry.stream for entry in found] == [B]
    stream.close()


def test_an_idle_reader_asks_for_nothing_while_it_waits(valkey_url: str, redis_client: Any) -> None:
    """Not in a loop: a command or two for each stream in the time of a read."""
    stream = spread(valkey_url)
    stream.create_group()
    stream.read(9)
    redis_client.config_resetstat()
    stream.read(9)
    stats = redis_client.info("commandstats")
    assert stats["cmdstat_xreadgroup"]["calls"] <= 6
    assert stats["cmdstat_xread"]["calls"] <= 6
    stream.close()


def event(chat: int, message: int) -> dict[str, Any]:
    own = {"tg_channel_id": chat, "telegram_message_id": message, "post_id": f"{chat}/{message}"}
    return BASE | own


def test_a_cluster_is_written_also_after_a_slot_moved(
    cluster: list[Valkey], cluster_url: str, neo4j_server: Server, graph_empty: neo4j.Driver
) -> None:
    """Split by chat, written and buried by one writer; one stream moves to another node."""
    for node in cluster:
        with direct(node) as one:
            one.flushall()
    chats = range(-1001000000030, -1001000000000)
    found = each(cluster_url, SETTING)

    def drained() -> bool:
        return all(info.drained(client, name, GROUP) for client, name in found)

    def publish(message: int) -> None:
        with EventPublisher(cluster_url, SETTING) as publisher:
            publisher.publish_all(event(chat, message) for chat in chats)

    stream = consumer_of(cluster_url, SETTING, GROUP, "me", block=0.1)
    graph = Graph(neo4j_server.uri, *(neo4j_server.auth or (None, None)))
    with graph, running(Writer(stream, graph)):
        publish(1)
        with EventPublisher(cluster_url, SETTING) as publisher:
            publisher.publish(b"broken")
        assert all(info.length(client, name) > 3 for client, name in found)
        until(drained, 30)
        move(cluster, A)
        publish(2)
        found = each(cluster_url, SETTING)
        until(drained, 30)
    stream.close()
    letters = [DeadLetters(client, name, GROUP) for client, name in found]
    assert [one.reason for some in letters for one in some.list()] == ["not_json"]
    (count,) = graph_empty.execute_query("MATCH (p:Post) RETURN count(p)").records[0]
    assert count == 60


def test_a_batch_with_less_room_than_there_are_streams_is_refused(
    valkey_url: str, neo4j_server: Server
) -> None:
    """By the writer, before anything is read."""
    with (
        Graph(neo4j_server.uri, *(neo4j_server.auth or (None, None))) as graph,
        pytest.raises(ConfigError, match="GRAPH_WRITER_BATCH_SIZE is 2, expected at least 3"),
    ):
        Writer(consumer_of(valkey_url, SETTING, GROUP, "me"), graph, batch_size=2)
