// Writes the new posts of a batch, and merges and locks every node of it. Returns the new posts, as
// positions in $batch.messages, and for each post that was known its versions: [position, version,
// forward_version, reply_version, author_version, links_version, media_version].
//
// Most posts are new: they have no version to compare and no link to move. Known posts are written in
// the same transaction by update.cypher. Both in one statement took four times as long to plan, which a
// server that was just started needs seconds for.
//
// All lists are in one map: Neo4j makes a new plan, which takes a second, for each order of magnitude
// of the size of a list parameter, and batches have any size.
//
// The write lock of every post of the batch is taken before any version is read. Otherwise, under
// read-committed, two workers with different events of one post would both read the old version, and
// both write. Setting a key to the value that it has takes the lock and changes nothing. With ON MATCH
// SET each lock would be taken right after its MERGE.
//
// The posts of the batch are written first, and what they share with posts of other workers is merged
// last, with its locks held for the shortest time; graph/order.py says why, and when all is locked at
// once. Each list is sorted, so that workers take their locks in one order. All nodes are merged before
// a link is moved, so a worker that is still merging holds no lock that this needs. Rows refer to nodes
// by position in the collected lists.
//
// The plan does not depend on the statistics of the graph, because every node is found by a unique
// key. A new plan after each change of the statistics would stop all workers for half a second.
CYPHER replan=skip
// The posts of the batch are among the first of its messages.
CALL () {
  UNWIND $batch.messages[..$batch.first] AS key
  MERGE (m:Message {tg_channel_id: key[0], telegram_message_id: key[1]})
  SET m.telegram_message_id = key[1]
  RETURN collect(m) AS own, collect(m:Post) AS known
}
// [message, forward_version, reply_version, author_version, version, post_id, channel_id, tenant_id,
//  posted_at in seconds, and nanoseconds, views_count, forwards_count, reactions_count, has_media,
//  is_edited, url, content_hash, text, grouped_id]. Without the last column, for which a row gives
// null, albums are not kept, and an album that another worker has set stays.
CALL (own, known) {
  UNWIND $batch.posts AS row
  WITH row
  WHERE NOT known[row[0]]
  WITH row, own[row[0]] AS p
  SET p:Post, p.forward_version = row[1], p.reply_version = row[2], p.author_version = row[3],
    p.version = row[4], p.post_id = row[5], p.channel_id = row[6], p.tenant_id = row[7],
    p.posted_at = CASE WHEN row[8] IS NOT NULL
      THEN datetime({epochSeconds: row[8], nanosecond: row[9]}) END, p.views_count = row[10],
    p.forwards_count = row[11], p.reactions_count = row[12], p.has_media = row[13],
    p.is_edited = row[14], p.telegram_post_url = row[15], p.content_hash = row[16],
    p.text = row[17], p.grouped_id = row[18]
  RETURN collect(row[0]) AS new
}
CALL () {
  UNWIND $batch.messages[$batch.first..] AS key
  MERGE (m:Message {tg_channel_id: key[0], telegram_message_id: key[1]})
  SET m.telegram_message_id = key[1]
  RETURN collect(m) AS shared
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
WITH own + shared AS messages, sources, authors, urls, files, known, new
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
// The versions of known posts. What is newer than these is written by update.cypher.
CALL (messages, known) {
  UNWIND $batch.posts AS row
  WITH row, messages[row[0]] AS p
  WHERE known[row[0]]
  RETURN collect([row[0], p.version, p.forward_version, p.reply_version, p.author_version,
    p.links_version, p.media_version]) AS versions
}
RETURN new, versions
