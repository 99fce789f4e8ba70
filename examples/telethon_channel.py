"""Publish a channel's last messages and then new ones, from your own Telethon script.

    TELEGRAM_API_ID=… TELEGRAM_API_HASH=… python examples/telethon_channel.py @channel

Telethon asks for your phone number and the code the first time. `graphwriter ingest telethon` does
the same, with saved positions, flood waits and edits; this example shows the two calls needed.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from graphwriter.producers import EventPublisher, prepare_parsed_event


async def publish(client: Any, publisher: EventPublisher, channel: str, limit: int = 1000) -> int:
    """Publish the last `limit` messages of a channel; return how many posts they are."""
    found = [
        event
        async for message in client.iter_messages(channel, limit=limit)
        if (event := prepare_parsed_event(message)) is not None  # None: a service message
    ]
    # The publisher blocks until Redis has the events: keep it out of the loop's thread.
    return await asyncio.to_thread(publisher.publish_all, found)


async def main(channel: str) -> None:
    """Publish the last messages, then new ones until Ctrl-C."""
    from telethon import TelegramClient, events

    api = int(os.environ["TELEGRAM_API_ID"]), os.environ["TELEGRAM_API_HASH"]
    with EventPublisher(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")) as publisher:
        async with TelegramClient("graphwriter-example", *api) as client:
            print(f"{await publish(client, publisher, channel)} posts published", flush=True)
            one_at_a_time = asyncio.Lock()  # a publisher is for one thread at a time

            async def arrived(update: Any) -> None:
                if (event := prepare_parsed_event(update.message)) is not None:
                    async with one_at_a_time:
                        await asyncio.to_thread(publisher.publish_all, [event])

            client.add_event_handler(arrived, events.NewMessage(chats=channel))
            await client.run_until_disconnected()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/telethon_channel.py @channel")
    asyncio.run(main(sys.argv[1]))
