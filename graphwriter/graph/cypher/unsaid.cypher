// Deletes links of the messages of $keys that no event contained: their facet has no version although
// the post has one, or the node is not a post and has no version. Each is locked before it is read.
// Returns the other ends of the links, by element id. $keys are sorted, for the order of locks.
UNWIND $keys AS key
MATCH (m:Message {tg_channel_id: key[0], telegram_message_id: key[1]})
SET m.telegram_message_id = key[1]
WITH m
WHERE CASE WHEN m:Post THEN coalesce(m.version >= 0, m.version IS NOT NULL)
  ELSE coalesce(m.version, m.forward_version, m.reply_version, m.author_version,
    m.links_version, m.media_version) IS NULL END
UNWIND CASE WHEN m.reply_version IS NULL THEN [(m)-[r:REPLIES_TO]->(n) | [r, n]] ELSE [] END
  + CASE WHEN m.author_version IS NULL THEN [(m)<-[r:AUTHOR_OF]-(n) | [r, n]] ELSE [] END
  + CASE WHEN m.forward_version IS NULL
    THEN [(m)-[r:FORWARDED_FROM|FORWARDED_FROM_POST]->(n) | [r, n]] ELSE [] END
  + CASE WHEN $links AND m.links_version IS NULL THEN [(m)-[r:LINKS_TO]->(n) | [r, n]] ELSE [] END
  + CASE WHEN $media AND m.media_version IS NULL THEN [(m)-[r:HAS_MEDIA]->(n) | [r, n]] ELSE [] END AS link
WITH link[0] AS r, link[1] AS n
DELETE r
RETURN DISTINCT elementId(n) AS id
