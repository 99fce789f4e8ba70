"""The publisher, on a real server and with links that break."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from support.cases import BASE
from support.names import GROUP, STREAM
from support.proxy import Proxy

import graphwriter
from graphwriter import producers
from graphwriter.errors import BadEvent, ConfigError, Unavailable
from graphwriter.events.wire import PostParsedEventV1, from_values
from graphwriter.producers import EventPublisher
from graphwriter.producers.publisher import BUFFER_SIZE


def event(number: int) -> dict[str, Any]:
    return {**BASE, "telegram_message_id": number, "post_id": f"post-{number}"}


def added(client: redis.Redis) -> list[dict[bytes, bytes]]:
    """The fields of every entry."""
    entries: Any = client.xrange(STREAM)
    return [fields for _, fields in entries]


def numbers(client: redis.Redis) -> list[int]:
    return [json.loads(fields[b"data"])["telegram_message_id"] for fields in added(client)]


def test_it_is_offered_by_the_package_and_by_the_producers() -> None:
    assert graphwriter.EventPublisher is producers.EventPublisher is EventPublisher
    with pytest.raises(AttributeError, match="nonsense"):
        getattr(producers, "nonsense")  # noqa: B009 - the module's own __getattr__


def test_an_event_may_be_a_mapping_its_json_a_typed_one_or_an_entrys_fields(
    valkey_url: str, redis_client: redis.Redis
) -> None:
    fields = {b"schema_version": b"v1", b"views_count": b"7"}
    typed = from_values(event(3))
    assert isinstance(typed, PostParsedEventV1)

    with EventPublisher(valkey_url) as publisher:
        assert publisher.publish_all([event(1), json.dumps(event(2)).encode(), typed, fields]) == 4

    first, second, third, fourth = added(redis_client)
    assert [json.loads(each[b"data"]) for each in (first, second)] == [event(1), event(2)]
    assert from_values(json.loads(third[b"data"])) == typed
    assert fourth == fields


@pytest.mark.parametrize(
    "wrong", [{}, None, 5, "text", [], {1: 2}, {"x": object()}, {"x": 2**70}, {b"a": "b"}]
)
def test_what_can_be_no_entry_is_refused_and_costs_only_itself(
    valkey_url: str, redis_client: redis.Redis, wrong: Any
) -> None:
    with EventPublisher(valkey_url) as publisher:
        publisher.publish(event(1))
        with pytest.raises(BadEvent):
            publisher.publish(wrong)
        publisher.publish(event(2))

    assert numbers(redis_client) == [1, 2]


def test_events_go_many_in_one_round_trip_and_the_rest_with_the_flush(
    valkey_url: str, redis_client: redis.Redis
) -> None:
    with EventPublisher(valkey_url, many=10) as publisher:
        for number in range(25):
            publisher.publish(event(number))
        assert (redis_client.xlen(STREAM), publisher.published) == (20, 20)

    assert numbers(redis_client) == list(range(25))


def test_the_buffer_is_bounded_by_bytes_too(valkey_url: str, redis_client: redis.Redis) -> None:
    big = b"x" * (BUFFER_SIZE // 2)
    with EventPublisher(valkey_url) as publisher:
        publisher.publish(big)
        publisher.publish(big)
        assert redis_client.xlen(STREAM) == 0
        publisher.publish(big)
        assert redis_client.xlen(STREAM) == 2

    assert redis_client.xlen(STREAM) == 3


def test_an_event_that_finds_the_buffer_full_and_the_server_away_was_not_taken(
    proxy: Callable[[str], Proxy], valkey_url: str, redis_client: redis.Redis
) -> None:
    """However often it is given again, nothing grows; with the server back all is there once."""
    link = proxy(valkey_url)
    publisher = EventPublisher(link.url, many=3, patience=0.2)
    for number in range(3):
        publisher.publish(event(number))
    link.stop()
    for _ in range(3):
        with pytest.raises(Unavailable):
            publisher.publish(event(3))

    link.start()
    publisher.publish(event(3))
    publisher.flush()

    assert numbers(redis_client) == [0, 1, 2, 3]
    publisher.close()


def test_a_server_that_comes_back_in_time_is_waited_for(
    proxy: Callable[[str], Proxy],
    valkey_url: str,
    redis_client: redis.Redis,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And it is told once, at the first failure."""
    link = proxy(valkey_url)
    with EventPublisher(link.url, patience=10) as publisher:
        publisher.publish_all([event(1)])
        link.stop()
        back = threading.Timer(0.5, link.start)
        back.start()
        start = time.monotonic()
        publisher.publish_all([event(2)])
        assert 0.4 < time.monotonic() - start < 5
        back.join()

    assert numbers(redis_client) == [1, 2]
    (told,) = caplog.messages
    assert told.endswith("; trying again for 10 s")


