// Merges each group of nodes with the same key, given by element ids, into the newest node. For each
// facet, it gets the links and the version of the node with the highest version; links to the other
// nodes are moved to it. Groups with link types of another service are not changed.
UNWIND $groups AS ids
CALL (ids) {
  UNWIND ids AS id
  MATCH (n)
  WHERE elementId(n) = id
  SET n.locked = null
  WITH n ORDER BY n:Message DESC, n:Post DESC, coalesce(n.version, n.name_day, -1) DESC, elementId(n)
  RETURN collect(n) AS nodes
}
WITH nodes, nodes[0] AS keep, nodes[1..] AS others
WHERE size(others) > 0 AND NOT EXISTS {
  UNWIND others AS n
  MATCH (n)-[r]-()
  WHERE NOT type(r) IN $types
}
WITH nodes, keep, others,
  reduce(best = keep, n IN others | CASE
    WHEN coalesce(n.reply_version, -1) > coalesce(best.reply_version, -1) THEN n
    ELSE best END) AS replier,
  reduce(best = keep, n IN others | CASE
    WHEN coalesce(n.forward_version, -1) > coalesce(best.forward_version, -1) THEN n
    ELSE best END) AS forwarder,
  reduce(best = keep, n IN others | CASE
    WHEN coalesce(n.author_version, -1) > coalesce(best.author_version, -1) THEN n
    ELSE best END) AS written,
  reduce(best = keep, n IN others | CASE
    WHEN coalesce(n.links_version, -1) > coalesce(best.links_version, -1) THEN n
    ELSE best END) AS linked,
  reduce(best = keep, n IN others | CASE
    WHEN coalesce(n.media_version, -1) > coalesce(best.media_version, -1) THEN n
    ELSE best END) AS filed
CALL (nodes, keep, replier) {
  UNWIND nodes AS n
  MATCH (n)-[r:REPLIES_TO]->(x)
  WHERE n <> keep OR n <> replier
  FOREACH (_ IN CASE WHEN n = replier THEN [1] ELSE [] END |
    CREATE (keep)-[c:REPLIES_TO]->(x) SET c = properties(r))
  DELETE r
}
CALL (nodes, keep, forwarder) {
  UNWIND nodes AS n
  MATCH (n)-[r:FORWARDED_FROM]->(x)
  WHERE n:Message AND (n <> keep OR n <> forwarder)
  FOREACH (_ IN CASE WHEN n = forwarder THEN [1] ELSE [] END |
    CREATE (keep)-[c:FORWARDED_FROM]->(x) SET c = properties(r))
  DELETE r
}
CALL (nodes, keep, forwarder) {
  UNWIND nodes AS n
  MATCH (n)-[r:FORWARDED_FROM_POST]->(x)
  WHERE n <> keep OR n <> forwarder
  FOREACH (_ IN CASE WHEN n = forwarder THEN [1] ELSE [] END |
    CREATE (keep)-[:FORWARDED_FROM_POST]->(x))
  DELETE r
}
CALL (nodes, keep, written) {
  UNWIND nodes AS n
  MATCH (n)<-[r:AUTHOR_OF]-(x)
  WHERE n <> keep OR n <> written
  FOREACH (_ IN CASE WHEN n = written THEN [1] ELSE [] END |
    CREATE (x)-[c:AUTHOR_OF]->(keep) SET c = properties(r))
  DELETE r
}
CALL (nodes, keep, linked) {
  UNWIND nodes AS n
  MATCH (n)-[r:LINKS_TO]->(x)
  WHERE n <> keep OR n <> linked
  FOREACH (_ IN CASE WHEN n = linked THEN [1] ELSE [] END |
    CREATE (keep)-[c:LINKS_TO]->(x) SET c = properties(r))
  DELETE r
}
CALL (nodes, keep, filed) {
  UNWIND nodes AS n
  MATCH (n)-[r:HAS_MEDIA]->(x)
  WHERE n:Message AND (n <> keep OR n <> filed)
  FOREACH (_ IN CASE WHEN n = filed THEN [1] ELSE [] END |
    CREATE (keep)-[:HAS_MEDIA]->(x))
  DELETE r
}
SET keep.reply_version = replier.reply_version, keep.forward_version = forwarder.forward_version,
  keep.author_version = written.author_version, keep.links_version = linked.links_version,
  keep.links_count = linked.links_count, keep.media_version = filed.media_version
WITH keep, others
CALL (keep, others) {
  UNWIND others AS n
  MATCH (x)-[r:REPLIES_TO]->(n)
  CREATE (x)-[c:REPLIES_TO]->(keep) SET c = properties(r)
  DELETE r
}
CALL (keep, others) {
  UNWIND others AS n
  MATCH (x)-[r:FORWARDED_FROM_POST]->(n)
  CREATE (x)-[:FORWARDED_FROM_POST]->(keep)
  DELETE r
}
CALL (keep, others) {
  UNWIND others AS n
  MATCH (x)-[r:LINKS_TO]->(n)
  CREATE (x)-[c:LINKS_TO]->(keep) SET c = properties(r)
  DELETE r
}
CALL (keep, others) {
  UNWIND others AS n
  MATCH (x)-[r:HAS_MEDIA]->(n)
  WHERE n:Media
  CREATE (x)-[:HAS_MEDIA]->(keep)
  DELETE r
}
CALL (keep, others) {
  UNWIND others AS n
  MATCH (x)-[r:FORWARDED_FROM]->(n)
  CREATE (x)-[c:FORWARDED_FROM]->(keep) SET c = properties(r)
  DELETE r
}
CALL (keep, others) {
  UNWIND others AS n
  MATCH (n)-[r:AUTHOR_OF]->(x)
  CREATE (keep)-[c:AUTHOR_OF]->(x) SET c = properties(r)
  DELETE r
}
// Properties that another service wrote on its post stay if no event has set them.
WITH keep, others, properties(keep) AS own,
  [n IN others WHERE NOT n:Message | properties(n)] AS foreign
// Until the commit, the key of a deleted node still violates a constraint.
FOREACH (n IN others | REMOVE n:Message:Post:ForwardSource:Author:Link:Media DELETE n)
FOREACH (properties IN CASE WHEN keep:Message THEN foreign ELSE [] END |
  SET keep += properties SET keep += own)
RETURN count(keep) AS merged
