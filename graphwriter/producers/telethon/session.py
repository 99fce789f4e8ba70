"""The Telegram session: its client, and the position to which each channel was read.

Credentials come from the environment only, and are in no message.
"""

from __future__ import annotations

import logging
import struct
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from graphwriter import files
from graphwriter.errors import ConfigError

_Id = Annotated[int, Meta(ge=0, le=2**63 - 1)]


def client(api_id: str | None, api_hash: str | None, session: str | None) -> Any:
    """Return a `TelegramClient` that is not connected yet. Call it within the event loop.

    Raises:
        ConfigError: Telethon is not installed, or one of the three is missing or malformed. Their
            values are in no message.
    """
    logging.getLogger("telethon").setLevel(logging.WARNING)
    try:
        from telethon import TelegramClient
        from telethon.sessions import StringSession
    except ImportError:
        raise ConfigError(
            "Telethon is not installed: pip install 'graphwriter[telethon]'"
        ) from None
    given = {"TELEGRAM_API_ID": api_id, "TELEGRAM_API_HASH": api_hash, "TELEGRAM_SESSION": session}
    if missing := [name for name, value in given.items() if not value]:
        raise ConfigError(
            f"not set: {', '.join(missing)}; see docs/producers.md for where to get them. "
            f"{missing[0]}_FILE may name a file instead"
        )
    assert api_id
    if not (api_id.isascii() and api_id.isdigit() and len(api_id) < 10):
        raise ConfigError("TELEGRAM_API_ID is not a number: Telegram shows it next to the api hash")
    try:
        saved = StringSession(session)
    except (ValueError, struct.error):
        raise ConfigError(
            "TELEGRAM_SESSION is not a session: use the text that StringSession.save() returns"
        ) from None
    # Flood waits and server errors are handled in ingest.py: shown, and interrupted by a signal.
    return TelegramClient(
        saved, int(api_id), api_hash, flood_sleep_threshold=0, raise_last_call_error=True
    )


class Positions:
    """The id of the last published message of each channel, by marked id, stored in a file.

    The file is replaced atomically. A position is stored after the messages before it are in the
    stream, so after a crash some messages are published again, which changes nothing.

    Raises:
        ConfigError: the file exists and cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._at: dict[int, int] = {}
        try:
            self._at = msgspec.json.decode(path.read_bytes(), type=dict[int, _Id])
        except FileNotFoundError:
            return
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise ConfigError(
                f"{path} contains no positions of channels: delete it to read them from the start"
            ) from None

    def get(self, channel: int) -> int:
        """Return the id of the last message that is in the stream; 0 if there is none."""
        return self._at.get(channel, 0)

    def set(self, channel: int, message: int) -> None:
        """Store that all messages up to `message` are in the stream."""
        if message <= self.get(channel):
            return
        self._at[channel] = message
        try:
            files.replace(self.path, msgspec.json.encode(self._at))
        except OSError as error:
            raise ConfigError(f"{self.path}: {error.strerror}") from None
