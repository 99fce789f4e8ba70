// The chat with a name, by the URL of one of its posts. Needs the index of `schema apply --read` to be
// fast.
MATCH (p:Post) WHERE p.telegram_post_url STARTS WITH $prefix
RETURN p.tg_channel_id LIMIT 1
