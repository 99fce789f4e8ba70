// Messages that are no post, those first that most posts refer to: [chat, message, references, forwards,
// replies]. Reads every message: the question is about the whole graph.
MATCH (m:Message) WHERE NOT m:Post
WITH m, COUNT { (m)<-[:FORWARDED_FROM_POST]-() } AS forwards, COUNT { (m)<-[:REPLIES_TO]-() } AS replies
WHERE forwards + replies >= $min
RETURN m.tg_channel_id, m.telegram_message_id, forwards + replies AS references, forwards, replies
ORDER BY references DESC, m.tg_channel_id, m.telegram_message_id LIMIT $most
