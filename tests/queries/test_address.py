"""Every form in which people have the address of a message, and what is none."""

from __future__ import annotations

import pytest
from support.graphs import CHANNEL, event
from support.graphs import graph as graph

from graphwriter import queries
from graphwriter.errors import NotFound
from graphwriter.graph import Graph
from graphwriter.graph.batch import fold
from graphwriter.queries.address import Address, Named, parse

HERE = Address(CHANNEL, 42)


@pytest.mark.parametrize(
    "text",
    [
        "https://t.me/c/1179270258/42",
        "http://t.me/c/1179270258/42/",
        "t.me/c/1179270258/42",
        "https://t.me/c/1179270258/7/42",
        "https://t.me/c/1179270258/42?single&comment=5",
        "https://telegram.me/c/1179270258/42",
        "tg://privatepost?channel=1179270258&post=42",
        "-1001179270258:42",
        "-1001179270258/42",
        " -1001179270258:42\n",
    ],
)
def test_a_link_and_a_pair_of_ids_are_an_address(text: str) -> None:
    assert parse(text) == HERE


@pytest.mark.parametrize(
    "text",
    ["t.me/news_x/42", "https://t.me/s/news_x/42", "https://t.me/news_x/7/42?single",
     "tg://resolve?domain=news_x&post=42"],
)  # fmt: skip
def test_a_name_is_looked_up_in_the_urls_of_posts(graph: Graph, text: str) -> None:
    assert parse(text) == Named("news_x", 42)
    with pytest.raises(NotFound, match="news_x"):
        queries.find(graph, text)
    graph.write(fold([event(7, telegram_post_url="https://t.me/news_x/7")]))
    assert queries.find(graph, text) == HERE
    assert queries.find_chat(graph, "t.me/news_x") == CHANNEL


def test_a_post_id_is_found_among_the_posts(graph: Graph) -> None:
    graph.write(fold([event(42, post_id="0b54-a")]))
    assert queries.find(graph, "0b54-a") == HERE


@pytest.mark.parametrize(
    "text",
    ["", "hello", "https://example.org/42", "t.me/c/1/2/3/4", "t.me/joinchat/abc", "t.me/x",
     "99999999999999999999:1", "9223372036854775808:1"],
)  # fmt: skip
def test_what_is_not_understood_is_refused_with_the_forms_that_are(graph: Graph, text: str) -> None:
    with pytest.raises(NotFound, match=r"give https://t\.me/c/|beyond 64 bits"):
        queries.find(graph, text)


@pytest.mark.parametrize("text", ["-1001179270258", "t.me/c/1179270258", "t.me/c/1179270258/42"])
def test_a_chat_is_understood_by_its_id_and_by_links(graph: Graph, text: str) -> None:
    assert queries.find_chat(graph, text) == CHANNEL


def test_a_message_that_is_not_in_the_graph_is_told(graph: Graph) -> None:
    for question in (queries.thread, queries.comments, queries.spread, queries.context):
        with pytest.raises(NotFound, match=r"-1001179270258:42"):
            question(graph, HERE)
