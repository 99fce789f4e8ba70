"""Publish events with a plain Redis client, in both wire forms.

    REDIS_URL=redis://127.0.0.1:6379/0 python examples/plain_redis.py

Any language can do this: one XADD is one event.
"""

from __future__ import annotations

import json
import os

import redis

STREAM = "stream:posts:parsed"

event = {
    "schema_version": "v1",
    "occurred_at": "2024-05-01T10:00:00Z",
    "idempotency_key": "demo:-1001179270258:10",
    "tenant_id": "demo",
    "channel_id": "9a1f0c9e-6c5a-4c39-8a51-3f6f8f0d7a10",
    "post_id": "post-10",
    "tg_channel_id": -1001179270258,  # a marked id, as in the Bot API
    "telegram_message_id": 10,
    "reply_to_message_id": 9,
}

with redis.Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")) as client:
    # (a) One field `data` with a JSON object.
    client.xadd(STREAM, {"data": json.dumps(event)})

    # (b) Flat fields of text. What is not there is left out; `null` clears an earlier value.
    client.xadd(
        STREAM,
        {
            "schema_version": "v1",
            "occurred_at": "1714557660",
            "idempotency_key": "demo:-1001179270258:11",
            "tenant_id": "demo",
            "channel_id": "9a1f0c9e-6c5a-4c39-8a51-3f6f8f0d7a10",
            "post_id": "post-11",
            "tg_channel_id": "-1001179270258",
            "telegram_message_id": "11",
            "has_media": "true",
            "forward_from_peer_id": '{"channel_id": 1500000001}',
            "forward_from_message_id": "42",
            "reply_to_message_id": "null",
        },
    )
    print(f"2 events are in {STREAM}, which has {client.xlen(STREAM)} entries")
