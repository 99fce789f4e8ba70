// The links of posts in a span of time: [type, chat, message, kind of the other node, its key].
MATCH (p:Post)
WHERE ($since IS NULL OR p.posted_at >= datetime($since))
  AND ($until IS NULL OR p.posted_at < datetime($until))
MATCH (p)-[r:FORWARDED_FROM|FORWARDED_FROM_POST|REPLIES_TO|AUTHOR_OF|LINKS_TO|HAS_MEDIA]-(n)
WHERE type(r) = 'AUTHOR_OF' OR startNode(r) = p
RETURN type(r), p.tg_channel_id, p.telegram_message_id,
  CASE WHEN n:Message THEN 'message' WHEN n:Author THEN 'author'
    WHEN n:Link THEN 'link' WHEN n:Media THEN 'media' ELSE 'source' END,
  CASE WHEN n:Message THEN [n.tg_channel_id, n.telegram_message_id]
    WHEN n:Author THEN [n.author_type, n.author_id] WHEN n:Link THEN ['url', n.url]
    WHEN n:Media THEN ['sha256', n.sha256] ELSE [n.source_type, n.source_id] END
