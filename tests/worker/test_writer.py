"""The loop on real servers: bad events, lost replies, outages."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import neo4j
import pytest
import redis
from support.cases import BASE, CASES
from support.names import GROUP, STREAM
from support.neo4j import Server, embedded_version
from support.proxy import Proxy
from support.waits import until
from support.writers import running

from graphwriter.embedded import Neo4j
from graphwriter.errors import ConfigError, DeadLetterLimit, TooBig
from graphwriter.graph import Graph, schema
from graphwriter.graph.failures import Failure, classify
from graphwriter.stream import DeadLetter, DeadLetters, Entry, Stream
from graphwriter.stream.deadletters import Limit
from graphwriter.worker.writer import Writer

TRIES = f"{{{STREAM}}}:tries:{GROUP}"
Make = Callable[..., Writer]


@pytest.fixture
def make(
    neo4j_server: Server, graph_empty: neo4j.Driver, valkey_url: str, redis_client: redis.Redis
) -> Iterator[Make]:
    """Make writers to an empty graph, from an empty stream; all are closed after the test."""
    made: list[Writer] = []

    def writer(
        consumer: str = "me", neo: str = neo4j_server.uri, url: str = valkey_url, **more: Any
    ) -> Writer:
        graph = Graph(neo, *(neo4j_server.auth or (None, None)), retry=more.pop("retry", 10.0))
        made.append(Writer(Stream(url, STREAM, GROUP, consumer, block=0.05), graph, **more))
        return made[-1]

    graph = writer().graph
    schema.apply(graph)
    yield writer
    for each in made:
        each.stream.close()
        each.graph.close()


@pytest.fixture
def neo(neo4j_server: Server, proxy: Callable[[str], Proxy]) -> Proxy:
    """A proxy in front of Neo4j."""
    return proxy(neo4j_server.uri.replace("neo4j://", "bolt://"))


@pytest.fixture
def valkey(valkey_url: str, proxy: Callable[[str], Proxy]) -> Proxy:
    """A proxy in front of the stream's server."""
    return proxy(valkey_url)


@pytest.fixture
def unique_hash(driver: neo4j.Driver) -> Iterator[None]:
    """A foreign constraint: content_hash is unique."""
    name = "test_unique_hash"
    driver.execute_query(f"CREATE CONSTRAINT {name} FOR (n:Post) REQUIRE n.content_hash IS UNIQUE")
    yield
    driver.execute_query(f"DROP CONSTRAINT {name}")


def event(message: int, **more: Any) -> dict[bytes, bytes]:
    """An entry for a message, in form (a)."""
    values = BASE | {"telegram_message_id": message, "post_id": f"p{message}"} | more
    return {b"data": json.dumps(values).encode()}


def add(client: redis.Redis, entries: Iterable[Mapping[bytes, bytes]]) -> list[bytes]:
    pipe = client.pipeline()
    for entry in entries:
        pipe.xadd(STREAM, dict(entry))  # type: ignore[arg-type]  # redis-py wants unions as keys
    return pipe.execute()


def pending(client: redis.Redis) -> dict[bytes, int]:
    """The number of deliveries of each pending entry, by id."""
    rows: Any = client.xpending_range(STREAM, GROUP, "-", "+", 10_000)
    return {row["message_id"]: row["times_delivered"] for row in rows}


def dead(client: redis.Redis) -> list[DeadLetter]:
    return list(DeadLetters(client, STREAM, GROUP).list())


def posts(driver: neo4j.Driver) -> list[str]:
    """The post_id of every post."""
    found = driver.execute_query("MATCH (p:Post) RETURN p.post_id AS id ORDER BY p.version, id")
    return [record["id"] for record in found.records]


def committed(piece: bytes) -> bool:
    """Whether a server's message contains the reply to a commit."""
    return b"bookmark" in piece


def drain(writer: Writer) -> Writer:
    """Let a writer start and write all entries."""
    writer.run_once()
    while writer.run_once():
        pass
    assert writer.error is None
    return writer


