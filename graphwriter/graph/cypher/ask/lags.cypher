// How long after a chat's posts others forward them: [chat, median in seconds]. Reads every forward of
// a post.
MATCH (p:Post)-[:FORWARDED_FROM_POST]->(o:Post)
WHERE p.posted_at IS NOT NULL AND o.posted_at IS NOT NULL
  AND ($since IS NULL OR p.posted_at >= datetime($since))
  AND ($until IS NULL OR p.posted_at < datetime($until))
WITH o.tg_channel_id AS chat, p.posted_at.epochSeconds + p.posted_at.microsecond / 1e6
  - o.posted_at.epochSeconds - o.posted_at.microsecond / 1e6 AS lag
RETURN chat, percentileCont(lag, 0.5)
