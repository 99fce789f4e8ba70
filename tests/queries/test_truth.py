"""Every answer is the one of brute force over the contract's model, on generated and real posts."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import neo4j
import pytest
from support.brute import Brute
from support.graphs import drop_reading
from support.model import Model, read_graph
from support.neo4j import Server
from support.paths import DATA
from support.product import EVERYTHING, decode, model
from support.strategies import form_a

from graphwriter import queries
from graphwriter.graph import Graph, schema
from graphwriter.graph.batch import fold
from graphwriter.queries.address import Address

START = datetime(2024, 5, 1, tzinfo=UTC)
CHATS = (-1001179270258, -1001303094780, -1000000000005, -5, 777, -1002000000001)
ABSENT = (-1003000000001, -1003000000002, -9)  # chats that are only referred to


def world(seed: int, posts: int = 400) -> list[dict[str, Any]]:
    """Events with hubs, cycles of replies, placeholders and links that are moved later."""
    chance = random.Random(seed)
    events = []
    for number in range(posts):
        chat, message = chance.choice(CHATS), chance.randint(1, 90)
        for version in range(chance.choice((1, 1, 1, 2))):
            when = START + timedelta(seconds=chance.randint(0, 4000), milliseconds=number % 3)
            event: dict[str, Any] = {
                "schema_version": "v1", "tenant_id": "t", "channel_id": "c", "idempotency_key": "k",
                "occurred_at": (START + timedelta(seconds=version * 60 + number)).isoformat(),
                "tg_channel_id": chat, "telegram_message_id": message,
                "post_id": f"{chat}:{message}",
                "posted_at": None if chance.random() < 0.05 else when.isoformat(),
            }  # fmt: skip
            if chance.random() < 0.5:
                to = chance.choice((1, 1, 2, chance.randint(1, 100)))
                elsewhere = chance.random() < 0.2
                where = chance.choice((*CHATS[:3], *ABSENT)) if elsewhere else None
                if to != message or where not in (None, chat):
                    event |= {"reply_to_message_id": to, "reply_to_chat_id": where}
            if chance.random() < 0.5:
                origin = chance.choice((*CHATS[:4], *ABSENT))
                source = chance.choice((1, 2, 3, 3, chance.randint(1, 100), None))
                if (origin, source) != (chat, message):
                    peer = chance.choice(("peer", "chat", "both", "user", "hidden"))
                    event |= forward(origin, source, peer)
            if chance.random() < 0.7:
                event["author_peer_id"] = {"user_id": chance.randint(1, 9)}
                event["author_name"] = "Ann"
            event |= content(chance)
            events.append(event)
    chance.shuffle(events)
    return events


def content(chance: random.Random) -> dict[str, Any]:
    """Links to messages and pages, files, and a hash of the content."""
    urls = [
        f"t.me/c/{chance.choice((1179270258, 1303094780, 3000000001))}/{chance.randint(1, 9)}",
        f"https://a.example/{chance.randint(1, 9)}",
        "https://everybody.example",
    ]
    return {
        "urls": chance.sample(urls, chance.choice((0, 0, 1, 2))),
        "media_sha256_list": [f"{chance.randint(1, 40):064x}"] * chance.choice((0, 1, 2)),
        "content_hash": chance.choice((None, str(chance.randint(1, 60)))),
        "views_count": chance.choice((None, chance.randint(1, 1000))),
        "grouped_id": chance.choice((None, None, 7)),
    }


def forward(origin: int, message: int | None, how: str) -> dict[str, Any]:
    bare = -origin - 10**12 if origin < -(10**12) else -origin
    kind = "channel_id" if origin < -(10**12) else "chat_id"
    fields: dict[str, Any] = {"forward_from_message_id": message}
    if how in ("peer", "both"):
        fields["forward_from_peer_id"] = {kind: bare}
    if how in ("chat", "both"):
        fields["forward_from_chat_id"] = origin
    if how == "user":
        fields |= {"forward_from_peer_id": {"user_id": 12}, "forward_from_chat_id": origin}
    if how == "hidden":
        fields = {"forward_from_name": "Somebody"}
    return fields


def write(graph: Graph, entries: list[dict[bytes, bytes]]) -> Model:
    held = model(rich=True)
    for entry in entries:
        assert held.apply(entry) is None
    decoded = [decode(entry, EVERYTHING) for entry in entries]
    for start in range(0, len(decoded), 500):
        graph.write(fold(decoded[start : start + 500], EVERYTHING))
    return held


def real() -> list[dict[bytes, bytes]]:
    path = DATA / "real-events-10k.jsonl.gz"
    if not path.exists():
        pytest.skip(f"no real data at {DATA}")
    with gzip.open(path) as lines:
        return [{b"data": line} for line in lines]


@pytest.fixture(scope="module", params=[1, pytest.param(2, marks=pytest.mark.slow), "real"])
def both(request: Any, neo4j_server: Server) -> Iterator[tuple[Graph, Brute]]:
    """A graph, and brute force over the same events."""
    login = neo4j_server.auth
    with neo4j.GraphDatabase.driver(neo4j_server.uri, auth=login) as driver:
        driver.execute_query("MATCH (n) DETACH DELETE n")
        with Graph(neo4j_server.uri, *(login or (None, None))) as graph:
            schema.apply(graph, EVERYTHING)
            schema.apply_reading(graph)
            graph.run("CALL db.awaitIndexes(60)")
            entries = (
                real() if request.param == "real" else [form_a(e) for e in world(request.param)]
            )
            held = write(graph, entries)
            expected = held.graph()
            found = read_graph(driver)
            assert found["replies"] == expected["replies"]
            yield graph, Brute(expected)
            drop_reading(graph)


Both = tuple[Graph, Brute]


def every(brute: Brute, wanted: Callable[[Any], bool] = lambda _: True) -> list[Address]:
    """Addresses to ask for: all of a small graph, the most linked and a sample of a large one."""
    linked = {*brute.parent, *brute.parent.values(), *brute.origin, *brute.origin.values()}
    found = sorted(a for a in linked if wanted(a))
    step = max(1, len(found) // 60)
    return [Address(*a) for a in found[::step]]


def replies(posts: list[Any]) -> set[Any]:
    return {(post.address, post.post_id, post.reply_to, post.depth) for post in posts}


def test_a_thread_is_that_of_brute_force(both: Both) -> None:
    graph, brute = both
    for address in every(brute):
        found = queries.thread(graph, address)
        assert {"root": found.root, "posts": replies(found.posts)} == brute.thread(address)
        assert not found.truncated
        assert_in_reading_order(found.posts)


def assert_in_reading_order(posts: list[Any]) -> None:
    """The root first, each reply after what it replies to, siblings by message id."""
    seen: dict[str, int] = {}
    last: dict[str | None, int] = {}
    for number, post in enumerate(posts):
        assert post.address not in seen
        if number and post.depth > 1:
            assert post.reply_to in seen
        message = int(post.address.rpartition(":")[2])
        if number:
            assert last.get(post.reply_to, message) <= message
            last[post.reply_to] = message
        seen[post.address] = number


def test_comments_are_those_of_brute_force(both: Both) -> None:
    graph, brute = both
    asked = every(brute, lambda a: a in set(brute.origin.values()))
    assert asked
    for address in asked:
        found = queries.comments(graph, address)
        values = {"copies": found.copies, "posts": replies(found.posts)}
        assert values == brute.comments(address)
        assert not found.truncated


def test_spread_is_that_of_brute_force(both: Both) -> None:
    graph, brute = both
    for address in every(brute):
        found, wanted = queries.spread(graph, address), brute.spread(address)
        assert (found.origin, found.known) == (wanted["origin"], wanted["known"])
        assert [(f.address, f.lag) for f in found.forwards] == wanted["forwards"]
        first = None if found.first is None else datetime.fromisoformat(found.first).timestamp()
        assert first == wanted["first"]
        assert found.median_lag == wanted["median_lag"]


@pytest.mark.parametrize("least", [1, 2, 5])
def test_wanted_is_that_of_brute_force(both: Both, least: int) -> None:
    graph, brute = both
    found = queries.wanted(graph, least=least, limit=None).messages
    values = [(m.address, m.references, m.forwards, m.replies) for m in found]
    assert values == brute.wanted(least)
    channels = queries.wanted_channels(graph, least=least, limit=None).channels
    assert [(c.id, c.posts) for c in channels] == brute.wanted_channels(least)


@pytest.mark.parametrize("options", [{}, {"loops": True}, {"users": True}])
def test_the_network_of_channels_is_that_of_brute_force(both: Both, options: Any) -> None:
    graph, brute = both
    assert_channels(queries.channels(graph, **options), brute.channels(**options))
    middle = sorted(filter(None, map(brute.posted, brute.posts)))[len(brute.posts) // 2]
    found = queries.channels(graph, since=middle, **options)
    assert_channels(found, brute.channels(lambda t: t is not None and t >= middle, **options))
    found = queries.channels(graph, until=middle, **options)
    assert_channels(found, brute.channels(lambda t: t is not None and t < middle, **options))


def assert_channels(found: Any, wanted: dict[str, Any]) -> None:
    edges = {
        (e.source, e.target, kind): getattr(e, kind)
        for e in found.edges for kind in ("forwards", "replies", "links") if getattr(e, kind)
    }  # fmt: skip
    assert edges == dict(wanted["edges"])
    assert {n.id: n.posts for n in found.nodes if n.posts} == dict(wanted["posts"])
    assert {n.id for n in found.nodes} >= {end for e in found.edges for end in (e.source, e.target)}


@pytest.mark.parametrize(("window", "least"), [(300.0, 1), (60.0, 2), (86_400.0, 3)])
def test_coforwarding_is_that_of_brute_force(both: Both, window: float, least: int) -> None:
    graph, brute = both
    found = queries.coforward(graph, window=window, least=least, limit=None)
    assert {(p.a, p.b, p.originals) for p in found.pairs} == brute.coforward(window, least)


@pytest.mark.parametrize("least", [1, 3])
def test_what_posts_link_to_is_that_of_brute_force(both: Both, least: int) -> None:
    graph, brute = both
    found = queries.links(graph, least=least, limit=None).links
    values = [(m.address or m.url, m.channels, m.posts, m.reach) for m in found]
    assert values == brute.links(least)
    if len(values) > 1:
        assert queries.links(graph, least=least, limit=1).truncated


def test_posts_that_share_something_are_those_of_brute_force(both: Both) -> None:
    graph, brute = both
    for address in every(brute):
        found = queries.same(graph, address, limit=None)
        assert {(p.address, *sorted(p.by)): p.lag for p in found.same} == brute.same(address)
        assert not found.truncated
        lags = [post.lag for post in found.same if post.lag is not None]
        assert lags == sorted(lags)


def test_the_parts_of_an_album_are_beside_their_post(both: Both) -> None:
    graph, brute = both
    for address in every(brute):
        found = {part.address for part in queries.context(graph, address).album}
        assert found == brute.album(address)


def test_sources_and_authors_are_counted(both: Both) -> None:
    graph, brute = both
    for found, wanted in (
        (queries.sources(graph, limit=None).sources, brute.source),
        (queries.authors(graph, limit=None).authors, brute.author),
    ):
        counts: dict[Any, int] = {}
        for key in wanted.values():
            counts[key] = counts.get(key, 0) + 1
        assert {(one.type, one.id): one.posts for one in found} == counts


def test_a_bound_that_cuts_is_told_and_no_bound_answers_all(both: Both) -> None:
    graph, brute = both
    for address in every(brute)[:20]:
        whole = queries.thread(graph, address, limit=None, depth=None)
        for limit in (1, 2, 5):
            cut = queries.thread(graph, address, limit=limit)
            assert len(cut.posts) == min(limit, len(whole.posts))
            assert cut.truncated == (len(whole.posts) > limit)
            assert replies(cut.posts) <= replies(whole.posts)
        forwards = queries.spread(graph, address, limit=None).forwards
        assert queries.spread(graph, address, limit=1).truncated == (len(forwards) > 1)
