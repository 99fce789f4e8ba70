// What posts in a span of time link to: [URL or null, chat and message or null, how many chats link to
// it, how many posts, their views together, the first one's time in microseconds since 1970].
MATCH (p:Post)-[:LINKS_TO]->(n)
WHERE ($since IS NULL OR p.posted_at >= datetime($since))
  AND ($until IS NULL OR p.posted_at < datetime($until))
WITH n, count(DISTINCT p.tg_channel_id) AS chats, count(*) AS posts, sum(p.views_count) AS reach,
  min(p.posted_at) AS first
WHERE chats >= $min
WITH n, chats, posts, reach, first
ORDER BY chats DESC, reach DESC, posts DESC, n.url, n.tg_channel_id, n.telegram_message_id
LIMIT $most
RETURN n.url, n.tg_channel_id, n.telegram_message_id, chats, posts, reach,
  first.epochSeconds * 1000000 + first.microsecond
