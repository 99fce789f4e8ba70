// The names of chats that people gave: [id as a decimal, type, name].
UNWIND $keys AS key
OPTIONAL MATCH (s:ForwardSource {source_id: key[0], source_type: key[1]})
OPTIONAL MATCH (a:Author {author_id: key[0], author_type: key[1]})
WITH key, coalesce(s.name, a.name) AS name WHERE name IS NOT NULL
RETURN key[0], key[1], name
