"""Reads channels from Telegram: the history from a saved position, then new and edited messages.

Reading the history gives at-least-once delivery; live updates only make it faster. A position is
advanced after its history is in the stream, and the history is read again at intervals. So messages
without an update (after a lost connection, or in a channel that the account has not joined) are
read then, and some messages are published twice. Only an edit without an update is not noticed.

Telethon runs on asyncio and the publisher blocks: it is called in a thread, one call at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import re
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from graphwriter.backoff import Backoff
from graphwriter.errors import BadEvent, ConfigError, GraphwriterError, Unavailable
from graphwriter.producers.publisher import EventPublisher
from graphwriter.producers.telethon.message import prepare_parsed_event
from graphwriter.producers.telethon.session import Positions

log = logging.getLogger("graphwriter")

PAGE = 100  # messages of one request: Telegram's limit
LIVE = (
    10_000  # updates that wait for Redis; for others, the next read of the history has the messages
)
PAUSES = (1.0, 60.0)  # seconds between attempts, first and longest
REDIS_PAUSES = (0.5, 2.0)  # the same, while Redis does not answer
LOOK = 5.0  # seconds between two checks of the connection
LEAVING = 10.0  # longest time to disconnect from Telegram, in seconds
JITTER = 5.0  # most seconds that are added to a flood wait

_ID = re.compile(r"-?[0-9]{1,18}").fullmatch
T = TypeVar("T")


class _Stopped(Exception):
    """Raised by a wait when `stop` was called."""


class Channel(NamedTuple):
    """A channel: the name as given, Telethon's entity, the marked id."""

    name: str
    entity: Any
    marked: int


