// Gives post nodes that another service made, (:Post {post_id}) without an address, their address
// and the label Message. A placeholder that stands for the same address hands over what points to
// it, and goes. [post_id, tg_channel_id, telegram_message_id]
UNWIND $claims AS claim
MATCH (p:Post {post_id: claim[0]})
SET p.post_id = claim[0]
WITH claim, p
WHERE NOT p:Message AND coalesce(p.tg_channel_id, claim[1]) = claim[1]
  AND coalesce(p.telegram_message_id, claim[2]) = claim[2]
OPTIONAL MATCH (m:Message {tg_channel_id: claim[1], telegram_message_id: claim[2]})
SET m.telegram_message_id = claim[2]
WITH claim, p, m
WHERE m IS NULL OR NOT m:Post
FOREACH (link IN [(x)-[r:REPLIES_TO]->(m) | [x, r]] |
  FOREACH (x IN [link[0]] | FOREACH (r IN [link[1]] |
    CREATE (x)-[n:REPLIES_TO]->(p) SET n.thread_id = r.thread_id DELETE r)))
FOREACH (link IN [(x)-[r:FORWARDED_FROM_POST]->(m) | [x, r]] |
  FOREACH (x IN [link[0]] | FOREACH (r IN [link[1]] |
    CREATE (x)-[:FORWARDED_FROM_POST]->(p) DELETE r)))
// A node that is only deleted still stands in the way of the constraint until the commit.
REMOVE m:Message
DELETE m
SET p:Message, p.tg_channel_id = claim[1], p.telegram_message_id = claim[2]
RETURN count(p) AS adopted
