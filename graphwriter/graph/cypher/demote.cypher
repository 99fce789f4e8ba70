// Turns the posts of $ids (element ids) into placeholders: another address has their post_id.
UNWIND $ids AS id
MATCH (p:Post)
WHERE elementId(p) = id
SET p.locked = null
WITH p, [(p)-[r:REPLIES_TO|FORWARDED_FROM|FORWARDED_FROM_POST|LINKS_TO|HAS_MEDIA]->() | r]
  + [(p)<-[r:AUTHOR_OF]-() | r] AS links
FOREACH (r IN links | DELETE r)
WITH p, {tg_channel_id: p.tg_channel_id, telegram_message_id: p.telegram_message_id} AS address
SET p = address
REMOVE p:Post
RETURN count(p) AS demoted
