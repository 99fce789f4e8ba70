// What is one link away from a message: [what it forwards: id, type and name of the source, what the
// post says of it, when; chat and message of the source post, number of direct replies, and of
// forwards].
MATCH (m:Message {tg_channel_id: $chat, telegram_message_id: $message})
OPTIONAL MATCH (m)-[from:FORWARDED_FROM]->(s)
OPTIONAL MATCH (m)-[:FORWARDED_FROM_POST]->(source)
RETURN s.source_id, s.source_type, s.name, from.source_name,
  from.forward_date.epochSeconds * 1000000 + from.forward_date.microsecond,
  source.tg_channel_id, source.telegram_message_id,
  COUNT { (m)<-[:REPLIES_TO]-() }, COUNT { (m)<-[:FORWARDED_FROM_POST]-() } LIMIT 1
