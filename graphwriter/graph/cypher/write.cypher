// Writes one batch. Returns, for each facet, the posts that it changed, as positions in
// $batch.messages.
//
// All lists are in one map: Neo4j makes a new plan, which takes a second, for each order of magnitude
// of the size of a list parameter, and batches have any size.
//
// The lists of nodes are sorted by key, and the first pass takes the write lock of every message
// before any version is read. Otherwise, under read-committed, two workers with different events of
// one post would both read the old version, and both write. Setting a key to the value that it has
// takes the lock and changes nothing. With ON MATCH SET each lock would be taken right after its
// MERGE. Now all nodes are merged first, so a worker that is still merging holds no lock that another
// worker needs to move a link. Rows refer to nodes by position in the collected lists.
//
// The plan does not depend on the statistics of the graph, because every node is found by a unique
// key. A new plan after each change of the statistics would stop all workers for half a second.
CYPHER replan=skip
CALL () {
  UNWIND $batch.messages AS key
  MERGE (m:Message {tg_channel_id: key[0], telegram_message_id: key[1]})
  SET m.telegram_message_id = key[1]
  RETURN collect(m) AS messages, collect(m:Post) AS known
}
// [id, type, name, name_day]: the name is for display and is updated at most once a day per node,
// because an update in every batch would lock the most popular nodes each time.
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
// Pages that posts link to, and files that they have: lists of keys.
CALL () {
  UNWIND $batch.urls AS url
  MERGE (l:Link {url: url})
  RETURN collect(l) AS urls
}
CALL () {
  UNWIND $batch.files AS sha256
  MERGE (f:Media {sha256: sha256})
  RETURN collect(f) AS files
}
// Most posts are new: they have no version to compare and no link to move. Only rows of known posts
// take the longer path below, also the rows without a link: [message, version], other columns null.
WITH messages, sources, authors, urls, files, known,
  [row IN $batch.posts WHERE known[row[0]]] AS known_posts,
  [row IN $batch.forwards + $batch.no_forwards WHERE known[row[0]]] AS known_forwards,
  [row IN $batch.replies + $batch.no_replies WHERE known[row[0]]] AS known_replies,
  [row IN $batch.authored + $batch.no_authors WHERE known[row[0]]] AS known_authored,
  [row IN $batch.links WHERE known[row[0]]] AS known_links,
  [row IN $batch.media WHERE known[row[0]]] AS known_media
