// Reads one page of files of posts in key order, after $key. Returns the number of nodes, the last
// key, null, and those without links as a list of [sha256, '', '', element id], and an empty list.
CYPHER replan=skip
MATCH (n:Media)
WHERE n.sha256 > $key
WITH n ORDER BY n.sha256 SKIP $skip LIMIT $size
RETURN count(n), last(collect([n.sha256])), count(null),
  collect(CASE WHEN NOT EXISTS { (n)--() } THEN [n.sha256, '', '', elementId(n)] END), collect(null)
