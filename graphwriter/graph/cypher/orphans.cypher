// Deletes the nodes of $ids (element ids) that have no links and are not posts. Each is locked before it
// is checked, because a worker may be about to link to it.
UNWIND $ids AS id
MATCH (n)
WHERE elementId(n) = id
SET n.locked = null
WITH n
WHERE (n:Message OR n:ForwardSource OR n:Author OR n:Link OR n:Media) AND NOT n:Post AND NOT EXISTS { (n)--() }
DELETE n
