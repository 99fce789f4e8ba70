"""Reads channels from Telegram: their history from where it was left, then what is new or edited.

History is the guarantee, live updates are the shortcut. A position rises only with history that is
in the stream, and history is looked at again now and then: so what an update never came for (a
break of the connection, a channel that the account did not join) is read then, once more than
needed at most. Only an edit that no update came for stays unknown.

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

from graphwriter.errors import BadEvent, ConfigError, GraphwriterError, Unavailable
from graphwriter.producers.publisher import EventPublisher
from graphwriter.producers.telethon.message import prepare_parsed_event
from graphwriter.producers.telethon.positions import Positions

log = logging.getLogger("graphwriter")

PAGE = 100  # messages of one request; Telegram gives no more
LIVE = 10_000  # updates that wait for Redis; what comes above is left to the next look at history
PAUSES = (1.0, 60.0)  # seconds between tries of what may pass, growing from, up to
LOOK = 5.0  # seconds between two looks at whether the client is still connected
LEAVING = 10.0  # seconds to say goodbye to Telegram in, at most
JITTER = 5.0  # seconds that a flood wait is made longer by, at most

_ID = re.compile(r"-?[0-9]{1,18}").fullmatch
T = TypeVar("T")


class _Stopped(Exception):
    """Ends whatever is waited for."""


class Channel(NamedTuple):
    """A channel by the name that was given, Telethon's entity and the marked id."""

    name: str
    entity: Any
    marked: int


class Ingest:
    """Publishes the messages of channels, until `stop` is called or all is read.

    Args:
        client: a `TelegramClient`, such as `session.client` gives.
        publisher: with a `patience` of few seconds: stopping may have to wait for it.
        said: told what is being done, for people.
        every: seconds between two looks at a channel's history.
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
        self._stopping = asyncio.Event()
        self._publishing = asyncio.Lock()
        self._live: asyncio.Queue[dict[str, Any]] = asyncio.Queue(LIVE)
        self._error: GraphwriterError | None = None

    def stop(self) -> None:
        """Make `run` return once the page in hand is in the stream. For the loop's own thread."""
        self._stopping.set()

    async def run(self, names: Sequence[str], *, live: bool = True) -> None:
        """Read the channels `names`: all of their history, then, if `live`, what comes.

        Raises:
            ConfigError: the session is not logged in, there is no such channel, Redis refuses us.
        """
        from telethon import errors

        forwarding = asyncio.create_task(self._forward())
        try:
            if await self._call(lambda: self._client.get_me()) is None:
                raise ConfigError("TELEGRAM_SESSION is not logged in: make one that is")
            channels = [await self._resolve(name) for name in names]
            if live:
                # Before history is read, so that nothing comes between the two.
                self._listen([channel.marked for channel in channels])
            while channels:
                channels = [channel for channel in channels if await self._history(channel)]
                if not live or not channels:
                    break
                self._said("all is read; waiting for what is new")
                await self._rest()
        except _Stopped:
            pass
        except errors.RPCError as error:  # such as of an api id that is none
            raise ConfigError(f"Telegram refuses us: {_line(error)}") from None
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
            # A session of text remembers no chats: an id is known once the dialogs were listed.
            await self._call(lambda: self._client.get_dialogs())
        raise AssertionError("the second try returned or raised")

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
                log.warning("Redis is away for long: new messages wait in Telegram, edits are lost")
            self.counts["missed"] += 1

    def _event(self, message: Any) -> dict[str, Any] | None:
        try:
            return prepare_parsed_event(message, tenant_id=self._tenant)
        except BadEvent as error:
            place = f"{getattr(message, 'chat_id', None)}:{getattr(message, 'id', None)}"
            log.warning("message %s is left out: %s", place, error)
            self.counts["rejected"] += 1
            return None

    async def _history(self, channel: Channel) -> bool:
        """Publish what is after the channel's position; return whether it can be read."""
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
        """Publish what arrives, as it arrives, and what is left when `stop` is called."""
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
        """Bring `events` into the stream; waits for a server that is away, until `stop`."""
        left = deque(events)
        away = False
        async with self._publishing:
            while left or away:
                try:
                    await asyncio.to_thread(self._send, left)
                except Unavailable as error:
                    if not away:
                        log.warning("%s; waiting, nothing is lost", error)
                    away = True
                    try:
                        await self._pause(random.uniform(0.5, 1.5))  # noqa: S311 - jitter
                    except _Stopped:
                        log.warning("stopped while Redis is away: new ones are read the next time")
                        raise
                else:
                    return

    def _send(self, events: deque[dict[str, Any]]) -> None:
        while events:
            self._publisher.publish(events[0])
            events.popleft()
        self._publisher.flush()

    async def _call(self, request: Callable[[], Awaitable[T]]) -> T:
        """Return what Telegram answers; waits as it asks to, and for a connection."""
        from telethon import errors

        pause = PAUSES[0]
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
                log.warning("Telegram does not answer: %s; trying again", _line(e))
                wait, pause = pause * random.uniform(0.5, 1.0), min(pause * 2, PAUSES[1])  # noqa: S311
            except (errors.UnauthorizedError, errors.AuthKeyError) as error:
                raise ConfigError(f"Telegram refuses TELEGRAM_SESSION: {_line(error)}") from None
            await self._pause(wait)

    async def _pause(self, seconds: float) -> None:
        await self._or_stop(asyncio.sleep(seconds))

    async def _rest(self) -> None:
        """Wait for the next look at history, which a broken connection brings forward."""
        end = time.monotonic() + self._every
        while self._client.is_connected() and (left := end - time.monotonic()) > 0:
            await self._pause(min(left, LOOK))

    async def _or_stop(self, awaitable: Awaitable[T]) -> T:
        """Return what is awaited; raises _Stopped as soon as `stop` is called."""
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
