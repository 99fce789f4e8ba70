// The message, and what it replies to, and so on: a chain, as a message replies to one other.
// Returns [chat, message, chat and message of what it replies to].
MATCH (start:Message {tg_channel_id: $chat, telegram_message_id: $message})
CALL (start) {
  MATCH (start)-[:REPLIES_TO*0..DEPTH]->(m)
  RETURN DISTINCT m
}
OPTIONAL MATCH (m)-[:REPLIES_TO]->(parent)
RETURN m.tg_channel_id, m.telegram_message_id, parent.tg_channel_id, parent.telegram_message_id
