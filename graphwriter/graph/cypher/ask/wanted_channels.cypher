// Chats without a post, by the number of posts that forward from them: [marked id, name, posts]. A
// post counts for the chat of its source and for that of its source post, once if they are the same.
// Reads every forward.
CALL () {
  MATCH (s:ForwardSource) WHERE s.source_type IN ['channel', 'chat']
  RETURN CASE s.source_type WHEN 'channel' THEN -1000000000000 ELSE 0 END - toInteger(s.source_id)
    AS chat, s.name AS name, COUNT { (s)<-[:FORWARDED_FROM]-() } AS posts
  UNION ALL
  MATCH (m:Message)<-[:FORWARDED_FROM_POST]-(p)
  WHERE m.tg_channel_id < 0 AND NOT EXISTS {
    MATCH (p)-[:FORWARDED_FROM]->(s)
    WHERE s.source_type IN ['channel', 'chat'] AND m.tg_channel_id =
      CASE s.source_type WHEN 'channel' THEN -1000000000000 ELSE 0 END - toInteger(s.source_id)
  }
  RETURN m.tg_channel_id AS chat, null AS name, count(*) AS posts
}
WITH chat, max(name) AS name, sum(posts) AS posts
WHERE chat IS NOT NULL AND posts >= $min AND NOT EXISTS {
  MATCH (p:Message)
  WHERE p.tg_channel_id = chat AND p.telegram_message_id IS NOT NULL AND p:Post
}
RETURN chat, name, posts ORDER BY posts DESC, chat LIMIT $most
