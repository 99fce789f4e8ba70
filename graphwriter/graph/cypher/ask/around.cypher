// What is around a message, in one row: id, type and name of its source, what the post says of it, when;
// chat and message of the source post; the number of direct replies and of forwards; the hash of its
// content; its ancestors as in ancestors.cypher; whether there are more forwards; its copies as in
// copies.cypher; its forwards as lists of [chat, message, posted_at in microseconds since 1970]; when it
// was posted; its album; the URLs that it links to.
MATCH (m:Message {tg_channel_id: $chat, telegram_message_id: $message})
CALL (m) {
  OPTIONAL MATCH (m)-[from:FORWARDED_FROM]->(s)
  OPTIONAL MATCH (m)-[:FORWARDED_FROM_POST]->(source)
  RETURN s, from, source LIMIT 1
}
CALL (m) {
  MATCH (m)-[:REPLIES_TO*0..DEPTH]->(n)
  WITH DISTINCT n
  OPTIONAL MATCH (n)-[:REPLIES_TO]->(parent)
  RETURN collect([n.tg_channel_id, n.telegram_message_id,
    parent.tg_channel_id, parent.telegram_message_id]) AS ancestors
}
CALL (m) {
  MATCH (m)<-[:FORWARDED_FROM_POST]-(p:Post)
  WITH p LIMIT $most
  RETURN count(p) AS read, collect(CASE
      WHEN p.tg_channel_id <> $chat AND EXISTS { (p)<-[:REPLIES_TO]-() }
      THEN [p.tg_channel_id, p.telegram_message_id] END) AS copies,
    collect([p.tg_channel_id, p.telegram_message_id,
      p.posted_at.epochSeconds * 1000000 + p.posted_at.microsecond])[0..$limit] AS forwards
}
RETURN s.source_id, s.source_type, s.name, from.source_name,
  from.forward_date.epochSeconds * 1000000 + from.forward_date.microsecond,
  source.tg_channel_id, source.telegram_message_id,
  COUNT { (m)<-[:REPLIES_TO]-() }, COUNT { (m)<-[:FORWARDED_FROM_POST]-() }, m.content_hash,
  ancestors, read >= $most, copies, forwards,
  m.posted_at.epochSeconds * 1000000 + m.posted_at.microsecond, m.grouped_id,
  [(m)-[r:LINKS_TO]->() WHERE r.url IS NOT NULL | r.url]
