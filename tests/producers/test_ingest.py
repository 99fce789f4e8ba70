"""Reading channels by Telethon, against a client that speaks its interface, into a real stream."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from support.fake_telegram import FakeTelegram
from support.names import STREAM
from support.proxy import Proxy
from support.tl import CHANNEL_MARKED, EDITED, OTHER, OTHER_MARKED, POSTED, channel, message
from telethon import errors
from telethon.tl import types

from graphwriter.errors import ConfigError
from graphwriter.producers import EventPublisher
from graphwriter.producers.telethon import ingest
from graphwriter.producers.telethon.ingest import Ingest
from graphwriter.producers.telethon.session import Positions


@pytest.fixture
def telegram(monkeypatch: pytest.MonkeyPatch) -> FakeTelegram:
    """Two channels; what is tried again is tried soon."""
    monkeypatch.setattr(ingest, "PAUSES", (0.01, 0.05))
    monkeypatch.setattr(ingest, "JITTER", 0.1)
    return FakeTelegram(channel(), channel(OTHER, username="other"))


@pytest.fixture
def positions(tmp_path: Path) -> Path:
    return tmp_path / "telethon.positions"


def posts(first: int, last: int) -> list[Any]:
    return [message(number) for number in range(first, last + 1)]


def published(client: redis.Redis) -> list[dict[str, Any]]:
    entries: Any = client.xrange(STREAM)
    return [json.loads(fields[b"data"]) for _, fields in entries]


def ids(client: redis.Redis) -> list[int]:
    return [event["telegram_message_id"] for event in published(client)]


class Running:
    """An ingest on the test's servers."""

    def __init__(self, telegram: FakeTelegram, url: str, path: Path, **options: Any) -> None:
        self.said: list[str] = []
        self.publisher = EventPublisher(url, patience=0.2)
        self.ingest = Ingest(
            telegram, self.publisher, Positions(path), said=self.said.append, **options
        )

    @asynccontextmanager
    async def live(self, *names: str) -> Any:
        """Run within the block, and stop at its end."""
        running = asyncio.create_task(self.ingest.run(names or ("@notes",)))
        try:
            async with asyncio.timeout(20):
                yield running
                self.ingest.stop()
                await running
        finally:
            running.cancel()
            self.publisher.close()

    async def history(self, *names: str) -> None:
        """Read what there is."""
        try:
            async with asyncio.timeout(20):
                await self.ingest.run(names or ("@notes",), live=False)
        finally:
            self.publisher.close()


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


# History


def test_history_is_read_oldest_first_in_pages_to_its_end(
    telegram: FakeTelegram, valkey_url: str, redis_client: redis.Redis, positions: Path
) -> None:
    telegram.say(*posts(1, 250))
    running = Running(telegram, valkey_url, positions)

    asyncio.run(running.history())

    assert ids(redis_client) == list(range(1, 251))
    assert [after for _, after in telegram.requests] == [0, 100, 200, 250]
    assert Positions(positions).get(CHANNEL_MARKED) == 250
    assert running.said[-1] == "@notes: 250 messages, up to 2024-05-01 10:00"
    assert not telegram.is_connected()


def test_reading_goes_on_where_it_was_left(
    telegram: FakeTelegram, valkey_url: str, redis_client: redis.Redis, positions: Path
) -> None:
    telegram.say(*posts(1, 120))
    asyncio.run(Running(telegram, valkey_url, positions).history())
    telegram.say(*posts(121, 130))
    telegram.requests.clear()

    asyncio.run(Running(telegram, valkey_url, positions).history())

    assert ids(redis_client) == list(range(1, 131))
    assert telegram.requests == [(CHANNEL_MARKED, 120), (CHANNEL_MARKED, 130)]


