// Posts of other chats that forward the message and that something replies to: the automatic copies
// of a channel's post in its discussion group. Reads at most $most forwards. Returns [whether there
// are more forwards, the copies as lists of [chat, message]].
MATCH (m:Message {tg_channel_id: $chat, telegram_message_id: $message})
CALL (m) {
  MATCH (m)<-[:FORWARDED_FROM_POST]-(copy:Post)
  WITH copy LIMIT $most
  RETURN count(copy) AS read, collect(CASE
    WHEN copy.tg_channel_id <> $chat AND EXISTS { (copy)<-[:REPLIES_TO]-() }
    THEN [copy.tg_channel_id, copy.telegram_message_id] END) AS copies
}
RETURN read >= $most, copies
