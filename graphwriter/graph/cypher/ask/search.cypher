// Posts with the words of $words, the best first: [chat, message, score]. Needs the index of
// `schema apply --fulltext`.
CALL db.index.fulltext.queryNodes('graphwriter_text', $words, {limit: $most}) YIELD node, score
WHERE node:Message
RETURN node.tg_channel_id, node.telegram_message_id, score
