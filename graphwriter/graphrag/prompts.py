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
is_edited: BOOLEAN, telegram_post_url: STRING, content_hash: STRING, text: STRING}
ForwardSource {source_id: STRING, source_type: STRING, name: STRING}
Author {author_id: STRING, author_type: STRING, name: STRING}
Relationship properties:
FORWARDED_FROM {forward_date: DATE_TIME, forward_from_message_id: INTEGER, source_name: STRING}
REPLIES_TO {thread_id: INTEGER}
AUTHOR_OF {signature: STRING}
The relationships:
(:Post)-[:FORWARDED_FROM]->(:ForwardSource)
(:Post)-[:FORWARDED_FROM_POST]->(:Message)
(:Post)-[:REPLIES_TO]->(:Message)
(:Author)-[:AUTHOR_OF]->(:Post)
Every Post is a Message too. A Message that is no Post was never ingested. tg_channel_id is the marked id \
of the chat: -1000000000000 - N for channel N. source_type is user, channel, chat or hidden; author_type \
is user, channel, chat or signature.
"""

_QUESTIONS = {
    "Which channels are forwarded most?": """MATCH (s:ForwardSource {source_type: 'channel'})
RETURN s.source_id, s.name, COUNT { (s)<-[:FORWARDED_FROM]-() } AS posts ORDER BY posts DESC LIMIT 10""",
    "Who wrote most posts?": """MATCH (a:Author)
RETURN a.author_id, a.name, COUNT { (a)-[:AUTHOR_OF]->() } AS posts ORDER BY posts DESC LIMIT 10""",
    "What are the replies to message 42 of channel 1179270258?": """MATCH (m:Message {tg_channel_id: \
-1001179270258, telegram_message_id: 42})<-[:REPLIES_TO]-(p:Post)
RETURN p.post_id, p.text ORDER BY p.telegram_message_id LIMIT 50""",
    "Who forwarded message 42 of channel 1179270258?": """MATCH (m:Message {tg_channel_id: \
-1001179270258, telegram_message_id: 42})<-[:FORWARDED_FROM_POST]-(p:Post)
RETURN p.tg_channel_id, p.posted_at ORDER BY p.posted_at LIMIT 50""",
    "What are the comments of message 42 of channel 1179270258?": """MATCH (m:Message {tg_channel_id: \
-1001179270258, telegram_message_id: 42})<-[:FORWARDED_FROM_POST]-(copy:Post)<-[:REPLIES_TO]-(c:Post)
WHERE copy.tg_channel_id <> m.tg_channel_id
RETURN c.post_id, c.text ORDER BY c.telegram_message_id LIMIT 50""",
    "Which posts did Ann write?": """MATCH (a:Author {name: 'Ann'})-[:AUTHOR_OF]->(p:Post)
RETURN p.post_id, p.posted_at ORDER BY p.posted_at DESC LIMIT 20""",
    "How many posts are there?": "MATCH (p:Post) RETURN count(p) AS posts",
    "Which messages are referred to and missing?": """MATCH (m:Message) WHERE NOT m:Post
RETURN m.tg_channel_id, m.telegram_message_id, COUNT { (m)<--() } AS references
ORDER BY references DESC LIMIT 20""",
    "Which post was forwarded most?": """MATCH (m:Message)<-[:FORWARDED_FROM_POST]-(p:Post)
RETURN m.tg_channel_id, m.telegram_message_id, count(p) AS forwards ORDER BY forwards DESC LIMIT 1""",
    "Which posts were viewed most in May 2024?": """MATCH (p:Post)
WHERE p.posted_at >= datetime('2024-05-01') AND p.posted_at < datetime('2024-06-01')
RETURN p.post_id, p.views_count ORDER BY p.views_count DESC LIMIT 10""",
    "What does channel 1179270258 forward?": """MATCH (p:Post)-[:FORWARDED_FROM]->(s:ForwardSource)
WHERE p.tg_channel_id = -1001179270258
RETURN s.source_type, s.name, count(p) AS posts ORDER BY posts DESC LIMIT 20""",
    "Which hidden people are forwarded?": """MATCH (s:ForwardSource {source_type: 'hidden'})
RETURN s.source_id, COUNT { (s)<-[:FORWARDED_FROM]-() } AS posts ORDER BY posts DESC LIMIT 20""",
}
EXAMPLES = [f"USER INPUT: '{asked}' QUERY: {query}" for asked, query in _QUESTIONS.items()]