def test_events_of_both_forms_are_written(
    make: Make, redis_client: redis.Redis, driver: neo4j.Driver
) -> None:
    """The first step starts, the next one writes and acknowledges a batch."""
    flat = BASE | {"post_id": "p2", "telegram_message_id": 2, "reply_to_message_id": 1}
    add(redis_client, [event(1), {k.encode(): str(v).encode() for k, v in flat.items()}])
    writer = make()
    assert [writer.run_once() for _ in range(3)] == [0, 2, 0]
    assert sorted(posts(driver)) == ["p1", "p2"]
    (reply,) = driver.execute_query("MATCH (a:Post)-[:REPLIES_TO]->(b) RETURN a, b").records
    assert [reply["a"]["post_id"], reply["b"]["post_id"]] == ["p2", "p1"]
    assert (pending(redis_client), dead(redis_client), writer.counts.written) == ({}, [], 2)


def test_every_refusal_becomes_a_dead_letter_and_the_rest_is_written(
    make: Make, redis_client: redis.Redis, driver: neo4j.Driver
) -> None:
    """One batch with every refused case, each between two good events."""
    refused = [case for case in CASES if case.refusal and case.fields]
    good = [event(100 + number) for number in range(len(refused) + 1)]
    mixed = [entry for pair in zip(good, refused, strict=False) for entry in pair]
    ids = add(redis_client, [e if isinstance(e, dict) else e.fields for e in [*mixed, good[-1]]])
    writer = drain(make())
    letters = {letter.source_id.encode(): letter for letter in dead(redis_client)}
    assert list(letters) == ids[1::2]
    for key, case in zip(ids[1::2], refused, strict=True):
        assert letters[key].reason in f"{case.refusal} {case.others}".split(), case.name
        assert letters[key].fields == case.fields
    assert len(posts(driver)) == len(good) == writer.counts.written
    assert (pending(redis_client), writer.counts.dead) == ({}, len(refused))


@pytest.mark.parametrize("away", ["neo4j", "redis"])
def test_nothing_is_read_while_a_server_is_unavailable(
    make: Make,
    redis_client: redis.Redis,
    driver: neo4j.Driver,
    neo: Proxy,
    valkey: Proxy,
    away: str,
) -> None:
    """No delivery is counted, no dead letter appears; 5 seconds after its return all is written."""
    said: list[str] = []
    writer = make(neo=neo.url, url=valkey.url, retry=0.2, progress=said.append)
    proxy = neo if away == "neo4j" else valkey
    first, later = [event(n) for n in range(5)], [event(n) for n in range(5, 10)]
    with running(writer):
        until(lambda: "reading" in said)
        proxy.stop()
        held = dict.fromkeys(add(redis_client, first), 1)
        until(lambda: writer.error)
        before = pending(redis_client)
        assert before in ({}, held)
        add(redis_client, later)
        until(lambda: said.count("waiting") >= 4)
        assert (pending(redis_client), dead(redis_client), posts(driver)) == (before, [], [])
        proxy.start()
        assert until(lambda: len(posts(driver)) == 10 and not pending(redis_client)) < 5
    assert (writer.error, dead(redis_client), writer.counts.written) == (None, [], 10)


def test_a_lost_commit_reply_ends_with_the_events_written_once(
    make: Make, redis_client: redis.Redis, driver: neo4j.Driver, neo: Proxy
) -> None:
    """The batch is retried immediately, changes nothing, and is acknowledged."""
    writer = drain(make(neo=neo.url))
    add(redis_client, [event(n, author_name="Ann", reply_to_message_id=99) for n in range(5)])
    lost = neo.drop_next_reply(committed)
    assert writer.run_once() == 5
    assert lost.is_set()
    assert sorted(posts(driver)) == ["p0", "p1", "p2", "p3", "p4"]
    links = driver.execute_query("MATCH ()-[r]->() RETURN count(r) AS n").records[0]["n"]
    assert (links, pending(redis_client), dead(redis_client)) == (10, {}, [])
    assert (writer.counts.retries, writer.error) == (1, None)


