"""Retrievers for `neo4j-graphrag`: the context of a post, by its words or by its address.

    from graphwriter.graphrag import AddressRetriever, WordsRetriever

    retriever = WordsRetriever(driver)
    print(retriever.search(query_text="grain prices", top_k=3).items[0].content)

`RETRIEVAL_QUERY` is for its VectorCypherRetriever and HybridCypherRetriever, `NEO4J_SCHEMA` and
`EXAMPLES` for its Text2CypherRetriever, whose own look at the schema needs APOC. Everything reads
only. The package is the extra `graphrag`.
"""

from graphwriter.graphrag.prompts import EXAMPLES, NEO4J_SCHEMA, RETRIEVAL_QUERY
from graphwriter.graphrag.retrievers import AddressRetriever, WordsRetriever

__all__ = [
    "EXAMPLES",
    "NEO4J_SCHEMA",
    "RETRIEVAL_QUERY",
    "AddressRetriever",
    "WordsRetriever",
]
