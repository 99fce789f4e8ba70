// What replies to the messages $roots, directly or not, the nearest first. Returns the columns of
// items.cypher, chat and message of what it replies to, and whether something replies to it.
// DISTINCT lets Neo4j search breadth-first and visit every message once, also in a cycle.
UNWIND $roots AS root
MATCH (top:Message {tg_channel_id: root[0], telegram_message_id: root[1]})
CALL (top) {
  MATCH (top)<-[:REPLIES_TO*1..DEPTH]-(m)
  RETURN DISTINCT m LIMIT $most
}
WITH m LIMIT $most
MATCH (m)-[:REPLIES_TO]->(parent)
OPTIONAL MATCH (m)<-[r:AUTHOR_OF]-(a)
RETURN m.tg_channel_id, m.telegram_message_id, m.post_id,
  m.posted_at.epochSeconds * 1000000 + m.posted_at.microsecond, m.telegram_post_url, m.text,
  a.author_id, a.author_type, coalesce(a.name, r.signature), m:Post,
  parent.tg_channel_id, parent.telegram_message_id, EXISTS { (m)<-[:REPLIES_TO]-() }
