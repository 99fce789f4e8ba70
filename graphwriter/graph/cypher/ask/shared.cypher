// Posts that have a file or the target of a link in common with a message, in one row: when it was
// posted in microseconds since 1970, the hash of its content, and two lists of [chat, message,
// posted_at, what they share]: by file, by target. Each has at most $most posts, those first that share
// what is rare: a page in every post of a channel must not hide one in two posts.
MATCH (m:Message {tg_channel_id: $chat, telegram_message_id: $message})
CALL (m) {
  MATCH (m)-[:HAS_MEDIA]->(f:Media)
  WITH m, f, COUNT { (f)<-[:HAS_MEDIA]-() } AS degree ORDER BY degree
  MATCH (f)<-[:HAS_MEDIA]-(p:Post)
  WHERE p <> m
  WITH p, f, degree ORDER BY degree LIMIT $most
  RETURN collect([p.tg_channel_id, p.telegram_message_id,
    p.posted_at.epochSeconds * 1000000 + p.posted_at.microsecond, f.sha256]) AS files
}
CALL (m) {
  MATCH (m)-[r:LINKS_TO]->(n)
  WHERE r.url IS NOT NULL
  WITH m, n, r, COUNT { (n)<-[:LINKS_TO]-() } AS degree ORDER BY degree
  MATCH (n)<-[:LINKS_TO]-(p:Post)
  WHERE p <> m
  WITH p, r, degree ORDER BY degree LIMIT $most
  RETURN collect([p.tg_channel_id, p.telegram_message_id,
    p.posted_at.epochSeconds * 1000000 + p.posted_at.microsecond, r.url]) AS targets
}
RETURN m.posted_at.epochSeconds * 1000000 + m.posted_at.microsecond, m.content_hash, files, targets
