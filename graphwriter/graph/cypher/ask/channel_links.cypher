// How often posts of each chat link to messages of which chat, in a span of time: [chat, chat, links].
MATCH (p:Post)-[:LINKS_TO]->(m:Message)
WHERE p.tg_channel_id IS NOT NULL
  AND ($since IS NULL OR p.posted_at >= datetime($since))
  AND ($until IS NULL OR p.posted_at < datetime($until))
RETURN p.tg_channel_id, m.tg_channel_id, count(*)
