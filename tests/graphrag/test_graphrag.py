"""The retrievers and texts for neo4j-graphrag, used by the package itself on a real Neo4j."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import neo4j
import pytest
from neo4j_graphrag.embeddings import Embedder
from neo4j_graphrag.indexes import create_vector_index
from neo4j_graphrag.llm import LLMInterface, LLMResponse
from neo4j_graphrag.retrievers import (
    HybridCypherRetriever,
    Text2CypherRetriever,
    ToolsRetriever,
    VectorCypherRetriever,
)
from support.graphs import CHANNEL, values
from support.graphs import graph as graph
from support.graphs import unindexed as unindexed
from support.neo4j import Server

from graphwriter import events
from graphwriter.errors import NotFound
from graphwriter.graph import Graph, schema
from graphwriter.graph.batch import fold
from graphwriter.graphrag import (
    EXAMPLES,
    NEO4J_SCHEMA,
    RETRIEVAL_QUERY,
    AddressRetriever,
    WordsRetriever,
)
from graphwriter.keep import Keep

SIZE = 16


class Hashed(Embedder):
    """Vectors from the words, always the same, without a model."""

    def embed_query(self, text: str, **_: Any) -> list[float]:
        vector = [0.01] * SIZE
        for word in text.lower().split():
            vector[hashlib.sha256(word.encode()).digest()[0] % SIZE] += 1.0
        return vector


@pytest.fixture
def driver(unindexed: Graph, neo4j_server: Server) -> Iterator[neo4j.Driver]:
    """A driver of the user, on a graph with texts, their index, and vectors."""
    told = [
        values(10, text="prices of grain fall", author_peer_id={"user_id": 5}, author_name="Ann"),
        values(11, text="a reply about bread", reply_to_message_id=10),
        values(12, text="weather in May"),
    ]
    graph = unindexed
    graph.write(fold([events.from_values(one, 2**50) for one in told], Keep(text=True)))
    schema.apply_fulltext(graph, "standard-no-stop-words")
    with neo4j.GraphDatabase.driver(neo4j_server.uri, auth=neo4j_server.auth) as own:
        create_vector_index(own, "posts", "Post", "embedding", SIZE, "cosine")
        for message, text in ((10, "prices of grain fall"), (12, "weather in May")):
            own.execute_query(
                "MATCH (p:Post {post_id: $id}) SET p.embedding = $vector",
                id=f"p{message}",
                vector=Hashed().embed_query(text),
            )
        own.execute_query("CALL db.awaitIndexes(60)")
        own.execute_query("CALL db.index.fulltext.awaitEventuallyConsistentIndexRefresh()")
        yield own
        own.execute_query("DROP INDEX posts")


def test_words_find_posts_with_their_context(driver: neo4j.Driver) -> None:
    (item,) = WordsRetriever(driver).search(query_text="grain", top_k=3).items
    assert "prices of grain fall" in item.content
    assert "a reply about bread" in item.content
    assert item.metadata is not None
    assert item.metadata["url"] == "https://t.me/c/1179270258/10"
    assert item.metadata["score"] > 0


def test_an_address_finds_its_post_and_the_drivers_owner_may_go_on(driver: neo4j.Driver) -> None:
    retriever = AddressRetriever(driver)
    (item,) = retriever.search(address="https://t.me/c/1179270258/11").items
    assert "prices of grain fall" in item.content
    with pytest.raises(NotFound):
        retriever.search(address="t.me/c/1/1")
    del retriever
    driver.verify_connectivity()


class Chooses(LLMInterface):
    """Stands for a model: it always asks for the tool `words`, or says what it was told to."""

    def __init__(self, says: str = "") -> None:
        super().__init__("none")
        self.says, self.asked = says, ""

    def invoke(self, input: Any, *_: Any, **__: Any) -> LLMResponse:  # noqa: A002
        self.asked = str(input)
        return LLMResponse(content=self.says)

    async def ainvoke(self, input: Any, *_: Any, **__: Any) -> LLMResponse:  # noqa: A002
        return self.invoke(input)

    def invoke_with_tools(self, *_: Any, **__: Any) -> Any:
        from neo4j_graphrag.llm.types import ToolCall, ToolCallResponse

        call = ToolCall(name="words", arguments={"query_text": "grain", "top_k": 1})
        return ToolCallResponse(tool_calls=[call], content=None)


def test_a_retriever_is_a_tool(driver: neo4j.Driver) -> None:
    tool = WordsRetriever(driver).convert_to_tool("words", "finds posts by words")
    result = ToolsRetriever(driver, Chooses(), [tool]).search(query_text="What of grain?")
    assert "prices of grain fall" in str(result.items[0].content)


@pytest.mark.parametrize("hybrid", [False, True])
def test_the_retrieval_query_completes_what_vectors_find(
    driver: neo4j.Driver, hybrid: bool
) -> None:
    retriever: Any
    if hybrid:
        retriever = HybridCypherRetriever(
            driver, "posts", schema.FULLTEXT, RETRIEVAL_QUERY, embedder=Hashed()
        )
    else:
        retriever = VectorCypherRetriever(driver, "posts", RETRIEVAL_QUERY, embedder=Hashed())
    content = str(retriever.search(query_text="prices of grain", top_k=1).items[0].content)
    assert "prices of grain fall" in content
    assert "a reply about bread" in content
    assert f"{CHANNEL}:10" in content


def test_the_schema_and_the_examples_make_a_prompt_without_apoc(driver: neo4j.Driver) -> None:
    model = Chooses("MATCH (p:Post) RETURN count(p) AS posts")
    retriever = Text2CypherRetriever(driver, model, neo4j_schema=NEO4J_SCHEMA, examples=EXAMPLES)
    result = retriever.search(query_text="How many posts are there?")
    assert "posts=3" in str(result.items[0].content)
    assert "FORWARDED_FROM_POST" in model.asked
    assert "Which channels are forwarded most?" in model.asked


def test_every_example_is_a_query_that_runs(driver: neo4j.Driver) -> None:
    assert len(EXAMPLES) == 12
    for example in EXAMPLES:
        query: Any = example.partition(" QUERY: ")[2]
        driver.execute_query(query, routing_=neo4j.RoutingControl.READ)