def test_each_channel_has_a_position_and_service_messages_move_it(
    telegram: FakeTelegram, valkey_url: str, redis_client: redis.Redis, positions: Path
) -> None:
    pinned = types.MessageActionPinMessage()
    peer = types.PeerChannel(OTHER)
    telegram.say(*posts(1, 3), message(5, peer_id=peer))
    telegram.say(types.MessageService(id=6, peer_id=peer, date=POSTED, action=pinned))

    asyncio.run(Running(telegram, valkey_url, positions).history("@notes", "@other"))

    assert ids(redis_client) == [1, 2, 3, 5]
    at = Positions(positions)
    assert (at.get(CHANNEL_MARKED), at.get(OTHER_MARKED)) == (3, 6)


def test_a_message_that_cannot_be_read_is_counted_and_the_rest_is_read(
    telegram: FakeTelegram, valkey_url: str, redis_client: redis.Redis, positions: Path
) -> None:
    telegram.say(message(1), message(2, edit_date="yesterday"), message(3))
    running = Running(telegram, valkey_url, positions)

    asyncio.run(running.history())

    assert ids(redis_client) == [1, 3]
    assert running.ingest.counts == {"rejected": 1}


def test_a_position_is_noted_only_when_the_page_is_in_the_stream(
    telegram: FakeTelegram,
    proxy: Callable[[str], Proxy],
    valkey_url: str,
    redis_client: redis.Redis,
    positions: Path,
) -> None:
    """Stopped while Redis is unavailable; the next start reads everything."""
    telegram.say(*posts(1, 3))
    link = proxy(valkey_url)
    link.stop()

    async def stopped_in_vain() -> None:
        async with Running(telegram, link.url, positions).live():
            await until(lambda: telegram.requests)
            await asyncio.sleep(0.3)

    asyncio.run(stopped_in_vain())
    assert not positions.exists()
    link.start()
    asyncio.run(Running(telegram, link.url, positions).history())

    assert ids(redis_client) == [1, 2, 3]


def test_the_loop_goes_on_while_redis_is_away_and_nothing_is_lost(
    telegram: FakeTelegram,
    proxy: Callable[[str], Proxy],
    valkey_url: str,
    redis_client: redis.Redis,
    positions: Path,
) -> None:
    telegram.say(*posts(1, 3))
    link = proxy(valkey_url)
    link.deaf = True

    async def through_an_outage() -> None:
        async with Running(telegram, link.url, positions).live():
            await until(lambda: telegram.requests)
            slowest, last = 0.0, time.monotonic()
            for _ in range(50):
                await asyncio.sleep(0.01)
                slowest, last = max(slowest, time.monotonic() - last), time.monotonic()
            assert slowest < 2  # a blocked loop stands still for the seconds of a timeout
            await telegram.deliver(message(4))
            link.stop()
            link.deaf = False
            link.start()
            await until(lambda: len(set(ids(redis_client))) == 4)

    asyncio.run(through_an_outage())
    assert Positions(positions).get(CHANNEL_MARKED) == 3


# Live


def test_new_and_edited_messages_are_published_and_other_chats_are_not(
    telegram: FakeTelegram, valkey_url: str, redis_client: redis.Redis, positions: Path
) -> None:
    async def follow() -> None:
        async with Running(telegram, valkey_url, positions).live():
            await until(lambda: telegram.requests)
            await telegram.deliver(message(7))
            await telegram.deliver(message(8, peer_id=types.PeerChannel(OTHER)))
            await telegram.deliver(message(7, edit_date=EDITED, message="better"), edited=True)
            await until(lambda: redis_client.xlen(STREAM) == 2)

    asyncio.run(follow())
    first, second = published(redis_client)
    assert (first["telegram_message_id"], first["is_edited"]) == (7, False)
    assert (second["text"], second["is_edited"]) == ("better", True)
    assert second["occurred_at"] > first["occurred_at"]


