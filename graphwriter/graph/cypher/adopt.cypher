// Adopts post nodes of another service, (:Post {post_id}) without an address: adds the address and the
// label Message. If another node has the address already (a placeholder, or a post of which only links
// are known), its links and their versions move to the adopted node, and it is deleted. Links that the
// adopted node had get version -1: older than any event, unlike links created by hand, which have none.
// Rows: [post_id, tg_channel_id, telegram_message_id]
UNWIND $claims AS claim
MATCH (p:Post {post_id: claim[0]})
SET p.post_id = claim[0]
WITH claim, p
WHERE NOT p:Message AND coalesce(p.tg_channel_id, claim[1]) = claim[1]
  AND coalesce(p.telegram_message_id, claim[2]) = claim[2]
OPTIONAL MATCH (m:Message {tg_channel_id: claim[1], telegram_message_id: claim[2]})
SET m.telegram_message_id = claim[2]
WITH claim, p, m
WHERE m IS NULL OR m.post_id IS NULL
FOREACH (r IN CASE WHEN m.reply_version IS NULL THEN [] ELSE [(p)-[r:REPLIES_TO]->() | r] END |
  DELETE r)
FOREACH (r IN CASE WHEN m.author_version IS NULL THEN [] ELSE [(p)<-[r:AUTHOR_OF]-() | r] END |
  DELETE r)
FOREACH (r IN CASE WHEN m.forward_version IS NULL THEN []
    ELSE [(p)-[r:FORWARDED_FROM|FORWARDED_FROM_POST]->() | r] END |
  DELETE r)
FOREACH (r IN CASE WHEN m.links_version IS NULL THEN [] ELSE [(p)-[r:LINKS_TO]->() | r] END |
  DELETE r)
FOREACH (r IN CASE WHEN m.media_version IS NULL THEN [] ELSE [(p)-[r:HAS_MEDIA]->() | r] END |
  DELETE r)
FOREACH (link IN [(m)-[r:REPLIES_TO]->(x) | [x, r]] |
  FOREACH (x IN [link[0]] | FOREACH (r IN [link[1]] |
    CREATE (p)-[n:REPLIES_TO]->(x) SET n = properties(r) DELETE r)))
FOREACH (link IN [(m)-[r:FORWARDED_FROM]->(x) | [x, r]] |
  FOREACH (x IN [link[0]] | FOREACH (r IN [link[1]] |
    CREATE (p)-[n:FORWARDED_FROM]->(x) SET n = properties(r) DELETE r)))
FOREACH (link IN [(m)-[r:FORWARDED_FROM_POST]->(x) | [x, r]] |
  FOREACH (x IN [link[0]] | FOREACH (r IN [link[1]] |
    CREATE (p)-[:FORWARDED_FROM_POST]->(x) DELETE r)))
FOREACH (link IN [(m)<-[r:AUTHOR_OF]-(x) | [x, r]] |
  FOREACH (x IN [link[0]] | FOREACH (r IN [link[1]] |
    CREATE (x)-[n:AUTHOR_OF]->(p) SET n = properties(r) DELETE r)))
FOREACH (link IN [(m)-[r:LINKS_TO]->(x) | [CASE WHEN x = m THEN p ELSE x END, r]] |
  FOREACH (x IN [link[0]] | FOREACH (r IN [link[1]] |
    CREATE (p)-[n:LINKS_TO]->(x) SET n.url = r.url DELETE r)))
FOREACH (link IN [(m)-[r:HAS_MEDIA]->(x) | [x, r]] |
  FOREACH (x IN [link[0]] | FOREACH (r IN [link[1]] |
    CREATE (p)-[:HAS_MEDIA]->(x) DELETE r)))
SET p.reply_version = coalesce(m.reply_version, p.reply_version,
    CASE WHEN EXISTS { (p)-[:REPLIES_TO]->() } THEN -1 END),
  p.author_version = coalesce(m.author_version, p.author_version,
    CASE WHEN EXISTS { (p)<-[:AUTHOR_OF]-() } THEN -1 END),
  p.forward_version = coalesce(m.forward_version, p.forward_version,
    CASE WHEN EXISTS { (p)-[:FORWARDED_FROM|FORWARDED_FROM_POST]->() } THEN -1 END),
  p.links_version = coalesce(m.links_version, p.links_version,
    CASE WHEN EXISTS { (p)-[:LINKS_TO]->() } THEN -1 END),
  p.links_count = coalesce(m.links_count, p.links_count),
  p.media_version = coalesce(m.media_version, p.media_version,
    CASE WHEN EXISTS { (p)-[:HAS_MEDIA]->() } THEN -1 END)
FOREACH (link IN [(x)-[r:REPLIES_TO]->(m) | [x, r]] |
  FOREACH (x IN [link[0]] | FOREACH (r IN [link[1]] |
    CREATE (x)-[n:REPLIES_TO]->(p) SET n.thread_id = r.thread_id DELETE r)))
FOREACH (link IN [(x)-[r:FORWARDED_FROM_POST]->(m) | [x, r]] |
  FOREACH (x IN [link[0]] | FOREACH (r IN [link[1]] |
    CREATE (x)-[:FORWARDED_FROM_POST]->(p) DELETE r)))
FOREACH (link IN [(x)-[r:LINKS_TO]->(m) WHERE x <> m | [x, r]] |
  FOREACH (x IN [link[0]] | FOREACH (r IN [link[1]] |
    CREATE (x)-[n:LINKS_TO]->(p) SET n.url = r.url DELETE r)))
// Until the commit, the key of a deleted node still violates the constraint.
REMOVE m:Message
DELETE m
SET p:Message, p.tg_channel_id = claim[1], p.telegram_message_id = claim[2]
RETURN count(p) AS adopted
