"""The two retrievers. Each returns one item a post, with its context as text and links to cite."""

from __future__ import annotations

from typing import Any

import neo4j
from neo4j_graphrag.retrievers.base import Retriever
from neo4j_graphrag.types import RawSearchResult, RetrieverResultItem

from graphwriter import queries
from graphwriter.graph import Graph
from graphwriter.queries.answers import Context
from graphwriter.queries.prose import prose

BUDGET = 1000  # tokens of an item, roughly
TIMEOUT = 20.0  # seconds for a query


class _ContextRetriever(Retriever):
    def __init__(
        self, driver: neo4j.Driver, neo4j_database: str = "neo4j", *, budget: int = BUDGET
    ) -> None:
        """Store the driver, which stays the caller's; `budget` is in tokens for each item."""
        super().__init__(driver, neo4j_database)
        self._graph = Graph.over(driver, neo4j_database, timeout=TIMEOUT)
        self._budget = budget

    def _results(self, addresses: list[tuple[queries.Address, float | None]]) -> RawSearchResult:
        records = []
        for address, score in addresses:
            context = queries.context(self._graph, address, budget=self._budget)
            values = {"context": prose(context), "score": score, **_facts(context)}
            records.append(_record(values))
        return RawSearchResult(records=records)

    def default_record_formatter(self, record: neo4j.Record) -> RetrieverResultItem:
        """Return the context as the content, and the rest as metadata."""
        values = dict(record)
        return RetrieverResultItem(content=values.pop("context"), metadata=values)


class WordsRetriever(_ContextRetriever):
    """Finds posts by their words, and returns each with its context.

    Needs stored texts and the index of `graphwriter schema apply --fulltext`.
    """

    def get_search_results(self, query_text: str, top_k: int = 5) -> RawSearchResult:
        """Return the `top_k` best posts for the words of `query_text`.

        Blocks and raises as `graphwriter.queries.search`.
        """
        hits = queries.search(self._graph, query_text, limit=top_k).posts
        return self._results([(queries.find(self._graph, hit.address), hit.score) for hit in hits])


class AddressRetriever(_ContextRetriever):
    """Returns the post with an address, such as a link, with its context."""

    def get_search_results(self, address: str) -> RawSearchResult:
        """Return the post at `address`: a link to it, CHAT:MESSAGE, or a post_id.

        Blocks and raises as `graphwriter.queries.find`.
        """
        return self._results([(queries.find(self._graph, address), None)])


_record: Any = neo4j.Record  # its constructor has no types


def _facts(context: Context) -> dict[str, Any]:
    post = context.post
    return {
        "address": post.address,
        "url": post.url,
        "posted_at": post.posted_at,
        "truncated": context.truncated,
    }
