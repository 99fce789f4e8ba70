-- The posts of the default schema, one row each, with the marked Telegram id of their chat. The
-- columns are read from the database; a column is used if an event has a field of its name.
SELECT channels.tg_channel_id, posts.*
FROM posts
LEFT JOIN channels ON channels.id = posts.channel_id
