"""A client that speaks Telethon's interface, with Telethon's own objects, errors and filters.

Telegram itself cannot be reached by tests. What is here is what `Ingest` asks for, no more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from telethon import utils
from telethon.tl import types


class FakeTelegram:
    """Channels with messages. `failures` are raised by the next requests, one each."""

    def __init__(self, *entities: Any) -> None:
        self.entities = {f"@{each.username}": each for each in entities}
        self.dialogs: dict[int, Any] = {}  # by marked id: known once they were listed
        self.messages: dict[int, list[Any]] = {utils.get_peer_id(each): [] for each in entities}
        self.failures: deque[Exception] = deque()
        self.closed: set[int] = set()  # channels that we may not read
        self.me: Any = types.User(id=1)
        self.requests: list[tuple[int, int]] = []  # channel and min_id of each page
        self.connects = 0
        self.idle: Callable[[], object] = lambda: None  # called when a page is empty
        self._connected = False
        self._listed = False
        self._handlers: list[tuple[Callable[[Any], Awaitable[None]], Any]] = []

    def say(self, *messages: Any) -> None:
        """Let messages be in the history, without an update."""
        for message in messages:
            self.messages[utils.get_peer_id(message.peer_id)].append(message)

    async def deliver(self, message: Any, *, edited: bool = False) -> None:
        """Send an update to the handlers whose filter lets it pass."""
        kind = types.UpdateEditChannelMessage if edited else types.UpdateNewChannelMessage
        for handler, builder in self._handlers:
            event = builder.build(kind(message=message, pts=1, pts_count=1))
            await builder.resolve(self)
            if event is not None and builder.filter(event):
                await handler(event)

    @property
    def listening(self) -> bool:
        return bool(self._handlers)

    def is_connected(self) -> bool:
        return self._connected

    async def connect(self) -> None:
        self.connects += 1
        self._connected = True

    async def disconnect(self) -> None:
        self._connected = False

    def cut(self) -> None:
        """Break the connection; requests fail until there is a new one."""
        self._connected = False

    async def get_me(self) -> Any:
        await self._request()
        return self.me

    async def get_entity(self, name: str | int) -> Any:
        await self._request()
        known = self.dialogs if self._listed else {}
        found = known.get(name) if isinstance(name, int) else self.entities.get(name)
        if found is None:
            raise ValueError(f"Cannot find any entity corresponding to {name!r}")
        return found

    async def get_dialogs(self) -> None:
        await self._request()
        self._listed = True

    async def get_messages(self, entity: Any, *, limit: int, min_id: int, reverse: bool) -> Any:
        from telethon import errors

        await self._request()
        marked = utils.get_peer_id(entity)
        self.requests.append((marked, min_id))
        if marked in self.closed:
            raise errors.ChannelPrivateError(request=None)
        assert reverse, "oldest first"
        after = sorted(m.id for m in self.messages[marked] if m.id > min_id)[:limit]
        if not after:
            self.idle()
        newest = {message.id: message for message in self.messages[marked]}
        return [newest[number] for number in after]

    def add_event_handler(self, handler: Callable[[Any], Awaitable[None]], builder: Any) -> None:
        self._handlers.append((handler, builder))

    async def _request(self) -> None:
        await asyncio.sleep(0)
        if not self._connected:
            raise ConnectionError("Cannot send requests while disconnected")
        if self.failures:
            raise self.failures.popleft()
