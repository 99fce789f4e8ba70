"""How fast is one transaction per event, as a straightforward service writes it?

A consumer of the same stream: it reads a hundred entries, and for each opens a session and a
managed transaction with one statement for the post and one for each link that the event has.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import data
import neo4j
import orjson
import pipeline
import redis
import rig

POST = """
MERGE (p:Message {tg_channel_id: $tg_channel_id, telegram_message_id: $telegram_message_id})
SET p:Post, p.post_id = $post_id, p.channel_id = $channel_id, p.tenant_id = $tenant_id,
  p.posted_at = datetime({epochSeconds: $posted_at}), p.views_count = $views_count,
  p.forwards_count = $forwards_count, p.reactions_count = $reactions_count,
  p.has_media = $has_media, p.is_edited = $is_edited, p.telegram_post_url = $telegram_post_url,
  p.content_hash = $content_hash"""
FORWARD = """
MATCH (p:Message {tg_channel_id: $tg_channel_id, telegram_message_id: $telegram_message_id})
MERGE (s:ForwardSource {source_id: $source_id, source_type: $source_type}) SET s.name = $name
MERGE (p)-[r:FORWARDED_FROM]->(s)
SET r.forward_date = datetime({epochSeconds: $date}), r.forward_from_message_id = $original,
  r.source_name = $name
FOREACH (id IN CASE WHEN $chat IS NULL THEN [] ELSE [$original] END |
  MERGE (m:Message {tg_channel_id: $chat, telegram_message_id: id})
  MERGE (p)-[:FORWARDED_FROM_POST]->(m))"""
REPLY = """
MATCH (p:Message {tg_channel_id: $tg_channel_id, telegram_message_id: $telegram_message_id})
MERGE (m:Message {tg_channel_id: $tg_channel_id, telegram_message_id: $reply})
MERGE (p)-[:REPLIES_TO]->(m)"""
AUTHOR = """
MATCH (p:Message {tg_channel_id: $tg_channel_id, telegram_message_id: $telegram_message_id})
MERGE (a:Author {author_id: $author, author_type: 'user'}) SET a.name = $name
MERGE (a)-[r:AUTHOR_OF]->(p) SET r.signature = $name"""


def write(tx: neo4j.ManagedTransaction, event: dict[str, Any]) -> None:
    """Write one event, statement by statement."""
    key = {name: event[name] for name in ("tg_channel_id", "telegram_message_id")}
    tx.run(POST, event).consume()
    peer, name = event["forward_from_peer_id"], event["forward_from_name"]
    if peer or name:
        kind, number = next(iter(peer.items())) if peer else ("hidden", name)
        tx.run(
            FORWARD,
            key,
            source_id=str(number),
            source_type=kind.removesuffix("_id"),
            name=name,
            date=event["forward_date"],
            chat=event["forward_from_chat_id"],
            original=event["forward_from_message_id"],
        ).consume()
    if event["reply_to_message_id"] is not None:
        tx.run(REPLY, key, reply=event["reply_to_message_id"]).consume()
    author = str(event["author_peer_id"]["user_id"])
    tx.run(AUTHOR, key, author=author, name=event["author_name"]).consume()


def consume() -> None:
    """Read and write for ever."""
    client = redis.Redis.from_url(os.environ["REDIS_URL"], socket_timeout=None)
    client.ping()
    with neo4j.GraphDatabase.driver(os.environ["NEO4J_URI"]) as driver:
        driver.verify_connectivity()
        while True:
            try:
                found: Any = client.xreadgroup(
                    rig.GROUP, f"c{os.getpid()}", {rig.STREAM: ">"}, count=100, block=1000
                )
            except redis.ResponseError:  # the group comes with the stream
                continue
            for _, entries in found.items() if isinstance(found, dict) else found or []:
                for key, fields in entries[0] if isinstance(entries[0], list) else entries:
                    with driver.session(database="neo4j") as session:
                        session.execute_write(write, orjson.loads(fields[b"data"]))
                    client.xack(rig.STREAM, rig.GROUP, key)


def contender(
    place: rig.Rig, lines: list[bytes], processes: int = 1
) -> Callable[[], dict[str, Any]]:
    """Return a measurement of the straightforward service."""

    def measure() -> dict[str, Any]:
        place.wipe()
        place.fill(lines)
        return place.race([[sys.executable, __file__, "consume"]] * processes)

    return measure


def main() -> None:
    """Measure it beside the pipeline, on fewer events: it is slow."""
    question = __doc__.partition("\n")[0]
    options = rig.arguments(question, events=(10_000, "events of one measurement"))
    with rig.Rig() as place:
        lines = data.lines(options.events, options.seed, options.skew)
        many = data.lines(options.events * 10, options.seed, options.skew)
        found = rig.interleaved(
            {
                "one transaction an event": contender(place, lines),
                "pipeline, 2 workers": pipeline.contender(place, many, 2),
            },
            options.rounds,
        )
    figures = {
        "pipeline / baseline": rig.ratio(found, "pipeline, 2 workers", "one transaction an event")
    }
    rig.save("baseline", question, options, measurements=found, figures=figures)


if __name__ == "__main__":
    consume() if sys.argv[1:] == ["consume"] else main()