@pytest.mark.parametrize("half", [False, True])
def test_a_lost_answer_is_sent_again_and_nothing_is_missing(
    proxy: Callable[[str], Proxy], valkey_url: str, redis_client: redis.Redis, half: bool
) -> None:
    """At least once: the events of the lost round trip are there twice, all others once."""
    link = proxy(valkey_url)
    with EventPublisher(link.url, many=5) as publisher:
        publisher.publish_all(event(number) for number in range(5))
        lost = link.drop_next_reply(half=half)
        publisher.publish_all(event(number) for number in range(5, 20))
        assert lost.is_set()

    assert set(numbers(redis_client)) == set(range(20))
    assert len(numbers(redis_client)) == 25


def test_a_connection_that_is_cut_while_events_flow_loses_none(
    proxy: Callable[[str], Proxy], valkey_url: str, redis_client: redis.Redis
) -> None:
    link = proxy(valkey_url)
    done = threading.Event()

    def cutting() -> None:
        while not done.wait(0.01):
            link.cut()

    cutter = threading.Thread(target=cutting)
    with EventPublisher(link.url, many=20) as publisher:
        cutter.start()
        publisher.publish_all(event(number) for number in range(400))
        done.set()
        cutter.join()

    assert set(numbers(redis_client)) == set(range(400))


def test_a_server_that_is_full_takes_what_it_can_and_is_given_the_rest_later(
    valkey_url: str, redis_client: redis.Redis
) -> None:
    """No event that it took is sent again."""
    publisher = EventPublisher(valkey_url, many=10, patience=0.2)
    publisher.publish_all([event(0)])
    redis_client.config_set("maxmemory", 1)
    try:
        with pytest.raises(Unavailable):
            publisher.publish_all(event(number) for number in range(1, 4))
    finally:
        redis_client.config_set("maxmemory", 0)

    publisher.flush()

    assert numbers(redis_client) == [0, 1, 2, 3]
    publisher.close()


def test_a_key_that_is_no_stream_is_a_configuration_error(
    valkey_url: str, redis_client: redis.Redis
) -> None:
    redis_client.set(STREAM, "text")
    publisher = EventPublisher(valkey_url)

    with pytest.raises(ConfigError, match="wrong kind of value"):
        publisher.publish_all([event(1)])

    publisher.close()


# maxlen


def acknowledge(client: redis.Redis, count: int) -> None:
    ((_, entries),) = _read(client, count)
    client.xack(STREAM, GROUP, *(key for key, _ in entries))


def _read(client: redis.Redis, count: int) -> Any:
    found: Any = client.xreadgroup(GROUP, "worker", {STREAM: ">"}, count=count)
    return found.items() if isinstance(found, dict) else found


def test_maxlen_removes_only_what_every_group_has_acknowledged(
    valkey_url: str, redis_client: redis.Redis
) -> None:
    redis_client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    redis_client.xgroup_create(STREAM, "slow", id="0")
    with EventPublisher(valkey_url, maxlen=1000) as publisher:
        publisher.publish_all(event(number) for number in range(3000))
        assert redis_client.xlen(STREAM) == 3000  # nobody has read them
        acknowledge(redis_client, 2500)
        publisher.publish_all(event(number) for number in range(3000, 3100))
        assert redis_client.xlen(STREAM) == 3100  # a group has not read them
        redis_client.xgroup_destroy(STREAM, "slow")
        publisher.publish_all(event(number) for number in range(3100, 3200))

    left = numbers(redis_client)
    assert len(left) < 900  # whole nodes of a hundred entries go
    assert left[-700:] == list(range(2500, 3200))


def test_maxlen_without_a_group_removes_nothing(valkey_url: str, redis_client: redis.Redis) -> None:
    with EventPublisher(valkey_url, maxlen=10) as publisher:
        publisher.publish_all(event(number) for number in range(500))

    assert redis_client.xlen(STREAM) == 500


def test_a_stream_below_maxlen_is_left_alone(valkey_url: str, redis_client: redis.Redis) -> None:
    redis_client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    with EventPublisher(valkey_url, maxlen=1000) as publisher:
        publisher.publish_all(event(number) for number in range(900))
        acknowledge(redis_client, 900)
        publisher.publish_all([event(900)])

    assert redis_client.xlen(STREAM) == 901


@pytest.mark.parametrize("numbers", [{"maxlen": 0}, {"maxlen": -1}, {"many": 0}])
def test_a_number_that_is_not_positive_is_refused(numbers: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="expected at least 1"):
        EventPublisher("redis://127.0.0.1", **numbers)  # type: ignore[arg-type]
