// One page of forward sources in the order of their keys, after [$id, $type]: how many, the last
// key, and those with nothing attached, [id, type, element id].
// The index is only used where every property of it is asked for.
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
RETURN count(n), last(collect([n.source_id, n.source_type])),
  collect(CASE WHEN NOT EXISTS { (n)--() } THEN [n.source_id, n.source_type, elementId(n)] END)
