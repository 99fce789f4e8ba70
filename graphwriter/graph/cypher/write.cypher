// Writes one batch, and returns for each facet the posts (by place in $batch.messages) it changed.
//
// The lists come within one map: Neo4j plans a statement anew, which takes a second, for every other
// order of size of a parameter that is a list, and batches have every size.
//
// Every list of nodes is sorted by key, and the first pass takes the write lock of every message
// before any version is read: under read-committed, two workers with different events of one post
// would both read the old version, and both apply. Setting a key to the parameter it already has
// takes the lock and changes nothing. Setting it ON MATCH alone would take each lock right after its
// MERGE, where now all are merged first: a worker that still merges then holds no node that another
// one's moved link waits for. Rows name their nodes by place in the collected lists.
//
// There is one way to run this, whatever the graph's statistics are: every node comes by a unique
// key. Planned anew each time they have changed, it would stop all workers for half a second.
CYPHER replan=skip
CALL () {
  UNWIND $batch.messages AS key
  MERGE (m:Message {tg_channel_id: key[0], telegram_message_id: key[1]})
  SET m.telegram_message_id = key[1]
  RETURN collect(m) AS messages, collect(m:Post) AS known
}
// [id, type, name, day of the name]: a label for people, written about once a day and node, because
// a plain last-write would lock the most popular nodes in every batch.
CALL () {
  UNWIND $batch.sources AS row
  MERGE (s:ForwardSource {source_id: row[0], source_type: row[1]})
  FOREACH (_ IN CASE WHEN row[3] > coalesce(s.name_day, -1) THEN [1] ELSE [] END |
    SET s.name = row[2], s.name_day = row[3])
  RETURN collect(s) AS sources
}
CALL () {
  UNWIND $batch.authors AS row
  MERGE (a:Author {author_id: row[0], author_type: row[1]})
  FOREACH (_ IN CASE WHEN row[3] > coalesce(a.name_day, -1) THEN [1] ELSE [] END |
    SET a.name = row[2], a.name_day = row[3])
  RETURN collect(a) AS authors
}
// New posts, which are most of them, have nothing to compare with and no link that could move. Only
// rows of posts that are known take the longer way further down, also the rows that only say that
// there is no link: [message, version], whose other columns are null.
WITH messages, sources, authors, known,
  [row IN $batch.posts WHERE known[row[0]]] AS known_posts,
  [row IN $batch.forwards + $batch.no_forwards WHERE known[row[0]]] AS known_forwards,
  [row IN $batch.replies + $batch.no_replies WHERE known[row[0]]] AS known_replies,
  [row IN $batch.authored + $batch.no_authors WHERE known[row[0]]] AS known_authored
