"""The context of a post: all kinds of neighbours, within a budget, and what was left out."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from support.graphs import CHANNEL, values
from support.graphs import graph as graph
from support.graphs import unindexed as unindexed

from graphwriter import events, queries
from graphwriter.graph import Graph, schema
from graphwriter.graph.batch import fold
from graphwriter.keep import Keep
from graphwriter.queries.address import Address
from graphwriter.queries.answers import Context, Item, Linked, Links
from graphwriter.queries.prose import prose
from graphwriter.queries.pseudonyms import Pseudonyms

GROUP = -1001000000007
POST = Address(CHANNEL, 10)


def write(graph: Graph, *told: dict[str, Any]) -> None:
    graph.write(fold([events.from_values(one, 2**50) for one in told], Keep(text=True)))


def at(chat: int, message: int, **more: Any) -> dict[str, Any]:
    posted = {"posted_at": f"2024-05-01T10:00:{message % 60:02}Z"}
    own = {"tg_channel_id": chat, "post_id": f"p{chat}:{message}"}
    return values(message) | posted | own | more


@pytest.fixture
def talk(unindexed: Graph) -> Graph:
    """A post with two ancestors, replies, comments, forwards, and the same content elsewhere."""
    graph = unindexed
    schema.apply_reading(graph)
    graph.run("CALL db.awaitIndexes(60)")
    write(
        graph,
        at(CHANNEL, 8),
        at(CHANNEL, 9, reply_to_message_id=8, text="before"),
        at(CHANNEL, 10, reply_to_message_id=9, text="the post " * 20, content_hash="h",
           author_peer_id={"user_id": 5}, author_name="Ann",
           forward_from_peer_id={"channel_id": 77}, forward_from_message_id=3),
        *(at(CHANNEL, n, reply_to_message_id=10, text=f"reply {n}") for n in range(11, 21)),
        at(CHANNEL, 21, reply_to_message_id=11, text="a reply to a reply"),
        at(GROUP, 1, forward_from_peer_id={"channel_id": 1179270258}, forward_from_message_id=10),
        at(GROUP, 2, reply_to_message_id=1, text="a comment",
           author_peer_id={"user_id": 6}, author_name="Bo"),
        at(-1002, 5, content_hash="h"),
    )  # fmt: skip
    return graph


def test_a_context_has_all_that_is_around_a_post(talk: Graph) -> None:
    found = queries.context(talk, POST)
    assert (found.post.address, found.post.post_id) == (str(POST), f"p{CHANNEL}:10")
    assert found.author is not None
    assert (found.author.id, found.author.name) == ("5", "Ann")
    assert found.origin is not None
    assert found.origin.source is not None
    assert found.origin.source.id == "77"
    assert found.origin.post is not None
    assert (found.origin.post.address, found.origin.post.post_id) == ("-1000000000077:3", None)
    assert [one.address for one in found.ancestors] == [f"{CHANNEL}:9", f"{CHANNEL}:8"]
    assert [one.depth for one in found.replies] == [1, 2, *[1] * 9]
    assert [one.text for one in found.comments] == ["a comment"]
    assert [one.address for one in found.forwards] == [f"{GROUP}:1"]
    assert [one.address for one in found.same] == ["-1002:5"]
    assert (found.left_out, found.truncated) == ({}, False)


def test_without_the_index_of_content_hashes_no_same_content_is_looked_for(
    talk: Graph,
) -> None:
    talk.run("DROP INDEX graphwriter_content")
    assert queries.context(talk, POST).same == []


@pytest.mark.parametrize("budget", [60, 150, 300, 600, 1000])
def test_a_budget_is_kept_and_what_does_not_fit_is_counted(talk: Graph, budget: int) -> None:
    whole, found = queries.context(talk, POST), queries.context(talk, POST, budget=budget)
    assert found == queries.context(talk, POST, budget=budget)
    size = len(msgspec.json.encode(found).decode())
    assert size <= budget * 4 + 700  # the post itself and the counts are always there
    for kind in ("ancestors", "replies", "comments", "forwards", "same"):
        all_of, shown = getattr(whole, kind), getattr(found, kind)
        assert shown == all_of[: len(shown)]
        assert found.left_out.get(kind, 0) == len(all_of) - len(shown)
    assert found.truncated == bool(found.left_out)


def test_a_limit_leaves_out_and_counts(talk: Graph) -> None:
    found = queries.context(talk, POST, limit=1)
    assert len(found.replies) == 1
    assert found.left_out["ancestors"] == 1
    assert found.left_out["replies"] >= 9


def test_the_text_of_a_context_has_links_to_cite(talk: Graph) -> None:
    text = prose(queries.context(talk, POST))
    assert "https://t.me/c/1179270258/10" in text
    assert 'by Bo: "a comment"' in text


@pytest.mark.parametrize(
    ("url", "hidden"),
    [
        ("https://t.me/somebody", True), ("https://T.me/somebody/?start=1", True),
        ("https://t.me/john/s/5", True), ("https://john.t.me/", True), ("sms:+7999", True),
        ("http://t.me:8080/john", True), ("https://wa.me/7999", True),
        ("https://me:secret@a.example/", True), ("mailto:ann@a.example", True),
        ("tg://resolve?domain=somebody", True), ("https://t.me/news_x/42", False),
        ("https://t.me/c/5/1", False), ("https://a.example/t.me/x", False),
    ],
)  # fmt: skip
def test_a_url_that_may_name_a_person_gets_a_pseudonym(url: str, hidden: bool) -> None:
    found = Pseudonyms("key").of(
        Links(links=[Linked(url=url, address=None, channels=1, posts=1, reach=0, first=None)])
    )
    assert (found["links"][0]["url"] != url) == hidden
    context = Context(post=Item(address="-1:2"), links=[url])
    assert Pseudonyms("key").of(context)["links"] == []


def test_pseudonyms_hide_users_consistently_and_leave_channels(talk: Graph) -> None:
    context = queries.context(talk, POST)
    one, same, other = Pseudonyms("k"), Pseudonyms("k"), Pseudonyms()
    found = one.of(context)
    assert found == same.of(context)
    assert found["author"]["id"].startswith("user-")
    assert found["author"] == {"id": one.user("user 5"), "type": "user", "name": None}
    assert found["author"]["id"] != other.of(context)["author"]["id"]
    text = msgspec.json.encode(found).decode()
    assert "Ann" not in text
    assert "Bo" not in text
    assert "a comment" not in text
    assert found["origin"]["source"]["id"] == "77"
    assert found["post"]["address"] == str(POST)


def test_posts_are_found_by_their_words(talk: Graph) -> None:
    schema.apply_fulltext(talk, "standard-no-stop-words")
    talk.run("CALL db.awaitIndexes(60)")
    talk.run("CALL db.index.fulltext.awaitEventuallyConsistentIndexRefresh()")
    found = queries.search(talk, "comment")
    assert [hit.text for hit in found.posts] == ["a comment"]
    assert queries.search(talk, "reply", limit=3).truncated
    for hostile in ('"', "AND", "a AND", "(", "text:*", "\\", "comment~ OR *:*", "/x["):
        queries.search(talk, f"{hostile} nothing")
