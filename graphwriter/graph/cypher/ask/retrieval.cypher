// For retrievers that find nodes and give them as `node` and `score`: the text of a post with what is
// around it. At most five replies and five comments.
OPTIONAL MATCH (node)<-[:AUTHOR_OF]-(author)
OPTIONAL MATCH (node)-[:FORWARDED_FROM]->(source)
OPTIONAL MATCH (node)-[:REPLIES_TO]->(parent)
WITH node, score, author, source, parent
CALL (node) {
  MATCH (node)<-[:REPLIES_TO]-(r:Post) WHERE r.text IS NOT NULL
  WITH r LIMIT 5
  RETURN collect(r.text) AS replies
}
CALL (node) {
  MATCH (node)<-[:FORWARDED_FROM_POST]-(copy:Post)
  WHERE copy.tg_channel_id <> node.tg_channel_id
  WITH copy LIMIT 100
  MATCH (copy)<-[:REPLIES_TO]-(c:Post) WHERE c.text IS NOT NULL
  WITH c LIMIT 5
  RETURN collect(c.text) AS comments
}
RETURN node.text AS text, toString(node.tg_channel_id) + ':' + toString(node.telegram_message_id)
  AS address, node.telegram_post_url AS url, toString(node.posted_at) AS posted_at,
  author.name AS author, source.name AS forwarded_from, parent.text AS reply_to, replies, comments,
  score
