"""Posts by their words, where texts are stored and indexed."""

from __future__ import annotations

import re

from graphwriter.errors import ConfigError, NotFound
from graphwriter.graph import Graph, schema
from graphwriter.graph.client import statement
from graphwriter.queries.answers import Hit, Hits
from graphwriter.queries.posts import NO_LIMIT, fill

LIMIT = 20  # posts of an answer

_SPECIAL = re.compile(r'([+\-!(){}\[\]^"~*?:\\/&|])')
_OPERATORS = re.compile(r"\b(AND|OR|NOT)\b")


def search(graph: Graph, words: str, *, limit: int | None = LIMIT) -> Hits:
    """Return the posts that contain some of `words`, those with more and rarer words first.

    The words are plain text: operators of Lucene are taken as text. Blocks and raises as
    `Graph.read`.

    Raises:
        ConfigError: the graph has no index of the texts.
        NotFound: there is no word in `words`.
    """
    if not re.search(r"\w", words):
        raise NotFound("there is no word to search for")
    if not schema.has(graph, schema.FULLTEXT):
        raise ConfigError(
            "texts are not indexed: set GRAPH_WRITER_TEXT=true for the workers, and run "
            "`graphwriter schema apply --fulltext`"
        )
    most = NO_LIMIT if limit is None else limit + 1
    rows = graph.rows(statement("ask/search"), words=plain(words), most=min(most, 2**31 - 1))
    cut = limit is not None and len(rows) > limit
    posts = [Hit(address=f"{chat}:{message}", score=score) for chat, message, score in rows[:limit]]
    fill(graph, posts)
    return Hits(posts=posts, truncated=cut)


def plain(words: str) -> str:
    """Return `words` without a meaning for Lucene's query syntax."""
    return _OPERATORS.sub(lambda found: found[0].lower(), _SPECIAL.sub(r"\\\1", words))
