// Writes what a batch changes in posts that the graph has, after write.cypher in the same transaction,
// which has merged and locked every node here. $batch is as there, with only the rows that are newer
// than the posts. Its lists of nodes also have the ends of rows that are too old: what was merged
// only for these is deleted.
//
// A link that has the right end already stays, and only its properties are set: most edits change no
// link, and to delete and create it would lock its end, which may be popular. Of several equal links
// one stays.
//
// An end that was there in write.cypher, and that another worker has deleted since, is created again.
CYPHER replan=skip
CALL () {
  UNWIND $batch.messages AS key
  MERGE (m:Message {tg_channel_id: key[0], telegram_message_id: key[1]})
  RETURN collect(m) AS messages
}
CALL () {
  UNWIND $batch.sources AS row
  MERGE (s:ForwardSource {source_id: row[0], source_type: row[1]})
  RETURN collect(s) AS sources
}
CALL () {
  UNWIND $batch.authors AS row
  MERGE (a:Author {author_id: row[0], author_type: row[1]})
  RETURN collect(a) AS authors
}
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
// Without its last column, albums are not kept, and an album that another worker has set stays.
CALL (messages) {
  UNWIND $batch.posts AS row
  WITH row, messages[row[0]] AS p
  SET p.version = row[4], p.post_id = row[5], p.channel_id = row[6], p.tenant_id = row[7],
    p.posted_at = CASE WHEN row[8] IS NOT NULL
      THEN datetime({epochSeconds: row[8], nanosecond: row[9]}) END, p.views_count = row[10],
    p.forwards_count = row[11], p.reactions_count = row[12], p.has_media = row[13],
    p.is_edited = row[14], p.telegram_post_url = row[15], p.content_hash = row[16],
    p.text = row[17], p.grouped_id = CASE WHEN size(row) > 18 THEN row[18] ELSE p.grouped_id END
}
CALL (messages, sources) {
  UNWIND $batch.forwards + $batch.no_forwards AS row
  WITH row, messages[row[0]] AS p, sources[row[2]] AS s, messages[row[3]] AS m,
    CASE WHEN row[4] IS NOT NULL
      THEN datetime({epochSeconds: row[4], nanosecond: row[5]}) END AS date
  WITH row, p, s, m, date, [(p)-[r:FORWARDED_FROM]->(n) | [r, n]] AS from_sources,
    [(p)-[r:FORWARDED_FROM_POST]->(n) | [r, n]] AS from_posts
  WITH row, p, s, m, date, from_sources + from_posts AS all,
    [link IN from_sources WHERE link[1] = s | link[0]][..1] AS same_source,
    [link IN from_posts WHERE link[1] = m | link[0]][..1] AS same_post
  WITH row, p, s, m, date, same_source, same_post,
    [link IN all WHERE NOT link[0] IN same_source + same_post] AS old
  SET p.forward_version = row[1]
  FOREACH (link IN old | DELETE link[0])
  FOREACH (_ IN CASE WHEN s IS NOT NULL AND same_source = [] THEN [1] ELSE [] END |
    CREATE (p)-[:FORWARDED_FROM {
      forward_date: date, forward_from_message_id: row[6], source_name: row[7]}]->(s))
  FOREACH (r IN same_source |
    SET r.forward_date = date, r.forward_from_message_id = row[6], r.source_name = row[7])
  FOREACH (_ IN CASE WHEN m IS NOT NULL AND same_post = [] THEN [1] ELSE [] END |
    CREATE (p)-[:FORWARDED_FROM_POST]->(m))
  RETURN collect(CASE WHEN old <> [] THEN old END) AS unforwarded
}
CALL (messages) {
  UNWIND $batch.replies + $batch.no_replies AS row
  WITH row, messages[row[0]] AS p, messages[row[2]] AS m
  WITH row, p, m, [(p)-[r:REPLIES_TO]->(n) | [r, n]] AS all
  WITH row, p, m, all, [link IN all WHERE link[1] = m | link[0]][..1] AS same
  WITH row, p, m, same, [link IN all WHERE NOT link[0] IN same] AS old
  SET p.reply_version = row[1]
  FOREACH (link IN old | DELETE link[0])
  FOREACH (_ IN CASE WHEN m IS NOT NULL AND same = [] THEN [1] ELSE [] END |
    CREATE (p)-[:REPLIES_TO {thread_id: row[3]}]->(m))
  FOREACH (r IN same | SET r.thread_id = row[3])
  RETURN collect(CASE WHEN old <> [] THEN old END) AS unreplied
}
CALL (messages, authors) {
  UNWIND $batch.authored + $batch.no_authors AS row
  WITH row, messages[row[0]] AS p, authors[row[2]] AS a
  WITH row, p, a, [(p)<-[r:AUTHOR_OF]-(n) | [r, n]] AS all
  WITH row, p, a, all, [link IN all WHERE link[1] = a | link[0]][..1] AS same
  WITH row, p, a, same, [link IN all WHERE NOT link[0] IN same] AS old
  SET p.author_version = row[1]
  FOREACH (link IN old | DELETE link[0])
  FOREACH (_ IN CASE WHEN a IS NOT NULL AND same = [] THEN [1] ELSE [] END |
    CREATE (a)-[:AUTHOR_OF {signature: row[3]}]->(p))
  FOREACH (r IN same | SET r.signature = row[3])
  RETURN collect(CASE WHEN old <> [] THEN old END) AS unauthored
}
CALL (messages, urls) {
  UNWIND $batch.links AS row
  WITH row, messages[row[0]] AS p
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
  RETURN collect(CASE WHEN old <> [] THEN old END) AS unlinked
}
CALL (messages, files) {
  UNWIND $batch.media AS row
  WITH row, messages[row[0]] AS p
  WITH row, p, [at IN coalesce(row[2], []) | files[at]] AS ends,
    [(p)-[r:HAS_MEDIA]->(n) | [r, n]] AS all
  WITH row, p, ends, all, [end IN ends | [link IN all WHERE link[1] = end | link[0]][..1]] AS same
  WITH row, p, ends, same, [link IN all WHERE NOT [link[0]] IN same] AS old
  SET p.media_version = row[1]
  FOREACH (link IN old | DELETE link[0])
  FOREACH (i IN range(0, size(ends) - 1) |
    FOREACH (n IN CASE WHEN same[i] = [] THEN [ends[i]] ELSE [] END |
      CREATE (p)-[:HAS_MEDIA]->(n)))
  RETURN collect(CASE WHEN old <> [] THEN old END) AS unfiled
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
// Deletes nodes that were merged only for stale rows. They are new or locked already, so they can be
// read without a lock.
CALL (messages, sources, authors, urls, files) {
  UNWIND messages + sources + authors + urls + files AS n
  WITH n
  WHERE NOT n:Post AND NOT EXISTS { (n)--() }
  SET n.locked = null
  DELETE n
}
RETURN count(*) AS done
