// Who wrote posts: [id, type, name, posts]. Reads every author.
MATCH (a:Author)
WITH a, COUNT { (a)-[:AUTHOR_OF]->() } AS posts WHERE posts >= $min
RETURN a.author_id, a.author_type, a.name, posts
ORDER BY posts DESC, a.author_type, a.author_id LIMIT $most
