// All nodes: [kind, key as a list, name, text, URL, posted_at in microseconds since 1970].
MATCH (n) WHERE n:Message OR n:ForwardSource OR n:Author OR n:Link OR n:Media
RETURN CASE WHEN n:Post THEN 'post' WHEN n:Message THEN 'placeholder' WHEN n:Author THEN 'author'
    WHEN n:Link THEN 'link' WHEN n:Media THEN 'media' ELSE 'source' END,
  CASE WHEN n:Message THEN [n.tg_channel_id, n.telegram_message_id]
    WHEN n:Author THEN [n.author_type, n.author_id] WHEN n:Link THEN ['url', n.url]
    WHEN n:Media THEN ['sha256', n.sha256] ELSE [n.source_type, n.source_id] END,
  coalesce(n.name, n.url), n.text, n.telegram_post_url, n.posted_at.epochSeconds * 1000000 + n.posted_at.microsecond