def test_updates_are_listened_to_before_history_is_read(
    telegram: FakeTelegram, valkey_url: str, redis_client: redis.Redis, positions: Path
) -> None:
    listening = []
    telegram.idle = lambda: listening.append(telegram.listening)

    async def follow() -> None:
        async with Running(telegram, valkey_url, positions).live():
            await until(lambda: listening)

    asyncio.run(follow())
    assert listening == [True]


def test_what_no_update_came_for_is_read_with_the_next_look_at_history(
    telegram: FakeTelegram, valkey_url: str, redis_client: redis.Redis, positions: Path
) -> None:
    async def follow() -> None:
        async with Running(telegram, valkey_url, positions, every=0.05).live():
            await until(lambda: telegram.requests)
            telegram.say(message(9))
            await until(lambda: Positions(positions).get(CHANNEL_MARKED) == 9)

    asyncio.run(follow())
    assert ids(redis_client) == [9]


def test_more_updates_than_can_wait_are_counted_and_new_ones_read_later(
    telegram: FakeTelegram,
    proxy: Callable[[str], Proxy],
    valkey_url: str,
    redis_client: redis.Redis,
    positions: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ingest, "LIVE", 2)
    link = proxy(valkey_url)
    running = Running(telegram, link.url, positions, every=0.1)

    async def through_an_outage() -> None:
        async with running.live():
            await until(lambda: telegram.requests)
            link.stop()
            for each in posts(1, 6):
                telegram.say(each)
                await telegram.deliver(each)
            link.start()
            await until(lambda: set(ids(redis_client)) == set(range(1, 7)))

    asyncio.run(through_an_outage())
    assert running.ingest.counts["missed"] > 0


# What Telegram may answer


def test_a_flood_wait_is_waited_for_and_shown(
    telegram: FakeTelegram, valkey_url: str, redis_client: redis.Redis, positions: Path
) -> None:
    telegram.say(message(1))
    telegram.failures.append(errors.FloodWaitError(request=None, capture=1))
    running = Running(telegram, valkey_url, positions)
    start = time.monotonic()

    asyncio.run(running.history())

    assert 1 <= time.monotonic() - start < 10
    assert "Telegram asks to wait for 1 s" in running.said
    assert ids(redis_client) == [1]


def test_stopping_does_not_wait_for_a_flood_wait(
    telegram: FakeTelegram, valkey_url: str, redis_client: redis.Redis, positions: Path
) -> None:
    telegram.failures.append(errors.FloodWaitError(request=None, capture=86_400))
    running = Running(telegram, valkey_url, positions)

    async def stopped() -> None:
        async with running.live():
            await until(lambda: running.said)

    start = time.monotonic()
    asyncio.run(stopped())
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    "failure",
    [
        ConnectionError("gone"),
        asyncio.IncompleteReadError(b"", 4),
        TimeoutError(),
        errors.ServerError(None, "INTERNAL"),
        errors.RpcCallFailError(None),
    ],
)
def test_what_passes_by_itself_is_tried_again(
    telegram: FakeTelegram,
    valkey_url: str,
    redis_client: redis.Redis,
    positions: Path,
    failure: Exception,
) -> None:
    telegram.say(message(1))
    telegram.failures.extend([failure] * 3)

    asyncio.run(Running(telegram, valkey_url, positions).history())

    assert ids(redis_client) == [1]


def test_a_broken_connection_is_made_again_and_history_looked_at(
    telegram: FakeTelegram,
    valkey_url: str,
    redis_client: redis.Redis,
    positions: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ingest, "LOOK", 0.05)

    async def follow() -> None:
        async with Running(telegram, valkey_url, positions).live():
            await until(lambda: telegram.requests)
            telegram.cut()
            telegram.say(message(1))
            await until(lambda: ids(redis_client) == [1])

    asyncio.run(follow())
    assert telegram.connects == 2


