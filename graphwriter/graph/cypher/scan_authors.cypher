// One page of authors in the order of their keys, after [$id, $type]: how many, the last key,
// none, and what no graph may hold, in lists of [id, type, facet or '', more]: those with nothing
// attached, with the element id; days of names that no event can have, with [element id].
// The index is only used where every property of it is asked for.
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
