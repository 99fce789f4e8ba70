"""The stream on a real server: groups, pending entries, claims, trimming, and what errors mean."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from support.names import GROUP, STREAM
from support.proxy import Proxy

from graphwriter.errors import ConfigError, Unavailable
from graphwriter.stream import Entry, Stream, acl, connect, consumer, info, prune, trim

Open = Callable[..., Stream]


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def opened(
    valkey_url: str, redis_client: redis.Redis, request: pytest.FixtureRequest
) -> Iterator[Open]:
    """Make consumers, of the same group unless told; all are closed after the test."""
    made: list[Stream] = []

    def make(consumer: str = "me", url: str = valkey_url, **more: Any) -> Stream:
        url += f"{'&' if '?' in url else '?'}protocol={request.param}"
        made.append(
            Stream(url, STREAM, more.pop("group", GROUP), consumer, **{"block": 0.05} | more)
        )
        return made[-1]

    yield make
    for stream in made:
        stream.close()


@pytest.fixture
def between(valkey_url: str, proxy: Callable[[str], Proxy]) -> Proxy:
    """A proxy in front of the server."""
    return proxy(valkey_url)


@pytest.fixture
def account(valkey_url: str, redis_client: Any) -> Iterator[Callable[..., str]]:
    """Make a user with these rules, and return the URL for it; the user goes after the test."""

    def make(*rules: str, password: str = "right") -> str:
        redis_client.execute_command("ACL SETUSER", "tester", "reset", "on", ">right", *rules)
        parts = urlsplit(valkey_url)
        at = f"tester:{password}@{parts.hostname}:{parts.port}"
        return parts._replace(netloc=at).geturl()

    yield make
    redis_client.execute_command("ACL DELUSER", "tester")


def add(client: redis.Redis, number: int) -> list[bytes]:
    """Add entries, each with its number in the field `n`; return their ids."""
    pipe = client.pipeline()
    for n in range(number):
        pipe.xadd(STREAM, {"n": n})
    return pipe.execute()


def ids(entries: Sequence[Entry]) -> list[bytes]:
    return [entry.id for entry in entries]


def age(client: redis.Redis, entries: Sequence[bytes], times: int = 1) -> None:
    """Let entries be pending for a minute, delivered `times` times, with a consumer `gone`."""
    client.xclaim(STREAM, GROUP, "gone", 0, [*entries], idle=60_000, retrycount=times, justid=True)


def test_a_group_reads_what_was_there_before_it(opened: Open, redis_client: redis.Redis) -> None:
    """It is made at id 0, once, and every entry is given to one consumer only."""
    there = add(redis_client, 5)
    one, other = opened("one"), opened("other")
    assert [one.create_group(), other.create_group()] == [True, False]
    assert ids(one.read(3)) == there[:3]
    assert ids(other.read(3)) == there[3:]
    assert one.read(3) == []


def test_a_read_makes_group_and_stream_where_there_is_none(opened: Open) -> None:
    """The first read finds nothing, and counts the group as made."""
    stream = opened()
    assert (info.groups(stream.client, stream.name), info.last_id(stream.client, stream.name)) == (
        [],
        "0-0",
    )
    assert [stream.read(1), stream.pending(1), stream.claim(0, 1)] == [[], [], (b"0-0", [])]
    assert (
        stream.regrouped,
        info.length(stream.client, stream.name),
        len(info.groups(stream.client, stream.name)),
    ) == (1, 0, 1)


@pytest.mark.parametrize("gone", ["group", "stream"])
def test_a_group_that_goes_while_a_read_blocks_is_made_again(
    opened: Open, redis_client: redis.Redis, gone: str
) -> None:
    """The read returns nothing, and the next one everything there is, from id 0."""
    stream = opened(block=5)
    stream.create_group()
    stream.ack(ids(stream.read(len(add(redis_client, 2)))))
    found: list[list[Entry]] = []
    reader = threading.Thread(target=lambda: found.append(stream.read(9)), daemon=True)
    reader.start()
    end = time.monotonic() + 4
    while not redis_client.info("clients")["blocked_clients"]:
        assert time.monotonic() < end
    redis_client.delete(STREAM) if gone == "stream" else redis_client.xgroup_destroy(STREAM, GROUP)
    reader.join(3)
    assert (found, stream.regrouped) == ([[]], 1)
    add(redis_client, 1)
    assert len(stream.read(9)) == (3 if gone == "group" else 1)


@pytest.mark.parametrize("call", ["pending", "claim"])
def test_pending_and_claim_make_a_lost_group_again(
    opened: Open, redis_client: redis.Redis, call: str
) -> None:
    """What was pending in the old group is new in the new one."""
    stream = opened()
    stream.create_group()
    stream.read(len(add(redis_client, 2)))
    redis_client.xgroup_destroy(STREAM, GROUP)
    found = stream.pending(9) if call == "pending" else stream.claim(0, 9)[1]
    assert (found, stream.regrouped, len(stream.read(9))) == ([], 1, 2)


def test_a_read_of_an_idle_stream_returns_nothing_after_its_block(opened: Open) -> None:
    """It waits `block` seconds, not less and not much more, and raises nothing."""
    stream = opened(block=0.4)
    stream.create_group()
    start = time.monotonic()
    assert stream.read(1) == []
    assert 0.39 <= time.monotonic() - start < 2


@pytest.mark.parametrize("call", ["read", "claim"])
def test_entries_of_a_lost_reply_are_found_among_the_pending(
    opened: Open, redis_client: redis.Redis, between: Proxy, call: str
) -> None:
    """A lost reply is never asked for again in silence: that would pass over what it held."""
    stream = opened(url=between.url)
    stream.create_group()
    there = add(redis_client, 4)
    if call == "claim":
        opened("gone").read(4)
        age(redis_client, there)
    lost = between.drop_next_reply(lambda piece: there[0] in piece)
    with pytest.raises(Unavailable):
        stream.read(2) if call == "read" else stream.claim(30, 2)
    assert lost.is_set()
    assert ids(stream.pending(9)) == there[:2]
    assert [entry.fields for entry in stream.pending(1)] == [{b"n": b"0"}]


def test_every_reading_counts_as_a_delivery(opened: Open, redis_client: redis.Redis) -> None:
    """By the server's count, also where a consumer's other entries lie between."""
    stream = opened()
    stream.create_group()
    there = add(redis_client, 8)
    assert [entry.deliveries for entry in stream.read(8)] == [1] * 8
    assert [entry.deliveries for entry in stream.pending(4)] == [2] * 4
    assert [entry.deliveries for entry in stream.pending(8)] == [3] * 4 + [2] * 4
    age(redis_client, [there[0], there[7]], times=7)
    _, claimed = stream.claim(30, 8)
    assert [(entry.id, entry.deliveries) for entry in claimed] == [(there[0], 8), (there[7], 8)]


def test_trimmed_entries_come_back_empty(opened: Open, redis_client: redis.Redis) -> None:
    """From pending entries, and from a claim, whichever consumer has them."""
    stream = opened()
    stream.create_group()
    there = add(redis_client, 6)
    opened("gone").read(3)
    stream.read(3)
    age(redis_client, there[:3])
    redis_client.xdel(STREAM, there[1], there[4])
    assert [entry.fields for entry in stream.pending(9)] == [{b"n": b"3"}, {}, {b"n": b"5"}]
    claimed = {entry.id: entry.fields for entry in stream.claim(30, 9)[1]}
    kept = {there[0]: {b"n": b"0"}, there[2]: {b"n": b"2"}}
    assert claimed == {**kept, there[1]: {}, there[4]: {}}


def test_a_sweep_takes_everything_that_is_idle_long_enough_and_nothing_else(
    opened: Open, redis_client: redis.Redis
) -> None:
    """The cursor leads to 0-0 over many entries, also past pages without a claim."""
    stream = opened()
    stream.create_group()
    there = add(redis_client, 2500)
    opened("gone").read(2500)
    idle = there[:300] + there[2200:]
    age(redis_client, idle)
    cursor, taken = stream.claim(30, 20)
    while cursor != b"0-0":
        assert len(taken) < 2500
        cursor, entries = stream.claim(30, 20, cursor)
        taken += entries
    assert ids(taken) == idle
    assert stream.claim(30, 2500) == (b"0-0", [])


@pytest.mark.parametrize("read", [0, 4])
@pytest.mark.parametrize("gone", ["trimmed", "first", "middle", "last", "all"])
def test_what_goes_before_it_is_read_is_counted_once(
    opened: Open,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    gone: str,
    read: int,
) -> None:
    """By whichever worker comes first; what was read before it went is not among it."""
    monkeypatch.setattr(consumer, "MISSED_INTERVAL", 0.0)
    one, other = opened("one"), opened("other")
    one.create_group()
    one.read(1)
    there = add(redis_client, 20)
    if read:
        one.ack(ids(one.read(read)))
    if gone == "trimmed":
        redis_client.xtrim(STREAM, maxlen=13, approximate=False)
        lost = there[read:7]
    else:
        lost = {
            "first": there[read : read + 3],
            "middle": [there[9], there[11]],
            "last": there[18:],
            "all": there[read:],
        }[gone]
        redis_client.xdel(STREAM, *lost)
    left = [key for key in there[read:] if key not in lost]
    found = ids(other.read(2)) + ids(one.read(99)) + ids(other.read(99))
    assert (found, one.missed + other.missed) == (left, len(lost))
    assert (info.stream(redis_client, STREAM, GROUP).trimmed_unread or 0) == 0
    assert ids(one.read(9) + other.read(9)) == []
    more = add(redis_client, 6)
    redis_client.xtrim(STREAM, maxlen=2, approximate=False)
    assert (ids(one.read(9)), one.missed + other.missed) == (more[4:], len(lost) + 4)


def test_a_group_that_is_new_or_made_again_has_missed_nothing(
    opened: Open, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What went before it was there is nobody's loss; what goes from then on is."""
    monkeypatch.setattr(consumer, "MISSED_INTERVAL", 0.0)
    add(redis_client, 9)
    redis_client.xtrim(STREAM, maxlen=5, approximate=False)
    stream = opened()
    stream.create_group()
    assert (len(stream.read(2)), stream.missed) == (2, 0)
    redis_client.xgroup_destroy(STREAM, GROUP)
    stream.read(1)
    assert (stream.regrouped, len(stream.read(3)), stream.missed) == (1, 3, 0)
    add(redis_client, 3)
    redis_client.xtrim(STREAM, maxlen=1, approximate=False)
    assert (len(stream.read(3)), stream.missed) == (1, 3)


