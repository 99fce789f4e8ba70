"""The Telegram client, of credentials that are in no argument and no message."""

from __future__ import annotations

import logging
import struct
from typing import Any

from graphwriter.errors import ConfigError


def client(api_id: str | None, api_hash: str | None, session: str | None) -> Any:
    """Return a `TelegramClient` that is not connected yet; to be called within the loop.

    Raises:
        ConfigError: Telethon is not installed, or one of the three is missing or malformed. Their
            values are in no message.
    """
    logging.getLogger("telethon").setLevel(logging.WARNING)
    try:
        from telethon import TelegramClient
        from telethon.sessions import StringSession
    except ImportError:
        raise ConfigError("Telethon is not here: pip install 'graphwriter[telethon]'") from None
    given = {"TELEGRAM_API_ID": api_id, "TELEGRAM_API_HASH": api_hash, "TELEGRAM_SESSION": session}
    if missing := [name for name, value in given.items() if not value]:
        raise ConfigError(
            f"not set: {', '.join(missing)}; docs/producers.md says where they come from. "
            f"{missing[0]}_FILE may name a file instead"
        )
    assert api_id
    if not (api_id.isascii() and api_id.isdigit() and len(api_id) < 10):
        raise ConfigError("TELEGRAM_API_ID is no number: Telegram gives it with the hash")
    try:
        saved = StringSession(session)
    except (ValueError, struct.error):
        raise ConfigError(
            "TELEGRAM_SESSION is no session: it is the text that StringSession.save() gave"
        ) from None
    # Flood waits are ours: shown, and ended by a signal. So are errors of the server.
    return TelegramClient(
        saved, int(api_id), api_hash, flood_sleep_threshold=0, raise_last_call_error=True
    )
