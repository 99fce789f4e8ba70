// Removes versions that are equal to those of the batch, or that no event can have. It runs in the same
// transaction before write.cypher, which then writes equal rows again. Newer versions stay.
//
// The posts are locked as in write.cypher: in the same order, and before a version is read.
CYPHER replan=skip
UNWIND $batch.messages[..$batch.first] AS key
MERGE (m:Message {tg_channel_id: key[0], telegram_message_id: key[1]})
SET m.telegram_message_id = key[1]
WITH collect(m) AS messages
CALL (messages) {
  UNWIND $batch.posts AS row
  WITH row, messages[row[0]] AS p
  FOREACH (_ IN CASE WHEN p.version = row[4] OR p.version IS NOT :: INTEGER
      OR p.version > $latest THEN [1] ELSE [] END | REMOVE p.version)
  FOREACH (_ IN CASE WHEN p.forward_version = row[1] OR row[1] IS NOT NULL AND (
      p.forward_version IS NOT :: INTEGER OR p.forward_version > $latest) THEN [1] ELSE [] END |
    REMOVE p.forward_version)
  FOREACH (_ IN CASE WHEN p.reply_version = row[2] OR row[2] IS NOT NULL AND (
      p.reply_version IS NOT :: INTEGER OR p.reply_version > $latest) THEN [1] ELSE [] END |
    REMOVE p.reply_version)
  FOREACH (_ IN CASE WHEN p.author_version = row[3] OR row[3] IS NOT NULL AND (
      p.author_version IS NOT :: INTEGER OR p.author_version > $latest) THEN [1] ELSE [] END |
    REMOVE p.author_version)
  // Otherwise a node that is not a post would keep its links beside the new ones.
  FOREACH (_ IN CASE WHEN NOT p:Post AND (
      EXISTS { (p)-[:REPLIES_TO|FORWARDED_FROM|FORWARDED_FROM_POST|LINKS_TO|HAS_MEDIA]->() }
      OR EXISTS { (p)<-[:AUTHOR_OF]-() }) THEN [1] ELSE [] END | SET p:Post)
}
CALL (messages) {
  UNWIND $batch.links AS row
  WITH row, messages[row[0]] AS p
  WHERE p.links_version = row[1] OR p.links_version IS NOT :: INTEGER OR p.links_version > $latest
  REMOVE p.links_version
}
CALL (messages) {
  UNWIND $batch.media AS row
  WITH row, messages[row[0]] AS p
  WHERE p.media_version = row[1] OR p.media_version IS NOT :: INTEGER OR p.media_version > $latest
  REMOVE p.media_version
}
