// How many posts of each chat forward from which chat and reply to which other chat, in a span of time:
// [chat, chat that it forwards from or null, chat that it replies to or null, whether it forwards,
// posts]. A user as a source counts where the source post says no chat. Reads every post.
MATCH (p:Post)
WHERE p.tg_channel_id IS NOT NULL
  AND ($since IS NULL OR p.posted_at >= datetime($since))
  AND ($until IS NULL OR p.posted_at < datetime($until))
OPTIONAL MATCH (p)-[:FORWARDED_FROM]->(s)
OPTIONAL MATCH (p)-[:FORWARDED_FROM_POST]->(o)
OPTIONAL MATCH (p)-[:REPLIES_TO]->(r)
WITH p.tg_channel_id AS chat, CASE
    WHEN s.source_type = 'channel' THEN -1000000000000 - toInteger(s.source_id)
    WHEN s.source_type = 'chat' THEN -toInteger(s.source_id)
    WHEN o IS NOT NULL THEN o.tg_channel_id
    WHEN s.source_type = 'user' THEN toInteger(s.source_id)
  END AS origin,
  CASE WHEN r.tg_channel_id <> p.tg_channel_id THEN r.tg_channel_id END AS answered,
  s IS NOT NULL OR o IS NOT NULL AS forwards
RETURN chat, origin, answered, forwards, count(*) AS posts
