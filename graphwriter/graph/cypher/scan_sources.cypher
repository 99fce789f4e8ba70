// Reads one page of forward sources in key order, after [$id, $type]. Returns the number of nodes, the
// last key, null, and violations of invariants as lists of [id, type, facet or '', details]: sources
// without links, with the element id; name days that no event can have, with [element id].
// The index is only used if the query tests all of its properties.
CYPHER replan=skip
CALL () {
  MATCH (n:ForwardSource)
  WHERE n.source_id = $id AND n.source_type > $type
  RETURN n ORDER BY n.source_id, n.source_type SKIP $skip LIMIT $size
  UNION ALL
  MATCH (n:ForwardSource)
  WHERE n.source_id > $id AND n.source_type IS NOT NULL
  RETURN n ORDER BY n.source_id, n.source_type SKIP $skip LIMIT $size
}
WITH n LIMIT $size
RETURN count(n), last(collect([n.source_id, n.source_type])), count(null),
  collect(CASE WHEN NOT EXISTS { (n)--() } THEN [n.source_id, n.source_type, '', elementId(n)] END),
  collect(CASE WHEN n.name_day IS NOT :: INTEGER OR n.name_day > $day
    THEN [n.source_id, n.source_type, 'name', [elementId(n)]] END)
