// Finds the posts that cannot be written because another node has their post_id, and whether that node
// belongs to another service and has no address.
// Rows: [post_id, tg_channel_id, telegram_message_id, version]
UNWIND $claims AS claim
MATCH (holder:Post {post_id: claim[0]})
WHERE NOT holder:Message
  OR holder.tg_channel_id <> claim[1] OR holder.telegram_message_id <> claim[2]
OPTIONAL MATCH (m:Message {tg_channel_id: claim[1], telegram_message_id: claim[2]})
WITH claim, holder, m
WHERE claim[3] > coalesce(m.version, -1)
RETURN claim, NOT holder:Message AND (m IS NULL OR m.post_id IS NULL)
  AND coalesce(holder.tg_channel_id, claim[1]) = claim[1]
  AND coalesce(holder.telegram_message_id, claim[2]) = claim[2] AS foreign
