// Posts with a hash of the content, by the index of `schema apply --read`. Returns [chat, message,
// posted_at in microseconds since 1970].
MATCH (p:Post {content_hash: $hash})
WHERE p.tg_channel_id <> $chat OR p.telegram_message_id <> $message
RETURN p.tg_channel_id, p.telegram_message_id,
  p.posted_at.epochSeconds * 1000000 + p.posted_at.microsecond LIMIT $most
