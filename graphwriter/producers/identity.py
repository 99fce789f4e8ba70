"""Who a post is to the graph, where its source knows Telegram's ids only.

The ids are made from the address, so that every source of ours gives one message the same ones.
"""

from __future__ import annotations

import uuid
from functools import lru_cache
from typing import Any

from graphwriter.events.telegram import Peer


def identity(tenant: str, chat: int, message: int, occurred_at: str) -> dict[str, Any]:
    """Return the fields that every event needs, of the chat with the marked id `chat`."""
    address = f"{chat}:{message}"
    return {
        "schema_version": "v1",
        "occurred_at": occurred_at,
        "idempotency_key": f"{tenant}:{address}:{occurred_at}",
        "tenant_id": tenant,
        "channel_id": _channel_id(chat),
        "post_id": address,
        "tg_channel_id": chat,
        "telegram_message_id": message,
    }


def wired(peer: Peer | None) -> dict[str, int] | None:
    """Return a peer as events give it."""
    return None if peer is None else {f"{peer.kind}_id": peer.id}


@lru_cache(maxsize=1024)
def _channel_id(chat: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"telegram:{chat}"))
