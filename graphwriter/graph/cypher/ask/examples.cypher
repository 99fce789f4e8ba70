// Questions and the Cypher that answers them, for models that write Cypher.

// ? Which channels are forwarded most?
MATCH (s:ForwardSource {source_type: 'channel'})
RETURN s.source_id, s.name, COUNT { (s)<-[:FORWARDED_FROM]-() } AS posts ORDER BY posts DESC LIMIT 10

// ? Who wrote most posts?
MATCH (a:Author)
RETURN a.author_id, a.name, COUNT { (a)-[:AUTHOR_OF]->() } AS posts ORDER BY posts DESC LIMIT 10

// ? What are the replies to message 42 of channel 1179270258?
MATCH (m:Message {tg_channel_id: -1001179270258, telegram_message_id: 42})<-[:REPLIES_TO]-(p:Post)
RETURN p.post_id, p.text ORDER BY p.telegram_message_id LIMIT 50

// ? Who forwarded message 42 of channel 1179270258?
MATCH (m:Message {tg_channel_id: -1001179270258, telegram_message_id: 42})<-[:FORWARDED_FROM_POST]-(p:Post)
RETURN p.tg_channel_id, p.posted_at ORDER BY p.posted_at LIMIT 50

// ? What are the comments of message 42 of channel 1179270258?
MATCH (m:Message {tg_channel_id: -1001179270258, telegram_message_id: 42})<-[:FORWARDED_FROM_POST]-(copy:Post)<-[:REPLIES_TO]-(c:Post)
WHERE copy.tg_channel_id <> m.tg_channel_id
RETURN c.post_id, c.text ORDER BY c.telegram_message_id LIMIT 50

// ? Which posts did Ann write?
MATCH (a:Author {name: 'Ann'})-[:AUTHOR_OF]->(p:Post)
RETURN p.post_id, p.posted_at ORDER BY p.posted_at DESC LIMIT 20

// ? How many posts are there?
MATCH (p:Post) RETURN count(p) AS posts

// ? Which messages are referred to and missing?
MATCH (m:Message) WHERE NOT m:Post
RETURN m.tg_channel_id, m.telegram_message_id, COUNT { (m)<--() } AS references
ORDER BY references DESC LIMIT 20

// ? Which post was forwarded most?
MATCH (m:Message)<-[:FORWARDED_FROM_POST]-(p:Post)
RETURN m.tg_channel_id, m.telegram_message_id, count(p) AS forwards ORDER BY forwards DESC LIMIT 1

// ? Which posts were viewed most in May 2024?
MATCH (p:Post)
WHERE p.posted_at >= datetime('2024-05-01') AND p.posted_at < datetime('2024-06-01')
RETURN p.post_id, p.views_count ORDER BY p.views_count DESC LIMIT 10

// ? What does channel 1179270258 forward?
MATCH (p:Post)-[:FORWARDED_FROM]->(s:ForwardSource)
WHERE p.tg_channel_id = -1001179270258
RETURN s.source_type, s.name, count(p) AS posts ORDER BY posts DESC LIMIT 20

// ? Which hidden people are forwarded?
MATCH (s:ForwardSource {source_type: 'hidden'})
RETURN s.source_id, COUNT { (s)<-[:FORWARDED_FROM]-() } AS posts ORDER BY posts DESC LIMIT 20
