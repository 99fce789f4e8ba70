// Keeps one of several links of a post that have the same type, end and properties. If they differ, only
// an event can decide which one is right. $keys are sorted, so that locks are taken in order.
UNWIND $keys AS key
MATCH (m:Message {tg_channel_id: key[0], telegram_message_id: key[1]})
SET m.telegram_message_id = key[1]
WITH m
UNWIND [(m)-[r:REPLIES_TO|FORWARDED_FROM|FORWARDED_FROM_POST|LINKS_TO|HAS_MEDIA]->(n) | [r, n]]
  + [(m)<-[r:AUTHOR_OF]-(n) | [r, n]] AS link
WITH m, link[0] AS r, link[1] AS n
WHERE type(r) IN $types
WITH m, type(r) AS kind, n, properties(r) AS values, collect(r) AS same
FOREACH (r IN same[1..] | DELETE r)
