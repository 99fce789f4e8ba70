// Deletes the nodes of $ids, by element id, that nothing is attached to and that are no post. Each
// is locked before it is looked at: a worker may just link to it.
UNWIND $ids AS id
MATCH (n)
WHERE elementId(n) = id
SET n.locked = null
WITH n
WHERE (n:Message OR n:ForwardSource OR n:Author) AND NOT n:Post AND NOT EXISTS { (n)--() }
DELETE n
