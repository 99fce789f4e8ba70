// Removes versions and name days that no event can have: they would block every later event. The links
// stay, and their version becomes -1, older than any event. Nodes are given by element id, and each is
// locked before it is read.
UNWIND $ids AS id
MATCH (n)
WHERE elementId(n) = id
SET n.locked = null
FOREACH (_ IN CASE WHEN n.version IS NOT :: INTEGER OR n.version > $latest
  THEN [1] ELSE [] END | SET n.version = -1)
FOREACH (_ IN CASE WHEN n.forward_version IS NOT :: INTEGER OR n.forward_version > $latest
  THEN [1] ELSE [] END | SET n.forward_version = -1)
FOREACH (_ IN CASE WHEN n.reply_version IS NOT :: INTEGER OR n.reply_version > $latest
  THEN [1] ELSE [] END | SET n.reply_version = -1)
FOREACH (_ IN CASE WHEN n.author_version IS NOT :: INTEGER OR n.author_version > $latest
  THEN [1] ELSE [] END | SET n.author_version = -1)
FOREACH (_ IN CASE WHEN n.links_version IS NOT :: INTEGER OR n.links_version > $latest
  THEN [1] ELSE [] END | SET n.links_version = -1)
FOREACH (_ IN CASE WHEN n.media_version IS NOT :: INTEGER OR n.media_version > $latest
  THEN [1] ELSE [] END | SET n.media_version = -1)
FOREACH (_ IN CASE WHEN n.name_day IS NOT :: INTEGER OR n.name_day > $day
  THEN [1] ELSE [] END | REMOVE n.name_day)
