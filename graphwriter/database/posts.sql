-- The posts of the usual schema, one row each, with their chat's marked Telegram id. Which columns
-- there are is looked up; a column that an event has a field for is taken by its name.
SELECT channels.tg_channel_id, posts.*
FROM posts
LEFT JOIN channels ON channels.id = posts.channel_id
