// Of links of one post that are the same in kind, end and properties, keeps one. Which one of
// several different links is right only an event can say. $keys sorted, for the order of locks.
UNWIND $keys AS key
MATCH (m:Message {tg_channel_id: key[0], telegram_message_id: key[1]})
SET m.telegram_message_id = key[1]
WITH m
UNWIND [(m)-[r:REPLIES_TO|FORWARDED_FROM|FORWARDED_FROM_POST]->(n) | [r, n]]
  + [(m)<-[r:AUTHOR_OF]-(n) | [r, n]] AS link
WITH m, link[0] AS r, link[1] AS n
WITH m, type(r) AS kind, n, properties(r) AS values, collect(r) AS same
FOREACH (r IN same[1..] | DELETE r)
