// The nodes of posts in a span of time, and those that they are linked to; columns as export_nodes.
MATCH (p:Post)
WHERE ($since IS NULL OR p.posted_at >= datetime($since))
  AND ($until IS NULL OR p.posted_at < datetime($until))
CALL (p) {
  RETURN p AS n
  UNION ALL
  MATCH (p)-[:FORWARDED_FROM|FORWARDED_FROM_POST|REPLIES_TO|LINKS_TO|HAS_MEDIA]->(n)
  RETURN n
  UNION ALL
  MATCH (p)<-[:AUTHOR_OF]-(n)
  RETURN n
}
WITH DISTINCT n
RETURN CASE WHEN n:Post THEN 'post' WHEN n:Message THEN 'placeholder' WHEN n:Author THEN 'author'
    WHEN n:Link THEN 'link' WHEN n:Media THEN 'media' ELSE 'source' END,
  CASE WHEN n:Message THEN [n.tg_channel_id, n.telegram_message_id]
    WHEN n:Author THEN [n.author_type, n.author_id] WHEN n:Link THEN ['url', n.url]
    WHEN n:Media THEN ['sha256', n.sha256] ELSE [n.source_type, n.source_id] END,
  coalesce(n.name, n.url), n.text, n.telegram_post_url, n.posted_at.epochSeconds * 1000000 + n.posted_at.microsecond
