// Chats that a chat forwards from, by its newest messages, and chats that forward from it; reads at most
// $most posts each. Returns [from or by, marked id, posts, posts that were read].
CALL () {
  MATCH (p:Message)
  WHERE p.tg_channel_id = $chat AND p.telegram_message_id IS NOT NULL
  WITH p ORDER BY p.tg_channel_id DESC, p.telegram_message_id DESC LIMIT $most
  WITH collect(p) AS newest
  UNWIND newest AS p
  MATCH (p)-[:FORWARDED_FROM]->(s)
  WHERE s.source_type IN ['channel', 'chat']
  RETURN 'from' AS way, CASE s.source_type WHEN 'channel' THEN -1000000000000 ELSE 0 END
    - toInteger(s.source_id) AS chat, count(*) AS posts, size(newest) AS read
  UNION ALL
  MATCH (s:ForwardSource {source_id: $bare, source_type: $kind})<-[:FORWARDED_FROM]-(p)
  WITH p LIMIT $most
  WITH collect(p.tg_channel_id) AS chats
  UNWIND chats AS chat
  RETURN 'by' AS way, chat, count(*) AS posts, size(chats) AS read
}
WITH way, chat, posts, read WHERE chat <> $chat
RETURN way, chat, posts, read ORDER BY posts DESC, chat
