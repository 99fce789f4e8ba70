UNWIND $rows AS r
MERGE (p:Message {tg_channel_id: toInteger(r.tg_channel_id), telegram_message_id: toInteger(r.telegram_message_id)})
SET p:Post, p.post_id = r.post_id, p.channel_id = r.channel_id, p.tenant_id = r.tenant_id,
  p.posted_at = datetime({epochSeconds: toInteger(r.posted_at)}),
  p.views_count = toInteger(r.views_count), p.forwards_count = toInteger(r.forwards_count),
  p.reactions_count = toInteger(r.reactions_count), p.has_media = r.has_media,
  p.is_edited = r.is_edited, p.telegram_post_url = r.telegram_post_url,
  p.content_hash = r.content_hash
FOREACH (s IN CASE WHEN r.forward_from_name IS NULL THEN [] ELSE [CASE
    WHEN r.forward_from_peer_id IS NULL THEN [r.forward_from_name, 'hidden']
    WHEN r.forward_from_peer_id.user_id IS NOT NULL
      THEN [toString(r.forward_from_peer_id.user_id), 'user']
    ELSE [toString(r.forward_from_peer_id.channel_id), 'channel'] END] END |
  MERGE (source:ForwardSource {source_id: s[0], source_type: s[1]})
  SET source.name = r.forward_from_name
  MERGE (p)-[f:FORWARDED_FROM]->(source)
  SET f.forward_date = datetime({epochSeconds: toInteger(r.forward_date)}),
    f.forward_from_message_id = toInteger(r.forward_from_message_id),
    f.source_name = r.forward_from_name)
FOREACH (id IN CASE WHEN r.forward_from_chat_id IS NULL THEN [] ELSE [r.forward_from_message_id] END |
  MERGE (o:Message {tg_channel_id: toInteger(r.forward_from_chat_id), telegram_message_id: toInteger(id)})
  MERGE (p)-[:FORWARDED_FROM_POST]->(o))
FOREACH (id IN CASE WHEN r.reply_to_message_id IS NULL THEN [] ELSE [r.reply_to_message_id] END |
  MERGE (t:Message {tg_channel_id: toInteger(r.tg_channel_id), telegram_message_id: toInteger(id)})
  MERGE (p)-[:REPLIES_TO]->(t))
MERGE (a:Author {author_id: toString(r.author_peer_id.user_id), author_type: 'user'})
SET a.name = r.author_name
MERGE (a)-[w:AUTHOR_OF]->(p)
SET w.signature = r.author_name