def test_a_channel_that_is_closed_is_left_out_and_the_others_are_read(
    telegram: FakeTelegram, valkey_url: str, redis_client: redis.Redis, positions: Path
) -> None:
    telegram.closed.add(OTHER_MARKED)
    telegram.say(message(1))
    running = Running(telegram, valkey_url, positions)

    asyncio.run(running.history("@other", "@notes"))

    assert ids(redis_client) == [1]
    assert running.ingest.counts == {"failed": 1}


def test_an_id_is_known_once_the_dialogs_were_listed(
    telegram: FakeTelegram, valkey_url: str, redis_client: redis.Redis, positions: Path
) -> None:
    telegram.dialogs[CHANNEL_MARKED] = channel()
    telegram.say(message(1))

    asyncio.run(Running(telegram, valkey_url, positions).history(str(CHANNEL_MARKED)))

    assert ids(redis_client) == [1]


@pytest.mark.parametrize("name", ["@nobody", "-1009999999999"])
def test_an_unknown_channel_is_named(
    telegram: FakeTelegram, valkey_url: str, redis_client: redis.Redis, positions: Path, name: str
) -> None:
    with pytest.raises(ConfigError, match=f"--channel {name}: Cannot find"):
        asyncio.run(Running(telegram, valkey_url, positions).history(name))


def test_a_session_that_is_not_logged_in_is_a_configuration_error(
    telegram: FakeTelegram, valkey_url: str, redis_client: redis.Redis, positions: Path
) -> None:
    telegram.me = None
    with pytest.raises(ConfigError, match="not logged in"):
        asyncio.run(Running(telegram, valkey_url, positions).history())

    for refusal in (errors.AuthKeyUnregisteredError(None), errors.AuthKeyDuplicatedError(None)):
        telegram.failures.append(refusal)
        with pytest.raises(ConfigError, match="rejects TELEGRAM_SESSION"):
            asyncio.run(Running(telegram, valkey_url, positions).history())


@pytest.mark.parametrize(
    "refusal", [errors.ApiIdInvalidError(None), errors.FrozenMethodInvalidError(None)]
)
def test_what_telegram_refuses_for_good_is_a_configuration_error(
    telegram: FakeTelegram,
    valkey_url: str,
    redis_client: redis.Redis,
    positions: Path,
    refusal: Exception,
) -> None:
    telegram.failures.append(refusal)
    with pytest.raises(ConfigError, match="Telegram denies access"):
        asyncio.run(Running(telegram, valkey_url, positions).history())


def test_a_redis_that_refuses_us_ends_it(
    telegram: FakeTelegram, valkey_url: str, redis_client: redis.Redis, positions: Path
) -> None:
    redis_client.set(STREAM, "text")

    async def follow() -> None:
        async with Running(telegram, valkey_url, positions).live() as running:
            await until(lambda: telegram.requests)
            await telegram.deliver(message(1))
            await running

    with pytest.raises(ConfigError, match="wrong kind"):
        asyncio.run(follow())
    telegram.say(message(1))
    with pytest.raises(ConfigError, match="wrong kind"):
        asyncio.run(Running(telegram, valkey_url, positions).history())


# Positions


def test_a_position_never_goes_back_and_is_there_the_next_time(positions: Path) -> None:
    at = Positions(positions)
    at.set(CHANNEL_MARKED, 7)
    at.set(CHANNEL_MARKED, 5)

    assert Positions(positions).get(CHANNEL_MARKED) == 7
    assert [each.name for each in positions.parent.iterdir()] == [positions.name]


@pytest.mark.parametrize("text", [b"", b"[]", b'{"a": 1}', b'{"1": -1}', b'{"1": "x"}', b"\xff{"])
def test_a_file_of_something_else_is_not_taken_for_positions(positions: Path, text: bytes) -> None:
    positions.write_bytes(text)

    with pytest.raises(ConfigError, match="delete it"):
        Positions(positions)


def test_positions_that_cannot_be_kept_are_named(positions: Path) -> None:
    for path in (positions.parent, positions / "below"):
        with pytest.raises(ConfigError, match=str(path)):
            Positions(path).set(1, 1)
