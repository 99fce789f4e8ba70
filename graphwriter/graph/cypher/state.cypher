// Returns what the graph has of some posts, one row for each key with a node. Times are microseconds
// since 1970, because the driver takes long to create its own objects. Values that are not times are
// returned unchanged, but integers, and times in years that the driver does not support, as texts.
// epochMillis is rounded down, epochSeconds toward zero, which is wrong in the last second before 1970.
// A version that is not an integer is an empty text. The end of a link is null if the node does not
// have the expected label, whatever its properties are.
CYPHER replan=skip
UNWIND $wanted.keys AS key
MATCH (m:Message {tg_channel_id: key[0], telegram_message_id: key[1]})
RETURN key, m:Post AS post,
  [version IN [m.version, m.forward_version, m.reply_version, m.author_version, m.links_version,
      m.media_version] |
    CASE WHEN version IS :: INTEGER THEN version ELSE '' END] AS versions,
  [m.post_id, m.channel_id, m.tenant_id, CASE
      WHEN m.posted_at IS :: INTEGER NOT NULL THEN toString(m.posted_at)
      WHEN m.posted_at IS NOT :: ZONED DATETIME NOT NULL THEN m.posted_at
      WHEN 0 < m.posted_at.year < 10000
        THEN m.posted_at.epochMillis * 1000 + m.posted_at.microsecond % 1000
      ELSE toString(m.posted_at) END,
    m.views_count, m.forwards_count, m.reactions_count, m.has_media, m.is_edited,
    m.telegram_post_url, m.content_hash, CASE WHEN $wanted.text THEN m.text END, m.grouped_id]
    AS values,
  [(m)-[r:FORWARDED_FROM]->(s) | [CASE WHEN s:ForwardSource THEN [s.source_id, s.source_type] END,
    CASE WHEN r.forward_date IS :: INTEGER NOT NULL THEN toString(r.forward_date)
      WHEN r.forward_date IS NOT :: ZONED DATETIME NOT NULL THEN r.forward_date
      WHEN 0 < r.forward_date.year < 10000
        THEN r.forward_date.epochMillis * 1000 + r.forward_date.microsecond % 1000
      ELSE toString(r.forward_date) END,
    r.forward_from_message_id, r.source_name]] AS sources,
  [(m)-[:FORWARDED_FROM_POST]->(t) | CASE
    WHEN t:Message THEN [t.tg_channel_id, t.telegram_message_id] END] AS targets,
  [(m)-[r:REPLIES_TO]->(t) | [CASE
    WHEN t:Message THEN [t.tg_channel_id, t.telegram_message_id] END, r.thread_id]] AS replies,
  [(m)<-[r:AUTHOR_OF]-(a) | [CASE
    WHEN a:Author THEN [a.author_id, a.author_type] END, r.signature]] AS authors,
  [(m)-[r:LINKS_TO]->(t) | [CASE WHEN t:Message THEN [t.tg_channel_id, t.telegram_message_id]
    WHEN t:Link THEN t.url END, r.url]] AS links,
  m.links_count AS links_count,
  [(m)-[:HAS_MEDIA]->(f) | CASE WHEN f:Media THEN f.sha256 END] AS media
