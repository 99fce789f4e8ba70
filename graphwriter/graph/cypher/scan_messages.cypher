// Reads one page of messages in key order, after [$channel, $message]. Returns the number of nodes, the
// last key, the number of posts without an event, and violations of invariants as lists of [channel,
// message, facet or '', details]: orphans, with the element id; versions that no event can have, with
// [element id, version, '' if it is not an integer]; posts with more than one link of a type, with
// [[type, number], ...]; facets with links that no event contained, '' if the node is not a post.
// The index is only used if the query tests all of its properties.
CYPHER replan=skip
CALL () {
  MATCH (m:Message)
  WHERE m.tg_channel_id = $channel AND m.telegram_message_id > $message
  RETURN m ORDER BY m.tg_channel_id, m.telegram_message_id SKIP $skip LIMIT $size
  UNION ALL
  MATCH (m:Message)
  WHERE m.tg_channel_id > $channel AND m.telegram_message_id IS NOT NULL
  RETURN m ORDER BY m.tg_channel_id, m.telegram_message_id SKIP $skip LIMIT $size
}
WITH m LIMIT $size
WITH m, m.tg_channel_id AS channel, m.telegram_message_id AS message,
  COUNT { (m)-[:REPLIES_TO]->() } AS replies,
  COUNT { (m)-[:FORWARDED_FROM]->() } AS sources,
  COUNT { (m)-[:FORWARDED_FROM_POST]->() } AS targets,
  COUNT { (m)<-[:AUTHOR_OF]-() } AS authors,
  [(m)-[:LINKS_TO]->(n) WHERE $links | elementId(n)] AS links,
  [(m)-[:HAS_MEDIA]->(n) WHERE $media | elementId(n)] AS media,
  [['post', m.version], ['forward', m.forward_version], ['reply', m.reply_version],
    ['author', m.author_version], ['links', m.links_version],
    ['media', m.media_version]] AS versions
WITH m, channel, message,
  [facet IN versions WHERE m:Post AND (facet[1] IS NOT :: INTEGER OR facet[1] > $latest) |
    [channel, message, facet[0], [elementId(m),
      CASE WHEN facet[1] IS :: INTEGER THEN facet[1] ELSE '' END]]] AS impossible,
  [link IN [['REPLIES_TO', replies], ['FORWARDED_FROM', sources], ['FORWARDED_FROM_POST', targets],
    ['AUTHOR_OF', authors],
    ['LINKS_TO', 1 + size([n IN range(1, size(links) - 1) WHERE links[n] IN links[..n]])],
    ['HAS_MEDIA', 1 + size([n IN range(1, size(media) - 1) WHERE media[n] IN media[..n]])]]
    WHERE link[1] > 1] AS doubled,
  CASE
    WHEN replies + sources + targets + authors + size(links) + size(media) = 0 THEN []
    WHEN NOT m:Post THEN ['']
    WHEN coalesce(m.version >= 0, m.version IS NOT NULL) THEN
      [facet IN [['forward', m.forward_version, sources + targets],
        ['reply', m.reply_version, replies], ['author', m.author_version, authors],
        ['links', m.links_version, size(links)], ['media', m.media_version, size(media)]]
        WHERE facet[1] IS NULL AND facet[2] > 0 | facet[0]]
    ELSE [] END AS unsaid
RETURN count(m), last(collect([channel, message])),
  count(CASE WHEN m:Post AND coalesce(m.version, -1) = -1 THEN 1 END),
  collect(CASE WHEN NOT m:Post AND NOT EXISTS { (m)--() }
    THEN [channel, message, '', elementId(m)] END),
  reduce(all = [], each IN collect(CASE WHEN impossible <> [] THEN impossible END) | all + each),
  collect(CASE WHEN doubled <> [] THEN [channel, message, '', doubled] END),
  reduce(all = [], each IN collect(CASE WHEN unsaid <> []
    THEN [facet IN unsaid | [channel, message, facet, null]] END) | all + each)