def test_an_outage_of_neo4j_is_told_at_the_first_failure(
    make: Make,
    redis_client: redis.Redis,
    driver: neo4j.Driver,
    neo: Proxy,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The worker tries its batch again for seconds before it waits, and it says so."""
    doing: list[str] = []
    writer = drain(make(neo=neo.url, retry=60.0, progress=doing.append))
    neo.stop()
    add(redis_client, [event(1)])
    with running(writer):
        until(lambda: writer.retrying)
        assert "does not answer" in (writer.retrying or "")
        assert (doing[-1], writer.error) == ("retrying", None)
        told = [text for text in caplog.messages if text.endswith("; trying again")]
        assert len(told) == 1
        neo.start()
        until(lambda: posts(driver) == ["p1"] and writer.retrying is None)
    assert [text for text in caplog.messages if text.endswith("; trying again")] == told


def test_a_lost_acknowledgement_is_a_redelivery_that_changes_nothing(
    make: Make, redis_client: redis.Redis, driver: neo4j.Driver, neo: Proxy, valkey: Proxy
) -> None:
    """Redis stops right after the commit: redelivered entries count as unchanged."""

    def cut(piece: bytes) -> bool:
        if committed(piece):
            valkey.stop()
        return False

    writer = drain(make(neo=neo.url, url=valkey.url))
    ids = add(redis_client, [event(n) for n in range(5)])
    neo.drop_next_reply(cut)
    assert writer.run_once() == 0
    everything = "MATCH (n) RETURN properties(n) AS p ORDER BY n.post_id"
    graph = [record["p"] for record in driver.execute_query(everything).records]
    assert (len(graph), pending(redis_client)) == (5, dict.fromkeys(ids, 1))
    neo.drop_next_reply(lambda _: False)
    valkey.start()
    drain(writer)
    assert graph == [record["p"] for record in driver.execute_query(everything).records]
    assert (pending(redis_client), dead(redis_client)) == ({}, [])
    assert (writer.counts.written, writer.counts.unchanged) == (0, 5)


def test_halving_finds_the_one_row_that_neo4j_refuses(
    make: Make, redis_client: redis.Redis, driver: neo4j.Driver, unique_hash: None
) -> None:
    """One of 1,000 becomes a dead letter with the server's reason, in few transactions."""
    said: list[str] = []
    driver.execute_query("CREATE (:Post {content_hash: 'planted'})")
    writer = drain(make(progress=said.append))
    entries = [event(n, **({"content_hash": "planted"} if n == 618 else {})) for n in range(1000)]
    add(redis_client, entries)
    assert writer.run_once() == 1000
    (letter,) = dead(redis_client)
    assert (letter.reason, letter.fields) == ("refused", entries[618])
    assert "ConstraintValidationFailed" in letter.error
    assert "content_hash" in letter.error
    assert (writer.counts.written, pending(redis_client)) == (999, {})
    assert said.count("writing") <= 2 * math.log2(1000) + 3


@pytest.mark.parametrize("together", [True, False])
def test_the_second_claimant_of_a_post_id_is_a_dead_letter(
    make: Make, redis_client: redis.Redis, driver: neo4j.Driver, together: bool
) -> None:
    """The first address keeps it, and all other events are written, in one batch or in two."""
    entries = [event(n) for n in range(10)]
    second = event(77, post_id="p3")
    writer = drain(make(batch_size=100 if together else 10))
    ids = add(redis_client, [*entries, second, event(78)])
    drain(writer)
    (letter,) = dead(redis_client)
    assert (letter.source_id.encode(), letter.reason) == (ids[10], "post_id_taken")
    query = "MATCH (p:Post) RETURN p.telegram_message_id AS n ORDER BY n"
    numbers = [record["n"] for record in driver.execute_query(query).records]
    assert (numbers, pending(redis_client)) == ([*range(10), 78], {})


def test_entries_of_dead_workers_are_claimed(
    make: Make, redis_client: redis.Redis, driver: neo4j.Driver
) -> None:
    """Entries that were trimmed before they were written are counted as lost."""
    ids = suspects(make, redis_client, [event(n) for n in range(3)], "gone", 1)
    redis_client.xclaim(STREAM, GROUP, "gone", 0, [*ids], idle=999_000, justid=True)
    redis_client.xdel(STREAM, ids[1])
    counts = drain(make()).counts
    assert (counts.claimed, counts.lost, counts.written, pending(redis_client)) == (3, 1, 2, {})


def test_entries_trimmed_before_they_were_read_are_logged_and_counted(
    make: Make, redis_client: redis.Redis, driver: neo4j.Driver, caplog: pytest.LogCaptureFixture
) -> None:
    """Also while a worker lags."""
    drain(make())
    add(redis_client, [event(n) for n in range(9)])
    redis_client.xtrim(STREAM, maxlen=6, approximate=False)
    writer = make(batch_size=2)
    assert [writer.run_once(), writer.run_once()] == [0, 2]
    redis_client.xtrim(STREAM, maxlen=2, approximate=False)
    counts = drain(writer).counts
    assert (counts.lost, counts.written) == (5, 4)
    said = "entries were trimmed or deleted before they were read: lost"
    assert [one for one in caplog.messages if said in one] == [f"3 {said}", f"2 {said}"]


def suspects(
    make: Make,
    client: redis.Redis,
    entries: Iterable[Mapping[bytes, bytes]],
    consumer: str = "me",
    deliveries: int = 3,
) -> list[bytes]:
    """Add entries and deliver them several times to a consumer, as after crashes of workers."""
    stream = make(consumer).stream
    stream.create_group()
    ids = add(client, entries)
    stream.read(1000)
    for _ in range(deliveries - 1):
        stream.pending(1000)
    return ids


def test_entries_that_were_delivered_too_often_are_tried_alone(
    make: Make, redis_client: redis.Redis, driver: neo4j.Driver
) -> None:
    """From three deliveries on each entry gets its own transaction; no try stays counted."""
    suspects(make, redis_client, [event(n) for n in range(4)])
    writer = drain(make())
    assert (writer.counts.batches, writer.counts.written, pending(redis_client)) == (4, 4, {})
    assert not redis_client.exists(TRIES)


class Crash(BaseException):
    """The crash of a worker."""


def test_an_entry_that_crashes_its_workers_becomes_a_dead_letter(
    make: Make, redis_client: redis.Redis, driver: neo4j.Driver
) -> None:
    """After two deliveries in a batch and three tries alone; the other entries are written."""
    ids = add(redis_client, [event(n) for n in range(3)])

    def progress(doing: str) -> None:
        if doing == "writing":
            in_batch = pending(redis_client).get(ids[1], 9) <= 2
            if in_batch or redis_client.hexists(TRIES, ids[1].decode()):
                raise Crash

    for _ in range(5):
        with pytest.raises(Crash):
            drain(make(progress=progress))
        assert dead(redis_client) == []
    drain(make(progress=progress))
    (letter,) = dead(redis_client)
    assert (letter.reason, letter.source_id, letter.deliveries) == (
        "deliveries",
        ids[1].decode(),
        6,
    )
    assert (sorted(posts(driver)), pending(redis_client)) == (["p0", "p2"], {})
    assert not redis_client.exists(TRIES)


def test_tries_are_counted_before_the_entry_is_decoded(
    make: Make, redis_client: redis.Redis
) -> None:
    """Decoding may be what crashes the worker; an entry that cannot be decoded shows the order."""
    (poison,) = suspects(make, redis_client, [{b"data": b"["}])
    for _ in range(3):
        make().stream.try_alone(Entry(poison, {}))
    drain(make())
    assert [letter.reason for letter in dead(redis_client)] == ["deliveries"]


@pytest.mark.slow
@pytest.mark.parametrize("away", ["neo4j", "redis"])
def test_an_outage_while_an_entry_is_tried_alone_does_not_count_as_a_try(
    make: Make,
    redis_client: redis.Redis,
    driver: neo4j.Driver,
    neo: Proxy,
    valkey: Proxy,
    away: str,
) -> None:
    """Five outages at the worst moment, more than an entry has tries; then it is written."""

    def cut(piece: bytes) -> bool:
        if committed(piece) and away == "redis":
            valkey.stop()
        return committed(piece) and away == "neo4j"

    suspects(make, redis_client, [event(1), event(2)])
    writer = make(neo=neo.url, url=valkey.url, retry=0.0)
    for _ in range(5):
        until(lambda: writer.run_once() == 0 and writer.error is None)
        neo.drop_next_reply(cut)
        assert (writer.run_once(), bool(writer.error)) == (0, True)
        neo.drop_next_reply(lambda _: False)
        valkey.start()
    drain(writer)
    assert (sorted(posts(driver)), pending(redis_client)) == (["p1", "p2"], {})
    assert (dead(redis_client), redis_client.exists(TRIES)) == ([], 0)


def test_a_configuration_error_does_not_count_as_a_try(
    make: Make, redis_client: Any, driver: neo4j.Driver, valkey_url: str
) -> None:
    """A user without the right to acknowledge stops the worker five times; then all is written."""
    suspects(make, redis_client, [event(1), event(2)])
    redis_client.execute_command("ACL SETUSER", "t", "reset", "on", ">t", "~*", "+@all", "-xack")
    url = valkey_url.replace("://", "://t:t@")
    try:
        for _ in range(5):
            with pytest.raises(ConfigError, match="xack"):
                drain(make(url=url))
    finally:
        redis_client.execute_command("ACL DELUSER", "t")
    drain(make())
    assert (sorted(posts(driver)), dead(redis_client)) == (["p1", "p2"], [])


def test_more_dead_letters_than_the_limit_stop_the_writer(
    make: Make, redis_client: redis.Redis, driver: neo4j.Driver
) -> None:
    """The batch is finished first: none of it stays pending."""
    add(redis_client, [event(n) if n < 9 else {b"data": b"["} for n in range(20)])
    with pytest.raises(DeadLetterLimit, match="11 of 20 entries"):
        drain(make(limit=Limit(0.5, 20)))
    assert (len(posts(driver)), len(dead(redis_client)), pending(redis_client)) == (9, 11, {})


def test_a_step_works_after_run_raised(
    make: Make, redis_client: redis.Redis, driver: neo4j.Driver
) -> None:
    """The next step writes the batch that was read ahead, and further full batches follow."""
    add(redis_client, [{b"data": b"["}] * 10 + [event(n) for n in range(30)])
    writer = make(batch_size=10, limit=Limit(0.5, 10))
    with pytest.raises(DeadLetterLimit):
        writer.run()
    assert [writer.run_once() for _ in range(4)] == [10, 10, 10, 0]
    assert len(posts(driver)) == 30
    assert pending(redis_client) == {}


def test_a_stopped_writer_leaves_nothing_pending(
    make: Make, redis_client: redis.Redis, driver: neo4j.Driver
) -> None:
    """It finishes the current batch and the one read ahead; the others stay unread."""
    said: list[str] = []

    def progress(doing: str) -> None:
        said.append(doing)
        if said.count("writing") == 3:
            writer.stop()

    add(redis_client, [event(n) for n in range(100)])
    writer = make(batch_size=10, progress=progress)
    writer.run()
    assert (len(posts(driver)), writer.counts.written, pending(redis_client)) == (40, 40, {})
    assert drain(make()).counts.written == 60


def test_two_writers_write_everything_once(
    make: Make, redis_client: redis.Redis, driver: neo4j.Driver
) -> None:
    """Both read entries of one group."""
    said: list[str] = []
    writers = [make(name, batch_size=50, progress=said.append) for name in ("one", "two")]
    with running(*writers):
        until(lambda: said.count("reading") >= 4)
        add(redis_client, [event(n) for n in range(3000)])
        until(lambda: len(posts(driver)) == 3000 and not pending(redis_client))
    one, two = (writer.counts for writer in writers)
    assert (one.written + two.written, one.unchanged + two.unchanged) == (3000, 0)
    assert min(one.written, two.written) > 0


def test_entries_after_a_full_batch_and_a_partial_one_are_written_immediately(
    make: Make, redis_client: redis.Redis, driver: neo4j.Driver
) -> None:
    """An empty read-ahead is not mistaken for the next read."""
    said: list[str] = []
    with running(make(batch_size=10, progress=said.append)):
        until(lambda: said.count("reading") >= 2)
        add(redis_client, [event(n) for n in range(10)])
        until(lambda: len(posts(driver)) == 10)
        for number in (10, 11):
            before = said.count("reading")
            until(lambda before=before: said.count("reading") >= before + 3)  # type: ignore[misc]
            add(redis_client, [event(number)])
            until(lambda number=number: len(posts(driver)) == number + 1, 10)  # type: ignore[misc]
        assert pending(redis_client) == {}


class Slow(Graph):
    """A server so slow that even a check runs into the time limit, as under load."""

    def check(self, *, writes: bool = False) -> str:  # noqa: ARG002 - the real one's
        """Answer as the server does then; it looks at the clock only every two seconds."""
        raise TooBig("Neo.ClientError.Transaction.TransactionTimedOutClientConfiguration")


def test_a_neo4j_too_slow_to_plan_is_waited_for(make: Make) -> None:
    """A step raises only its two errors."""
    writer = make()
    writer.graph = Slow(writer.graph.uri)
    assert writer.run_once() == 0
    assert "nothing was written" in str(writer.error)


@pytest.mark.slow
def test_nothing_is_read_while_the_store_takes_no_writes(
    valkey_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """Entries stay unread, and are written when the store takes writes again."""
    server = Neo4j(data=tmp_path / "neo4j", version=embedded_version())
    with server, Graph(server.url) as graph:
        schema.apply(graph)
    server.settings = {"server.databases.read_only": "neo4j"}
    with server, Graph(server.url, retry=0.1) as graph:
        writer = Writer(Stream(valkey_url, STREAM, GROUP, "me", block=0.05), graph)
        writer.stream.create_group()
        add(redis_client, [event(1)])
        for _ in range(4):
            assert writer.run_once() == 0
        assert "takes no writes" in str(writer.error)
        assert pending(redis_client) == {}
    server.settings = {}
    with server, Graph(server.url) as graph:
        writer.graph = graph
        until(lambda: writer.run_once() == 1)
        assert graph.read("MATCH (p:Post) RETURN p.post_id AS id") == [{"id": "p1"}]


def test_an_error_that_the_driver_did_not_raise_blames_no_event() -> None:
    """Lack of memory is not the event's fault; a value that cannot be packed is."""
    for error in (MemoryError(), KeyError("x"), RecursionError()):
        with pytest.raises(type(error)):
            classify(error)
    assert classify(OverflowError()) is Failure.DATA


def test_a_stop_takes_effect_between_entries_that_are_tried_alone(
    make: Make, redis_client: redis.Redis, driver: neo4j.Driver
) -> None:
    """Each may take long: the others stay pending, and no try of theirs is counted."""
    add(redis_client, [event(n) for n in range(5)])
    first = make()
    first.run_once()
    first.stream.read(5)
    for _ in range(3):
        first.stream.pending(5)
    said: list[str] = []

    def progress(doing: str) -> None:
        said.append(doing)
        if said.count("writing") == 2:
            writer.stop()

    writer = make(progress=progress)
    writer.run()
    assert (len(posts(driver)), len(pending(redis_client))) == (2, 3)
    assert redis_client.hgetall(TRIES) == {}
