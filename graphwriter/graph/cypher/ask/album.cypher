// The parts of an album, by the index of albums: [chat, message].
MATCH (p:Post {tg_channel_id: $chat, grouped_id: $album})
RETURN p.tg_channel_id, p.telegram_message_id
ORDER BY p.telegram_message_id LIMIT $most
