// Posts with the content of a message, by the hash that the producer gave. Needs the index of
// `schema apply --read`. Returns [chat, message].
MATCH (m:Message {tg_channel_id: $chat, telegram_message_id: $message})
WITH m, m.content_hash AS hash WHERE hash IS NOT NULL
MATCH (p:Post {content_hash: hash})
WHERE p <> m
RETURN p.tg_channel_id, p.telegram_message_id LIMIT $most
