// One page of messages in the order of their keys, after [$channel, $message]: how many, the last
// key, and what no graph may hold. An orphan is [channel, message, element id]; a post with more
// than one link of a kind is [channel, message, [[kind, how many], ...]].
// The index is only used where every property of it is asked for.
CYPHER replan=skip
CALL () {
  MATCH (m:Message)
  WHERE m.tg_channel_id = $channel AND m.telegram_message_id > $message
  RETURN m ORDER BY m.tg_channel_id, m.telegram_message_id SKIP $skip LIMIT $size
  UNION ALL
  MATCH (m:Message)
  WHERE m.tg_channel_id > $channel AND m.telegram_message_id IS NOT NULL
  RETURN m ORDER BY m.tg_channel_id, m.telegram_message_id SKIP $skip LIMIT $size
}
WITH m LIMIT $size
WITH m, m.tg_channel_id AS channel, m.telegram_message_id AS message,
  [link IN [
    ['REPLIES_TO', COUNT { (m)-[:REPLIES_TO]->() }],
    ['FORWARDED_FROM', COUNT { (m)-[:FORWARDED_FROM]->() }],
    ['FORWARDED_FROM_POST', COUNT { (m)-[:FORWARDED_FROM_POST]->() }],
    ['AUTHOR_OF', COUNT { (m)<-[:AUTHOR_OF]-() }]] WHERE link[1] > 1] AS doubled
RETURN count(m), last(collect([channel, message])),
  collect(CASE WHEN NOT m:Post AND NOT EXISTS { (m)--() }
    THEN [channel, message, elementId(m)] END),
  collect(CASE WHEN doubled <> [] THEN [channel, message, doubled] END),
  collect(CASE WHEN m:Post AND m.version IS NULL THEN [channel, message] END)
