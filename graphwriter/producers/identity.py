"""The required fields of an event whose source has only Telegram's ids.

The ids are derived from the address, so every source gives the same ids to the same message.
"""

from __future__ import annotations

import uuid
from functools import lru_cache
from typing import Any

from graphwriter.events.telegram import Peer, chat_of_account, numbered_for_each_account


def identity(
    tenant: str, chat: int, message: int, occurred_at: str, account: int | None = None
) -> dict[str, Any]:
    """Return the required fields of an event, and `account_id` where the address depends on it.

    `chat` is a marked id, `account` the bare id of the user whose account saw the message.
    """
    address = f"{chat_of_account(account, chat)}:{message}"
    fields = {
        "schema_version": "v1",
        "occurred_at": occurred_at,
        "idempotency_key": f"{tenant}:{address}:{occurred_at}",
        "tenant_id": tenant,
        "channel_id": _channel_id(chat),
        "post_id": address,
        "tg_channel_id": chat,
        "telegram_message_id": message,
    }
    if account is not None and numbered_for_each_account(chat):
        fields["account_id"] = account
    return fields


def lacks_account(event: dict[str, Any]) -> bool:
    """Return whether the event's chat is numbered for each account, and the account is unknown."""
    return "account_id" not in event and numbered_for_each_account(event["tg_channel_id"])


def wired(peer: Peer | None) -> dict[str, int] | None:
    """Return a peer in the form of an event's field."""
    return None if peer is None else {f"{peer.kind}_id": peer.id}


@lru_cache(maxsize=1024)
def _channel_id(chat: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"telegram:{chat}"))
