// What is shown of messages. Returns [chat, message, post_id, posted_at in microseconds since 1970,
// URL, text, id, type and name of the author, whether it is a post].
UNWIND $keys AS key
MATCH (m:Message {tg_channel_id: key[0], telegram_message_id: key[1]})
OPTIONAL MATCH (m)<-[r:AUTHOR_OF]-(a)
RETURN key[0], key[1], m.post_id, m.posted_at.epochSeconds * 1000000 + m.posted_at.microsecond,
  m.telegram_post_url, m.text, a.author_id, a.author_type, coalesce(a.name, r.signature), m:Post
