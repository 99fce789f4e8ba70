"""The demo's stream: what it promises to hold, counted with the real decoder."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from graphwriter import events as wire_events
from graphwriter.errors import BadEvent
from graphwriter.events import Event
from graphwriter.producers.demo import demo
from graphwriter.producers.demo.entries import BROKEN, Fields

START = datetime(2025, 1, 1, tzinfo=UTC)
LATE = int(datetime(2027, 1, 1, tzinfo=UTC).timestamp() * 1000)
COUNT = 20_000


class Decoded:
    """A stream as a worker sees it: events in order, refusals by reason and position."""

    def __init__(self, count: int, seed: int = 1) -> None:
        self.demo = demo.Demo(count, seed, START)
        self.entries: list[Fields] = list(self.demo)
        self.events: list[Event] = []
        self.refused: dict[int, str] = {}
        for position, fields in enumerate(self.entries):
            try:
                self.events.append(wire_events.decode(fields, LATE))
            except BadEvent as error:
                self.refused[position] = error.reason


@pytest.fixture(scope="module")
def stream() -> Decoded:
    return Decoded(COUNT)


def test_the_same_count_seed_and_start_give_the_same_entries(stream: Decoded) -> None:
    assert list(demo.events(COUNT, 1, START)) == stream.entries
    assert list(stream.demo) == stream.entries
    assert list(demo.events(COUNT, 2, START)) != stream.entries


def test_a_start_without_a_zone_is_utc() -> None:
    naive = START.replace(tzinfo=None)

    assert list(demo.events(300, 1, naive)) == list(demo.events(300, 1, START))


def test_without_a_start_the_stream_ends_about_now() -> None:
    *_, last = demo.events(100)
    event = wire_events.decode(last, int(time.time() * 1000))

    assert event.post.version >> 21 == pytest.approx(time.time() * 1000, abs=3_600_000)


@pytest.mark.parametrize("count", [0, 1, 2, 10, 179, 180, 181, 182, 430, 431, 432, 1000])
def test_every_count_is_kept_and_every_post_comes(count: int) -> None:
    for seed in range(5):
        stream = Decoded(count, seed)

        assert len(stream.entries) == count
        assert len({event.address for event in stream.events}) == stream.demo.planted["posts"]


def test_broken_entries_lie_at_known_positions_with_known_reasons(stream: Decoded) -> None:
    positions = range(demo.BROKEN_AT, COUNT, demo.BROKEN_EVERY)

    assert list(stream.refused) == list(positions)
    assert list(stream.refused.values()) == [
        reason for reason, _ in itertools.islice(itertools.cycle(BROKEN), len(positions))
    ]
    assert Counter(stream.refused.values()) == demo.expected_dead(COUNT)
    assert stream.demo.planted["broken"] == demo.expected_dead(COUNT).total()


def test_the_counts_of_what_was_planted_can_be_compared(stream: Decoded) -> None:
    planted = stream.demo.planted
    keys = Counter((e.address, e.post.version) for e in stream.events)
    repeated = sum(keys.values()) - len(keys)

    assert planted["posts"] == len({event.address for event in stream.events})
    assert planted["repeated"] == repeated
    assert set(planted) == {"posts", "edits", "moved", "cleared", "repeated", "late", "broken"}
    assert min(planted.values()) >= 50


def test_chats_are_of_very_unequal_size(stream: Decoded) -> None:
    sizes = [n for _, n in Counter(event.address[0] for event in stream.events).most_common()]

    assert len(sizes) > 200
    assert sizes[0] > 20 * sizes[len(sizes) // 2]


def test_both_wire_forms_are_mixed(stream: Decoded) -> None:
    whole = sum(b"data" in fields for fields in stream.entries)

    assert 0.6 < whole / COUNT < 0.8


def test_forwards_come_from_popular_sources_of_every_kind(stream: Decoded) -> None:
    sources = Counter(e.forward.source for e in stream.events if e.forward and e.forward.source)
    kinds = Counter(kind for _, kind in sources.elements())

    assert {"channel", "user", "chat", "hidden"} == set(kinds)
    assert sources.most_common(1)[0][1] > 20 * sources.total() / len(sources)


def test_forwards_and_replies_meet_posts_of_the_stream_and_others(stream: Decoded) -> None:
    posts = {event.address for event in stream.events}
    forwards = [e.forward.target for e in stream.events if e.forward and e.forward.target]
    replies = [(e.address, e.reply.target) for e in stream.events if e.reply and e.reply.target]

    assert 500 < sum(target in posts for target in forwards) < len(forwards) - 500
    assert 500 < sum(target in posts for _, target in replies) < len(replies) - 20
    assert sum(own[0] != target[0] for own, target in replies) > 100


def test_some_targets_come_after_their_replies(stream: Decoded) -> None:
    first = {e.address: n for n, e in reversed(list(enumerate(stream.events)))}
    later = sum(
        first.get(e.reply.target, -1) > n
        for n, e in enumerate(stream.events)
        if e.reply and e.reply.target
    )

    assert later > 100


def test_some_older_words_on_a_post_come_after_newer_ones(stream: Decoded) -> None:
    newest: dict[tuple[int, int], int] = {}
    stale = 0
    for event in stream.events:
        seen = newest.get(event.address, -1)
        stale += event.post.version < seen
        newest[event.address] = max(seen, event.post.version)

    assert stale > 100


def test_authors_are_users_channels_chats_and_signatures(stream: Decoded) -> None:
    authors = Counter(e.author.author[1] for e in stream.events if e.author and e.author.author)
    signed = sum(bool(e.author and e.author.signature) for e in stream.events)

    assert {"user", "channel", "chat", "signature"} == set(authors)
    assert signed > 100


def test_old_producers_speak_for_no_facet_and_threads_are_named(stream: Decoded) -> None:
    assert sum((e.forward, e.reply, e.author) == (None, None, None) for e in stream.events) > 100
    assert sum(bool(e.reply and e.reply.thread_id) for e in stream.events) > 100
    assert any(e.reply and e.reply.thread_id and not e.reply.target for e in stream.events)


def test_texts_are_in_many_scripts(stream: Decoded) -> None:
    letters = set("".join(event.post.text or "" for event in stream.events))

    assert set("aяψ茶चش🍵") <= letters


def test_to_make_an_entry_takes_less_than_three_times_as_long_as_to_decode_it() -> None:
    """So that a demo keeps its workers busy; in time of the processor, since machines differ."""

    def ratio() -> float:
        began = time.process_time()
        made = list(demo.events(15_000, 1, START))
        decoded = time.process_time()
        for fields in made:
            with suppress(BadEvent):
                wire_events.decode(fields, 2**50)
        return (decoded - began) / (time.process_time() - decoded)

    assert min(ratio() for _ in range(3)) < 3
