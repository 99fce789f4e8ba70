// Where posts are forwarded from: [id, type, name, posts]. Reads every source.
MATCH (s:ForwardSource)
WITH s, COUNT { (s)<-[:FORWARDED_FROM]-() } AS posts WHERE posts >= $min
RETURN s.source_id, s.source_type, s.name, posts
ORDER BY posts DESC, s.source_type, s.source_id LIMIT $most