class Ingest:
    """Publishes the messages of channels, until `stop` is called or everything is read.

    Args:
        client: a `TelegramClient`, such as `session.client` gives.
        publisher: with a `patience` of a few seconds: `stop` may have to wait for it.
        said: called with the progress, as text for people.
        every: seconds between two reads of a channel's history.
    """

    def __init__(
        self,
        client: Any,
        publisher: EventPublisher,
        positions: Positions,
        *,
        tenant: str = "telethon",
        said: Callable[[str], None] = lambda _: None,
        every: float = 600.0,
    ) -> None:
        self.counts: Counter[str] = Counter()  # `rejected`, `missed`, `failed`: for the exit code
        self._client, self._publisher, self._positions = client, publisher, positions
        self._tenant, self._said, self._every = tenant, said, every
        self._account: int | None = None
        self._stopping = asyncio.Event()
        self._publishing = asyncio.Lock()
        self._live: asyncio.Queue[dict[str, Any]] = asyncio.Queue(LIVE)
        self._error: GraphwriterError | None = None

    def stop(self) -> None:
        """Make `run` return after the current page is in the stream. For the loop's thread."""
        self._stopping.set()

    async def run(self, names: Sequence[str], *, live: bool = True) -> None:
        """Read the channels `names`: their history, then, if `live`, new and edited messages.

        Raises:
            ConfigError: the session is not logged in, a channel is unknown, Redis denies access.
        """
        from telethon import errors

        forwarding = asyncio.create_task(self._forward())
        try:
            me = await self._call(lambda: self._client.get_me())
            if me is None:
                raise ConfigError("TELEGRAM_SESSION is not logged in: create a new one")
            self._account = me.id
            channels = [await self._resolve(name) for name in names]
            if live:
                # Before the history is read, so that no message falls between the two.
                self._listen([channel.marked for channel in channels])
            while channels:
                channels = [channel for channel in channels if await self._history(channel)]
                if not live or not channels:
                    break
                self._said("everything is read; waiting for new messages")
                await self._rest()
        except _Stopped:
            pass
        except errors.RPCError as error:  # for example for an invalid api id
            raise ConfigError(f"Telegram denies access: {_line(error)}") from None
        finally:
            self.stop()
            await forwarding
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(self._client.disconnect(), LEAVING)
        if self._error is not None:
            raise self._error

    async def _resolve(self, name: str) -> Channel:
        from telethon import errors, utils

        given: str | int = int(name) if _ID(name) else name
        for known in (False, True):
            try:
                entity = await self._call(lambda: self._client.get_entity(given))
                return Channel(name, entity, utils.get_peer_id(entity))
            except (ValueError, errors.BadRequestError, errors.ForbiddenError) as error:
                if known or not isinstance(given, int):
                    raise ConfigError(f"--channel {name}: {_line(error)}") from None
            # A text session stores no chats: ids are known after the dialogs were listed.
            await self._call(lambda: self._client.get_dialogs())
        raise AssertionError("the second attempt returned or raised")

    def _listen(self, chats: list[int]) -> None:
        from telethon import events

        for kind in (events.NewMessage, events.MessageEdited):
            self._client.add_event_handler(self._arrived, kind(chats=chats))

    async def _arrived(self, update: Any) -> None:
        event = self._event(update.message)
        if event is None:
            return
        try:
            self._live.put_nowait(event)
        except asyncio.QueueFull:
            if not self.counts["missed"]:
                log.warning(
                    "Redis is unavailable for long: new messages are read later, edits are lost"
                )
            self.counts["missed"] += 1

    def _event(self, message: Any) -> dict[str, Any] | None:
        try:
            return prepare_parsed_event(message, tenant_id=self._tenant, account=self._account)
        except BadEvent as error:
            place = f"{getattr(message, 'chat_id', None)}:{getattr(message, 'id', None)}"
            log.warning("message %s left out: %s", place, error)
            self.counts["rejected"] += 1
            return None

    async def _history(self, channel: Channel) -> bool:
        """Publish the messages after the channel's position; return False if it cannot be read."""
        from telethon import errors

        read = 0
        while True:
            after = self._positions.get(channel.marked)
            try:
                page = await self._call(
                    lambda after=after: self._client.get_messages(  # type: ignore[misc]
                        channel.entity, limit=PAGE, min_id=after, reverse=True
                    )
                )
            except (ValueError, errors.RPCError) as error:
                log.error("%s cannot be read and is left out: %s", channel.name, _line(error))
                self.counts["failed"] += 1
                return False
            newest = max((message.id for message in page), default=0)
            if newest <= after:
                return True
            await self._publish(event for message in page if (event := self._event(message)))
            self._positions.set(channel.marked, newest)
            read += len(page)
            self._said(f"{channel.name}: {read:,} messages, up to {page[-1].date:%Y-%m-%d %H:%M}")

    async def _forward(self) -> None:
        """Publish updates as they arrive, and the remaining ones after `stop`."""
        try:
            while not self._stopping.is_set():
                await self._publish([await self._or_stop(self._live.get()), *self._arrived_yet()])
        except _Stopped:
            pass
        except GraphwriterError as error:
            self._error = error
            self.stop()
            return
        try:
            await self._publish(self._arrived_yet())
        except _Stopped:
            pass
        except GraphwriterError as error:
            self._error = error

    def _arrived_yet(self) -> list[dict[str, Any]]:
        return [self._live.get_nowait() for _ in range(self._live.qsize())]

    async def _publish(self, events: Any) -> None:
        """Publish `events`; wait while Redis is unavailable, until `stop`."""
        left = deque(events)
        away, backoff = False, Backoff(*REDIS_PAUSES)
        async with self._publishing:
            while left or away:
                try:
                    await asyncio.to_thread(self._send, left)
                except Unavailable as error:
                    if not away:
                        log.warning("%s; waiting, nothing is lost", error)
                    away = True
                    try:
                        await self._pause(backoff.next())
                    except _Stopped:
                        log.warning(
                            "stopped while Redis is unavailable: the next start reads the rest"
                        )
                        raise
                else:
                    return

    def _send(self, events: deque[dict[str, Any]]) -> None:
        while events:
            self._publisher.publish(events[0])
            events.popleft()
        self._publisher.flush()

    async def _call(self, request: Callable[[], Awaitable[T]]) -> T:
        """Return Telegram's answer; wait for flood limits and for the connection."""
        from telethon import errors

        backoff = Backoff(*PAUSES)
        while True:
            try:
                if not self._client.is_connected():
                    await self._or_stop(self._client.connect())
                return await self._or_stop(request())
            except errors.FloodError as error:
                seconds = getattr(error, "seconds", None)
                if seconds is None:
                    raise
                wait = seconds + random.uniform(0, min(JITTER, 1 + seconds / 10))  # noqa: S311
                self._said(f"Telegram asks to wait for {seconds:,} s")
            except (OSError, EOFError, TimeoutError, errors.ServerError, errors.TimedOutError) as e:
                log.warning("Telegram does not answer: %s; retrying", _line(e))
                wait = backoff.next()
            except (errors.UnauthorizedError, errors.AuthKeyError) as error:
                raise ConfigError(f"Telegram rejects TELEGRAM_SESSION: {_line(error)}") from None
            await self._pause(wait)

    async def _pause(self, seconds: float) -> None:
        await self._or_stop(asyncio.sleep(seconds))

    async def _rest(self) -> None:
        """Wait until the next read of the history: after `every` seconds, or a lost connection."""
        end = time.monotonic() + self._every
        while self._client.is_connected() and (left := end - time.monotonic()) > 0:
            await self._pause(min(left, LOOK))

    async def _or_stop(self, awaitable: Awaitable[T]) -> T:
        """Return the awaited value; raise _Stopped as soon as `stop` is called."""
        task = asyncio.ensure_future(awaitable)
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise _Stopped
            return task.result()
        finally:
            for each in (task, stopping):
                each.cancel()
            await asyncio.gather(task, stopping, return_exceptions=True)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
