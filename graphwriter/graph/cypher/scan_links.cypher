// Reads one page of pages that posts link to in key order, after $key. Returns the number of nodes, the last
// key, null, and those without links as a list of [url, '', '', element id], and an empty list.
CYPHER replan=skip
MATCH (n:Link)
WHERE n.url > $key
WITH n ORDER BY n.url SKIP $skip LIMIT $size
RETURN count(n), last(collect([n.url])), count(null),
  collect(CASE WHEN NOT EXISTS { (n)--() } THEN [n.url, '', '', elementId(n)] END), collect(null)
