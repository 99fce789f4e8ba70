"""Log in to Telegram once, and keep the session for `graphwriter ingest telethon` in a file.

    TELEGRAM_API_ID=… TELEGRAM_API_HASH=… python examples/telethon_session.py telegram.session

Telethon asks for your phone number, the code and the password. Anyone with the file can use your
account, so only you can read it. Use it with `TELEGRAM_SESSION_FILE=telegram.session`.
"""

from __future__ import annotations

import os
import sys

from telethon.sessions import StringSession
from telethon.sync import TelegramClient


def main(path: str) -> None:
    """Log in, and write the session to a new file."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    api = int(os.environ["TELEGRAM_API_ID"]), os.environ["TELEGRAM_API_HASH"]
    with os.fdopen(file, "w") as kept, TelegramClient(StringSession(), *api) as client:
        kept.write(client.session.save())
    print(f"logged in; the session is in {path}")


if __name__ == "__main__":
    main(sys.argv[1])