def test_a_worker_without_the_right_to_look_reads_on(
    account: Callable[..., str],
    opened: Open,
    redis_client: redis.Redis,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As one of before, whose user was made by an older `graphwriter acl`."""
    entries = add(redis_client, 4)
    redis_client.xgroup_create(STREAM, GROUP, id="0")
    line = next(one for one in acl.users(STREAM, GROUP) if "-worker " in one)
    for right in (" +xgroup|setid", " +client|setinfo"):  # the second is unknown to Redis 7.0
        line = line.replace(right, "")
    rules = line.partition(" (")[0].split()[3:]
    stream = opened(url=account(*rules))
    assert ids(stream.read(2) + stream.read(9)) == entries
    assert caplog.text.count("entries trimmed before they are read cannot be counted") == 1


def test_trimming_leaves_what_some_group_has_not_acknowledged(
    opened: Open, redis_client: redis.Redis
) -> None:
    """Neither what a group has not read nor what it has read only."""
    done, behind = opened(), opened(group="behind")
    assert trim.oldest_needed(done.client, done.name) is None
    done.create_group()
    behind.create_group()
    there = add(redis_client, 1000)
    done.ack(ids(done.read(1000)))
    behind.ack(ids(behind.read(450)))
    needed = trim.oldest_needed(done.client, done.name)
    assert needed is not None
    assert there[449] < needed <= there[450]
    assert 0 < trim.trim(done.client, done.name, needed) <= 450
    assert ids(behind.read(1000)) == there[450:]
    behind.ack(there[450:620] + there[621:])
    assert trim.oldest_needed(done.client, done.name) == there[620]
    trim.trim(done.client, done.name, there[620])
    assert [entry.id for entry in behind.pending(9) if entry.fields] == [there[620]]


def test_what_is_needed_is_known_while_workers_acknowledge(
    opened: Open, redis_client: redis.Redis, between: Proxy
) -> None:
    """The last pending entry may be acknowledged between two looks."""
    stream = opened(url=between.url)
    stream.create_group()
    there = add(redis_client, 1)
    stream.read(1)

    def acknowledge(piece: bytes) -> bool:
        if b"last-delivered-id" in piece:
            redis_client.xack(STREAM, GROUP, there[0])
        return False

    between.drop_next_reply(acknowledge)
    needed = trim.oldest_needed(stream.client, stream.name)
    assert needed is not None
    assert needed > there[0]


def test_tries_alone_are_counted_until_they_are_forgotten(
    opened: Open, redis_client: redis.Redis
) -> None:
    """Beside the stream's slot, for every consumer of the group, and not for ever."""
    entry, other = Entry(b"1-0", {}), Entry(b"2-0", {})
    assert [opened().try_alone(entry), opened("other").try_alone(entry)] == [1, 2]
    assert opened().try_alone(other) == 1
    assert 0 < redis_client.ttl(f"{{{STREAM}}}:tries:{GROUP}") <= 7 * 24 * 3600
    opened().tried(entry)
    assert opened().try_alone(entry) == 1


def test_a_server_that_is_down_is_unavailable(opened: Open, between: Proxy) -> None:
    """Every call says so, and goes on once the server is back."""
    stream = opened(url=between.url)
    between.stop()
    for call in (lambda: stream.read(1), lambda: stream.claim(0, 1), stream.create_group):
        with pytest.raises(Unavailable):
            call()
    between.start()
    assert stream.create_group()


@pytest.mark.parametrize(
    ("broken", "repaired"),
    [
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
        ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"),
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
    ],
)
def test_a_server_that_takes_no_writes_for_now_is_unavailable(
    opened: Open, redis_client: Any, broken: str, repaired: str
) -> None:
    """Short of memory, without its replicas, or a replica itself: that passes."""
    redis_client.execute_command(*broken.split())
    try:
        with pytest.raises(Unavailable):
            opened().create_group()
        with pytest.raises(Unavailable):
            opened().try_alone(Entry(b"1-0", {}))
    finally:
        redis_client.execute_command(*repaired.split())
    assert opened().create_group()


def test_what_an_operator_must_correct_is_a_configuration_error(
    opened: Open, redis_client: redis.Redis, account: Callable[..., str]
) -> None:
    """A wrong password, which stays untold, a missing permission, a key that is no stream."""
    with pytest.raises(ConfigError, match="denies access") as refused:
        opened(url=account("+@all", "~*", password="s3cret")).read(1)
    assert "s3cret" not in str(refused.value)
    for rules in (("+@all", "~other"), ("+@all", "-@stream", "~*")):
        with pytest.raises(ConfigError, match="denies access"):
            opened(url=account(*rules)).read(1)
    redis_client.set(STREAM, "text")
    with pytest.raises(ConfigError, match="WRONGTYPE"):
        opened().create_group()
    with pytest.raises(ConfigError, match="WRONGTYPE"):
        opened().read(1)


def test_a_full_server_keeps_nobody_from_a_group_that_is_there(
    opened: Open, redis_client: redis.Redis
) -> None:
    """Redis refuses to make a group when it is full, even one that it has."""
    stream = opened()
    stream.create_group()
    add(redis_client, 3)
    redis_client.config_set("maxmemory", "1mb")
    try:
        assert stream.create_group() is False
        entries = stream.read(10)
        stream.ack(entry.id for entry in entries)
    finally:
        redis_client.config_set("maxmemory", "0")
    assert len(entries) == 3


def test_own_entries_come_one_by_one_once_some_came_back_too_often(
    opened: Open, redis_client: redis.Redis
) -> None:
    """Reading a thousand large entries together may crash the worker."""
    stream = opened()
    stream.create_group()
    add(redis_client, 5)
    stream.read(5)
    assert [len(stream.pending(5)) for _ in range(4)] == [5, 5, 1, 1]


@pytest.mark.parametrize(
    "url",
    ["redis://:p/ssW0rd@127.0.0.1:1/0", "redis://:p#ssW0rd@h:1/0", "redis://h:x/0?password=ssW0rd"],
)
def test_a_url_that_is_none_is_refused_without_its_password(url: str) -> None:
    """Also where the password is what makes it none."""
    with pytest.raises(ConfigError) as raised:
        info.length(connect(url, STREAM), STREAM)
    assert "ssW0rd" not in str(raised.value)
    assert "REDIS_URL" in str(raised.value)


def test_what_a_url_says_does_not_change_how_we_read(valkey_url: str, opened: Open) -> None:
    """Replies stay bytes, and a blocking read may take its time."""
    stream = opened(url=f"{valkey_url}?decode_responses=true&socket_timeout=0.01")
    stream.client.set("a", "b")
    assert stream.client.get("a") == b"b"


def test_a_client_without_one_address_is_refused() -> None:
    """Before the first command."""
    with pytest.raises(ConfigError, match="expected a client of a single server or of Sentinel"):
        Stream(redis.ConnectionPool(), STREAM, GROUP, "me")


def test_only_idle_consumers_without_entries_are_deleted(redis_client: redis.Redis) -> None:
    """Those that hold entries stay, and so does one that was just seen."""
    redis_client.xadd(STREAM, {"data": "1"})
    redis_client.xgroup_create(STREAM, GROUP, id="0")
    redis_client.xreadgroup(GROUP, "holder", {STREAM: ">"})
    for name in ("gone-1", "gone-2"):
        redis_client.xgroup_createconsumer(STREAM, GROUP, name)
    time.sleep(0.3)
    redis_client.xgroup_createconsumer(STREAM, GROUP, "fresh")
    assert sorted(prune.prune(redis_client, STREAM, GROUP, 0.2)) == ["gone-1", "gone-2"]
    left = redis_client.xinfo_consumers(STREAM, GROUP)
    assert sorted(row["name"] for row in left) == [b"fresh", b"holder"]
    assert list(prune.prune(redis_client, STREAM, GROUP, 0.2)) == []
