// What replies to the messages $roots, directly or not, the nearest first. Returns [chat, message,
// chat and message of what it replies to, whether something replies to it].
// DISTINCT lets Neo4j search breadth-first and visit every message once, also in a cycle.
UNWIND $roots AS root
MATCH (top:Message {tg_channel_id: root[0], telegram_message_id: root[1]})
CALL (top) {
  MATCH (top)<-[:REPLIES_TO*1..DEPTH]-(m)
  RETURN DISTINCT m LIMIT $most
}
WITH m LIMIT $most
MATCH (m)-[:REPLIES_TO]->(parent)
RETURN m.tg_channel_id, m.telegram_message_id, parent.tg_channel_id, parent.telegram_message_id,
  EXISTS { (m)<-[:REPLIES_TO]-() }
