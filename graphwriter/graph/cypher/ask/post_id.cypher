// The address of a post_id.
MATCH (p:Post {post_id: $post_id})
RETURN p.tg_channel_id, p.telegram_message_id
