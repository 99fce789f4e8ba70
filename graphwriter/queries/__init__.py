"""What the graph is for: questions, each a function that takes a `Graph` and returns a struct.

    from graphwriter.graph import Graph
    from graphwriter import queries

    with Graph("bolt://localhost:7687", "neo4j", "secret") as graph:
        address = queries.find(graph, "https://t.me/c/1179270258/42")
        print(queries.thread(graph, address).posts)

Questions about one message are bounded and fast; those about the whole graph read all of it once.
"""

from graphwriter.queries.address import Address, find, find_chat
from graphwriter.queries.chats import (
    authors,
    channels,
    coforward,
    links,
    related,
    sources,
    wanted,
    wanted_channels,
)
from graphwriter.queries.context import context, same
from graphwriter.queries.posts import comments, spread, thread
from graphwriter.queries.search import search

__all__ = [
    "Address",
    "authors",
    "channels",
    "coforward",
    "comments",
    "context",
    "find",
    "find_chat",
    "links",
    "related",
    "same",
    "search",
    "sources",
    "spread",
    "thread",
    "wanted",
    "wanted_channels",
]
