// Reads one page of authors in key order, after [$id, $type]. Returns the number of nodes, the last key,
// null, and violations of invariants as lists of [id, type, facet or '', details]: authors without
// links, with the element id; name days that no event can have, with [element id].
// The index is only used if the query tests all of its properties.
CYPHER replan=skip
CALL () {
  MATCH (n:Author)
  WHERE n.author_id = $id AND n.author_type > $type
  RETURN n ORDER BY n.author_id, n.author_type SKIP $skip LIMIT $size
  UNION ALL
  MATCH (n:Author)
  WHERE n.author_id > $id AND n.author_type IS NOT NULL
  RETURN n ORDER BY n.author_id, n.author_type SKIP $skip LIMIT $size
}
WITH n LIMIT $size
RETURN count(n), last(collect([n.author_id, n.author_type])), count(null),
  collect(CASE WHEN NOT EXISTS { (n)--() } THEN [n.author_id, n.author_type, '', elementId(n)] END),
  collect(CASE WHEN n.name_day IS NOT :: INTEGER OR n.name_day > $day
    THEN [n.author_id, n.author_type, 'name', [elementId(n)]] END)
