"""Texts for retrievers of `neo4j-graphrag` that write or complete Cypher."""

from __future__ import annotations

from graphwriter.graph.client import statement

# Completes a found `node` with its `score`: text, address, url, posted_at, author, forwarded_from,
# reply_to, replies, comments.
RETRIEVAL_QUERY: str = statement("ask/retrieval")

NEO4J_SCHEMA = """\
Node properties:
Message {tg_channel_id: INTEGER, telegram_message_id: INTEGER}
Post {tg_channel_id: INTEGER, telegram_message_id: INTEGER, post_id: STRING, posted_at: DATE_TIME, \
views_count: INTEGER, forwards_count: INTEGER, reactions_count: INTEGER, has_media: BOOLEAN, \
is_edited: BOOLEAN, telegram_post_url: STRING, content_hash: STRING, text: STRING, \
grouped_id: INTEGER}
ForwardSource {source_id: STRING, source_type: STRING, name: STRING}
Author {author_id: STRING, author_type: STRING, name: STRING}
Link {url: STRING}
Media {sha256: STRING}
Relationship properties:
FORWARDED_FROM {forward_date: DATE_TIME, forward_from_message_id: INTEGER, source_name: STRING}
REPLIES_TO {thread_id: INTEGER}
AUTHOR_OF {signature: STRING}
LINKS_TO {url: STRING}
The relationships:
(:Post)-[:FORWARDED_FROM]->(:ForwardSource)
(:Post)-[:FORWARDED_FROM_POST]->(:Message)
(:Post)-[:REPLIES_TO]->(:Message)
(:Author)-[:AUTHOR_OF]->(:Post)
(:Post)-[:LINKS_TO]->(:Message)
(:Post)-[:LINKS_TO]->(:Link)
(:Post)-[:HAS_MEDIA]->(:Media)
Every Post is a Message too. A Message that is no Post was never ingested. tg_channel_id is the \
marked id of the chat: -1000000000000 - N for channel N. source_type is user, channel, chat or \
hidden; author_type is user, channel, chat or signature.
"""


def _examples(text: str) -> list[str]:
    """Return the sections of a file, each a question and its query, as the package wants them."""
    pairs = (part.partition("\n") for part in text.split("\n// ? ")[1:])
    return [f"USER INPUT: {asked!r} QUERY: {query.strip()}" for asked, _, query in pairs]


EXAMPLES = _examples(statement("ask/examples"))
