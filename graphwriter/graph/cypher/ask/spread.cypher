// The origin of a message, which is what it forwards, else itself, and the posts that forward that.
// Returns [chat, message, whether it is a post, when it was posted, and the forwards as lists of
// [chat, message, when it was posted]]; times in microseconds since 1970.
MATCH (m:Message {tg_channel_id: $chat, telegram_message_id: $message})
OPTIONAL MATCH (m)-[:FORWARDED_FROM_POST]->(source)
WITH coalesce(source, m) AS origin LIMIT 1
CALL (origin) {
  MATCH (origin)<-[:FORWARDED_FROM_POST]-(p:Post)
  WITH p LIMIT $most
  RETURN collect([p.tg_channel_id, p.telegram_message_id,
    p.posted_at.epochSeconds * 1000000 + p.posted_at.microsecond]) AS forwards
}
RETURN origin.tg_channel_id, origin.telegram_message_id, origin:Post,
  origin.posted_at.epochSeconds * 1000000 + origin.posted_at.microsecond, forwards
