// The forwards of each message that several posts forward, in a span of time, as a list of [chat,
// posted_at in microseconds since 1970]. Reads every message.
MATCH (o:Message) WHERE COUNT { (o)<-[:FORWARDED_FROM_POST]-() } > 1
CALL (o) {
  MATCH (o)<-[:FORWARDED_FROM_POST]-(p:Post)
  WHERE p.posted_at IS NOT NULL
    AND ($since IS NULL OR p.posted_at >= datetime($since))
    AND ($until IS NULL OR p.posted_at < datetime($until))
  RETURN collect([p.tg_channel_id, p.posted_at.epochSeconds * 1000000 + p.posted_at.microsecond])
    AS forwards
}
RETURN forwards
