// Short queries, each below its name. A name is a line of two slashes, a space, a colon and a word.

// :write_probe
// Whether the database takes writes: the transaction is rolled back.
CREATE ()

// :read_probe
RETURN 1

// :version
CALL dbms.components() YIELD name, versions, edition

// :clock
RETURN datetime.realtime().epochMillis AS now

// :java
// The heap is in bytes. A name is such as java.lang:name=PS Scavenge,type=GarbageCollector.
CALL dbms.queryJmx('java.lang:type=GarbageCollector,name=*') YIELD name
WITH collect(name) AS names
CALL dbms.queryJmx('java.lang:type=Memory') YIELD attributes
WITH names, attributes.HeapMemoryUsage.value.properties AS heap
RETURN names, heap.init AS first, heap.max AS most

// :database
SHOW DATABASES YIELD name, aliases, access, currentStatus, requestedStatus, statusMessage
WHERE name = $name OR $name IN aliases

// :constraints
SHOW CONSTRAINTS YIELD name, type, labelsOrTypes, properties, entityType

// :indexes
SHOW INDEXES YIELD name, state, type, labelsOrTypes, properties, owningConstraint

// :analyzers
CALL db.index.fulltext.listAvailableAnalyzers() YIELD analyzer

// The counts below come from Neo4j's count store, which has them ready; planning them is fast.

// :node
MATCH (n) RETURN count(n) AS number

// :Post
MATCH (n:Post) RETURN count(n) AS number

// :Message
MATCH (n:Message) RETURN count(n) AS number

// :ForwardSource
MATCH (n:ForwardSource) RETURN count(n) AS number

// :Author
MATCH (n:Author) RETURN count(n) AS number

// :Link
MATCH (n:Link) RETURN count(n) AS number

// :Media
MATCH (n:Media) RETURN count(n) AS number

// :FORWARDED_FROM
MATCH ()-[r:FORWARDED_FROM]->() RETURN count(r) AS number

// :FORWARDED_FROM_POST
MATCH ()-[r:FORWARDED_FROM_POST]->() RETURN count(r) AS number

// :REPLIES_TO
MATCH ()-[r:REPLIES_TO]->() RETURN count(r) AS number

// :AUTHOR_OF
MATCH ()-[r:AUTHOR_OF]->() RETURN count(r) AS number

// :LINKS_TO
MATCH ()-[r:LINKS_TO]->() RETURN count(r) AS number

// :HAS_MEDIA
MATCH ()-[r:HAS_MEDIA]->() RETURN count(r) AS number

// :foreign
// Posts of another service, and how many of them have all parts of an address.
MATCH (p:Post) WHERE NOT p:Message
RETURN count(p) AS number, count(CASE WHEN p.post_id IS NOT NULL
  AND p.tg_channel_id IS NOT NULL AND p.telegram_message_id IS NOT NULL THEN 1 END) AS ready

// :foreign_with_address
// A page of the posts of another service that can be adopted without an event.
MATCH (p:Post)
WHERE p.post_id > $after AND NOT p:Message
  AND p.tg_channel_id IS NOT NULL AND p.telegram_message_id IS NOT NULL
RETURN p.post_id AS post_id, p.tg_channel_id AS channel, p.telegram_message_id AS message
ORDER BY post_id LIMIT $page

// :repeated_links
// Posts with more than one link of a type, among the first $most posts.
MATCH (p:Post) WITH p LIMIT $most
WITH p.post_id AS post, [
  ['FORWARDED_FROM', count {(p)-[:FORWARDED_FROM]->()}],
  ['FORWARDED_FROM_POST', count {(p)-[:FORWARDED_FROM_POST]->()}],
  ['REPLIES_TO', count {(p)-[:REPLIES_TO]->()}],
  ['AUTHOR_OF', count {(p)<-[:AUTHOR_OF]-()}]
] AS links
UNWIND links AS link
WITH post, link WHERE link[1] > 1
RETURN link[0] AS type, count(*) AS posts, min(post) AS example ORDER BY type

// :bare_channels
// Messages with a bare channel id next to a message with the marked id, among the first $most
// messages with a positive id. A positive id is a private chat's, so most graphs have none.
MATCH (m:Message) WHERE m.tg_channel_id > 0 WITH m LIMIT $most
WHERE EXISTS { (:Message {tg_channel_id: -1000000000000 - m.tg_channel_id,
  telegram_message_id: m.telegram_message_id}) }
RETURN count(m) AS number

// :links_by_type
MATCH ()-[r]->() WITH type(r) AS link, count(*) AS number RETURN link, number ORDER BY link

// :placeholders
MATCH (m:Message) WHERE NOT m:Post RETURN count(m) AS number
