// Posts with a hash of the content, by the index of `schema apply --read`. Returns [chat, message].
MATCH (p:Post {content_hash: $hash})
WHERE p.tg_channel_id <> $chat OR p.telegram_message_id <> $message
RETURN p.tg_channel_id, p.telegram_message_id LIMIT $most
