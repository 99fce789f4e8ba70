// Turns the posts of $ids (element ids) into placeholders: another address has their post_id.
UNWIND $ids AS id
MATCH (p:Post)
WHERE elementId(p) = id
SET p.locked = null
WITH p, [(p)-[r]->() WHERE type(r) IN $types | r]
  + [(p)<-[r:AUTHOR_OF]-() | r] AS links
FOREACH (r IN links | DELETE r)
WITH p, {tg_channel_id: p.tg_channel_id, telegram_message_id: p.telegram_message_id} AS address
SET p = address
REMOVE p:Post
RETURN count(p) AS demoted