// [message, forward_version, reply_version, author_version, version, post_id, channel_id, tenant_id,
//  posted_at in seconds, and nanoseconds, views_count, forwards_count, reactions_count, has_media,
//  is_edited, url, content_hash, text]
CALL (messages, known) {
  UNWIND $batch.posts AS row
  WITH row
  WHERE NOT known[row[0]]
  WITH row, messages[row[0]] AS p
  SET p:Post, p.forward_version = row[1], p.reply_version = row[2], p.author_version = row[3],
    p.version = row[4], p.post_id = row[5], p.channel_id = row[6], p.tenant_id = row[7],
    p.posted_at = CASE WHEN row[8] IS NOT NULL
      THEN datetime({epochSeconds: row[8], nanosecond: row[9]}) END, p.views_count = row[10],
    p.forwards_count = row[11], p.reactions_count = row[12], p.has_media = row[13],
    p.is_edited = row[14], p.telegram_post_url = row[15], p.content_hash = row[16], p.text = row[17]
  RETURN collect(row[0]) AS new
}
// [message, version, source, target message, date in seconds, and nanoseconds, message id, name]
CALL (messages, known, sources) {
  UNWIND $batch.forwards AS row
  WITH row
  WHERE row[2] IS NOT NULL AND NOT known[row[0]]
  WITH row, messages[row[0]] AS p, sources[row[2]] AS s
  CREATE (p)-[:FORWARDED_FROM {
    forward_date: CASE WHEN row[4] IS NOT NULL
      THEN datetime({epochSeconds: row[4], nanosecond: row[5]}) END,
    forward_from_message_id: row[6], source_name: row[7]}]->(s)
}
CALL (messages, known) {
  UNWIND $batch.forwards AS row
  WITH row
  WHERE row[3] IS NOT NULL AND NOT known[row[0]]
  WITH messages[row[0]] AS p, messages[row[3]] AS m
  CREATE (p)-[:FORWARDED_FROM_POST]->(m)
}
// [message, version, target message, thread_id]
CALL (messages, known) {
  UNWIND $batch.replies AS row
  WITH row
  WHERE NOT known[row[0]]
  WITH row, messages[row[0]] AS p, messages[row[2]] AS m
  CREATE (p)-[:REPLIES_TO {thread_id: row[3]}]->(m)
}
// [message, version, author, signature]
CALL (messages, known, authors) {
  UNWIND $batch.authored AS row
  WITH row
  WHERE NOT known[row[0]]
  WITH row, messages[row[0]] AS p, authors[row[2]] AS a
  CREATE (a)-[:AUTHOR_OF {signature: row[3]}]->(p)
}
// From here on posts that are known: each facet where its version is higher than the node's.
CALL (messages, known_posts) {
  UNWIND known_posts AS row
  WITH row, messages[row[0]] AS p
  WHERE row[4] > coalesce(p.version, -1)
  SET p.version = row[4], p.post_id = row[5], p.channel_id = row[6], p.tenant_id = row[7],
    p.posted_at = CASE WHEN row[8] IS NOT NULL
      THEN datetime({epochSeconds: row[8], nanosecond: row[9]}) END, p.views_count = row[10],
    p.forwards_count = row[11], p.reactions_count = row[12], p.has_media = row[13],
    p.is_edited = row[14], p.telegram_post_url = row[15], p.content_hash = row[16], p.text = row[17]
  RETURN collect(row[0]) AS posts
}
CALL (messages, known_forwards, sources) {
  UNWIND known_forwards AS row
  WITH row, messages[row[0]] AS p
  WHERE row[1] > coalesce(p.forward_version, -1)
  WITH row, p, [(p)-[r:FORWARDED_FROM|FORWARDED_FROM_POST]->(n) | [r, n]] AS old
  SET p.forward_version = row[1]
  FOREACH (link IN old | DELETE link[0])
  FOREACH (s IN CASE WHEN row[2] IS NULL THEN [] ELSE [sources[row[2]]] END |
    CREATE (p)-[r:FORWARDED_FROM]->(s)
    SET r.forward_date = CASE WHEN row[4] IS NOT NULL
        THEN datetime({epochSeconds: row[4], nanosecond: row[5]}) END,
      r.forward_from_message_id = row[6], r.source_name = row[7])
  FOREACH (m IN CASE WHEN row[3] IS NULL THEN [] ELSE [messages[row[3]]] END |
    CREATE (p)-[:FORWARDED_FROM_POST]->(m))
  WITH row, old
  RETURN collect(row[0]) AS forwards, collect(CASE WHEN old <> [] THEN old END) AS unforwarded
}
CALL (messages, known_replies) {
  UNWIND known_replies AS row
  WITH row, messages[row[0]] AS p
  WHERE row[1] > coalesce(p.reply_version, -1)
  WITH row, p, [(p)-[r:REPLIES_TO]->(n) | [r, n]] AS old
  SET p.reply_version = row[1]
  FOREACH (link IN old | DELETE link[0])
  FOREACH (m IN CASE WHEN row[2] IS NULL THEN [] ELSE [messages[row[2]]] END |
    CREATE (p)-[r:REPLIES_TO]->(m)
    SET r.thread_id = row[3])
  RETURN collect(row[0]) AS replies, collect(CASE WHEN old <> [] THEN old END) AS unreplied
}
CALL (messages, known_authored, authors) {
  UNWIND known_authored AS row
  WITH row, messages[row[0]] AS p
  WHERE row[1] > coalesce(p.author_version, -1)
  WITH row, p, [(p)<-[r:AUTHOR_OF]-(n) | [r, n]] AS old
  SET p.author_version = row[1]
  FOREACH (link IN old | DELETE link[0])
  FOREACH (a IN CASE WHEN row[2] IS NULL THEN [] ELSE [authors[row[2]]] END |
    CREATE (a)-[r:AUTHOR_OF]->(p)
    SET r.signature = row[3])
  RETURN collect(row[0]) AS authored, collect(CASE WHEN old <> [] THEN old END) AS unauthored
}
// What a moved link left behind goes if nothing else needs it. Its lock comes first: of two workers
// that each take one of the last two links away, the later one has to see that both are gone.
CALL (unforwarded, unreplied, unauthored) {
  UNWIND unforwarded + unreplied + unauthored AS links
  UNWIND links AS link
  WITH DISTINCT link[1] AS n
  WHERE NOT n:Post
  SET n.locked = null
  WITH n
  WHERE NOT EXISTS { (n)--() }
  DELETE n
}
// Endpoints that only stale rows asked for were merged above, and must not stay. They are either
// locked already or new, so they need no lock to be looked at.
CALL (messages, sources, authors, known_forwards, known_replies, known_authored, forwards, replies,
    authored) {
  WITH CASE WHEN size(forwards) < size(known_forwards) OR size(replies) < size(known_replies)
    OR size(authored) < size(known_authored) THEN messages + sources + authors ELSE [] END AS nodes
  UNWIND nodes AS n
  WITH n
  WHERE NOT n:Post AND NOT EXISTS { (n)--() }
  SET n.locked = null
  DELETE n
}
RETURN new, posts, forwards, replies, authored