// [message, forward_version, reply_version, author_version, version, post_id, channel_id, tenant_id,
//  posted_at in seconds, and nanoseconds, views_count, forwards_count, reactions_count, has_media,
//  is_edited, url, content_hash, text, grouped_id]. Without the last column, for which a row gives
// null, albums are not kept, and an album that another worker has set stays.
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
    p.is_edited = row[14], p.telegram_post_url = row[15], p.content_hash = row[16],
    p.text = row[17], p.grouped_id = row[18]
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
// [message, version, count, [[target message, URL as given], ...], [[url, URL as given], ...]]
CALL (messages, known, urls) {
  UNWIND $batch.links AS row
  WITH row
  WHERE NOT known[row[0]]
  WITH row, messages[row[0]] AS p
  SET p.links_version = row[1], p.links_count = row[2]
  FOREACH (end IN row[3] | FOREACH (m IN [messages[end[0]]] |
    CREATE (p)-[:LINKS_TO {url: end[1]}]->(m)))
  FOREACH (end IN row[4] | FOREACH (l IN [urls[end[0]]] |
    CREATE (p)-[:LINKS_TO {url: end[1]}]->(l)))
}
// [message, version, [file, ...]]
CALL (messages, known, files) {
  UNWIND $batch.media AS row
  WITH row
  WHERE NOT known[row[0]]
  WITH row, messages[row[0]] AS p
  SET p.media_version = row[1]
  FOREACH (at IN row[2] | FOREACH (f IN [files[at]] | CREATE (p)-[:HAS_MEDIA]->(f)))
}
// Known posts: each facet is written if its version is higher than the node's. A link that has the
// right end already stays, and only its properties are set: most edits change no link, and to delete
// and create it would lock its end, which may be popular. Of several equal links one stays.
CALL (messages, known_posts) {
  UNWIND known_posts AS row
  WITH row, messages[row[0]] AS p
  WHERE row[4] > coalesce(p.version, -1)
  SET p.version = row[4], p.post_id = row[5], p.channel_id = row[6], p.tenant_id = row[7],
    p.posted_at = CASE WHEN row[8] IS NOT NULL
      THEN datetime({epochSeconds: row[8], nanosecond: row[9]}) END, p.views_count = row[10],
    p.forwards_count = row[11], p.reactions_count = row[12], p.has_media = row[13],
    p.is_edited = row[14], p.telegram_post_url = row[15], p.content_hash = row[16],
    p.text = row[17], p.grouped_id = CASE WHEN size(row) > 18 THEN row[18] ELSE p.grouped_id END
  RETURN collect(row[0]) AS posts
}
CALL (messages, known_forwards, sources) {
  UNWIND known_forwards AS row
  WITH row, messages[row[0]] AS p
  WHERE row[1] > coalesce(p.forward_version, -1)
  WITH row, p, sources[row[2]] AS s, messages[row[3]] AS m,
    [(p)-[r:FORWARDED_FROM]->(n) | [r, n]] AS from_sources,
    [(p)-[r:FORWARDED_FROM_POST]->(n) | [r, n]] AS from_posts
  WITH row, p, s, m, from_sources + from_posts AS all,
    [link IN from_sources WHERE link[1] = s | link[0]][..1] AS same_source,
    [link IN from_posts WHERE link[1] = m | link[0]][..1] AS same_post
  WITH row, p, s, m, same_source, same_post,
    [link IN all WHERE NOT link[0] IN same_source + same_post] AS old
  SET p.forward_version = row[1]
  FOREACH (link IN old | DELETE link[0])
  FOREACH (_ IN CASE WHEN s IS NOT NULL AND same_source = [] THEN [1] ELSE [] END |
    CREATE (p)-[r:FORWARDED_FROM]->(s)
    SET r.forward_date = CASE WHEN row[4] IS NOT NULL
        THEN datetime({epochSeconds: row[4], nanosecond: row[5]}) END,
      r.forward_from_message_id = row[6], r.source_name = row[7])
  FOREACH (r IN same_source |
    SET r.forward_date = CASE WHEN row[4] IS NOT NULL
        THEN datetime({epochSeconds: row[4], nanosecond: row[5]}) END,
      r.forward_from_message_id = row[6], r.source_name = row[7])
  FOREACH (_ IN CASE WHEN m IS NOT NULL AND same_post = [] THEN [1] ELSE [] END |
    CREATE (p)-[:FORWARDED_FROM_POST]->(m))
  WITH row, old
  RETURN collect(row[0]) AS forwards, collect(CASE WHEN old <> [] THEN old END) AS unforwarded
}
CALL (messages, known_replies) {
  UNWIND known_replies AS row
  WITH row, messages[row[0]] AS p
  WHERE row[1] > coalesce(p.reply_version, -1)
  WITH row, p, messages[row[2]] AS m, [(p)-[r:REPLIES_TO]->(n) | [r, n]] AS all
  WITH row, p, m, all, [link IN all WHERE link[1] = m | link[0]][..1] AS same
  WITH row, p, m, same, [link IN all WHERE NOT link[0] IN same] AS old
  SET p.reply_version = row[1]
  FOREACH (link IN old | DELETE link[0])
  FOREACH (_ IN CASE WHEN m IS NOT NULL AND same = [] THEN [1] ELSE [] END |
    CREATE (p)-[:REPLIES_TO {thread_id: row[3]}]->(m))
  FOREACH (r IN same | SET r.thread_id = row[3])
  RETURN collect(row[0]) AS replies, collect(CASE WHEN old <> [] THEN old END) AS unreplied
}
CALL (messages, known_authored, authors) {
  UNWIND known_authored AS row
  WITH row, messages[row[0]] AS p
  WHERE row[1] > coalesce(p.author_version, -1)
  WITH row, p, authors[row[2]] AS a, [(p)<-[r:AUTHOR_OF]-(n) | [r, n]] AS all
  WITH row, p, a, all, [link IN all WHERE link[1] = a | link[0]][..1] AS same
  WITH row, p, a, same, [link IN all WHERE NOT link[0] IN same] AS old
  SET p.author_version = row[1]
  FOREACH (link IN old | DELETE link[0])
  FOREACH (_ IN CASE WHEN a IS NOT NULL AND same = [] THEN [1] ELSE [] END |
    CREATE (a)-[:AUTHOR_OF {signature: row[3]}]->(p))
  FOREACH (r IN same | SET r.signature = row[3])
  RETURN collect(row[0]) AS authored, collect(CASE WHEN old <> [] THEN old END) AS unauthored
}
CALL (messages, known_links, urls) {
  UNWIND known_links AS row
  WITH row, messages[row[0]] AS p
  WHERE row[1] > coalesce(p.links_version, -1)
  WITH row, p, [end IN coalesce(row[3], []) | [messages[end[0]], end[1]]] +
    [end IN coalesce(row[4], []) | [urls[end[0]], end[1]]] AS ends,
    [(p)-[r:LINKS_TO]->(n) | [r, n]] AS all
  WITH row, p, ends, all,
    [end IN ends | [link IN all WHERE link[1] = end[0] | link[0]][..1]] AS same
  WITH row, p, ends, same, [link IN all WHERE NOT [link[0]] IN same] AS old
  SET p.links_version = row[1], p.links_count = row[2]
  FOREACH (link IN old | DELETE link[0])
  FOREACH (i IN range(0, size(ends) - 1) |
    FOREACH (n IN CASE WHEN same[i] = [] THEN [ends[i][0]] ELSE [] END |
      CREATE (p)-[:LINKS_TO {url: ends[i][1]}]->(n))
    FOREACH (r IN same[i] | SET r.url = ends[i][1]))
  WITH row, old
  RETURN collect(row[0]) AS links, collect(CASE WHEN old <> [] THEN old END) AS unlinked
}
CALL (messages, known_media, files) {
  UNWIND known_media AS row
  WITH row, messages[row[0]] AS p
  WHERE row[1] > coalesce(p.media_version, -1)
  WITH row, p, [at IN coalesce(row[2], []) | files[at]] AS ends, 
    [(p)-[r:HAS_MEDIA]->(n) | [r, n]] AS all
  WITH row, p, ends, all, [end IN ends | [link IN all WHERE link[1] = end | link[0]][..1]] AS same
  WITH row, p, ends, same, [link IN all WHERE NOT [link[0]] IN same] AS old
  SET p.media_version = row[1]
  FOREACH (link IN old | DELETE link[0])
  FOREACH (i IN range(0, size(ends) - 1) |
    FOREACH (n IN CASE WHEN same[i] = [] THEN [ends[i]] ELSE [] END |
      CREATE (p)-[:HAS_MEDIA]->(n)))
  WITH row, old
  RETURN collect(row[0]) AS media, collect(CASE WHEN old <> [] THEN old END) AS unfiled
}
// Deletes the old end of a moved link if it has no other links. It is locked first: if two workers
// each delete one of its last two links, the later one must see that both are deleted.
CALL (unforwarded, unreplied, unauthored, unlinked, unfiled) {
  UNWIND unforwarded + unreplied + unauthored + unlinked + unfiled AS old
  UNWIND old AS link
  WITH DISTINCT link[1] AS n
  WHERE NOT n:Post AND (labels(n) = [] OR n:Message OR n:ForwardSource OR n:Author OR n:Link
    OR n:Media)
  WITH n ORDER BY elementId(n)
  SET n.locked = null
  WITH n
  WHERE NOT EXISTS { (n)--() }
  DELETE n
}
// Deletes nodes that were merged above only for stale rows. They are new or locked already, so they
// can be read without a lock.
CALL (messages, sources, authors, urls, files, known_forwards, known_replies, known_authored,
    known_links, known_media, forwards, replies, authored, links, media) {
  WITH CASE WHEN size(forwards) < size(known_forwards) OR size(replies) < size(known_replies)
    OR size(authored) < size(known_authored) OR size(links) < size(known_links)
    OR size(media) < size(known_media)
    THEN messages + sources + authors + urls + files ELSE [] END AS nodes
  UNWIND nodes AS n
  WITH n
  WHERE NOT n:Post AND NOT EXISTS { (n)--() }
  SET n.locked = null
  DELETE n
}
RETURN new, posts, forwards, replies, authored, links, media
