"""The reference model: what it says of single entries, and that no order of them matters."""

from __future__ import annotations

import gzip
import itertools
import random
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.cases import CASES, CHAN5, CHANNEL, HERE, Case, Fields, a, b
from support.model import Graph, Model, assert_same
from support.paths import DATA
from support.strategies import Event, events, form_a, form_b, refused, worlds

REAL_EVENTS = DATA / "real-events-10k.jsonl.gz"
DAY = 86_400
LATER = "2024-05-01T10:00:00.001Z"
Story = tuple[str, list[Fields], dict[str, Any]]
OTHER_POST = {"telegram_message_id": 8, "post_id": "q"}


def graph_of(entries: Iterable[Fields]) -> Graph:
    model = Model()
    for entry in entries:
        assert model.apply(entry) is None
    return model.graph()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_cases_come_out_as_the_contract_says(case: Case) -> None:
    model = Model()

    assert model.apply(case.fields) == case.refusal

    graph = model.graph()
    assert {table: graph[table] for table in case.graph or {}} == (case.graph or {})
    assert (graph["messages"] == {}) == (case.refusal is not None)


def test_names_of_cases_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


@settings(max_examples=50, deadline=None)
@given(worlds(), st.randoms(use_true_random=False))
def test_order_and_repetition_change_nothing(world: list[Fields], chance: random.Random) -> None:
    again = world + chance.choices(world, k=len(world))
    chance.shuffle(again)

    assert_same(graph_of(world), graph_of(again))
    assert graph_of(world) == graph_of(again)


@settings(deadline=None)
@given(st.lists(events(), max_size=4))
def test_every_permutation_gives_one_graph(told: list[Event]) -> None:
    graphs = [graph_of(map(form_a, order)) for order in itertools.permutations(told)]

    assert all(graph == graphs[0] for graph in graphs)


@settings(deadline=None)
@given(events(), st.sampled_from((b"null", b"")))
def test_both_forms_are_one_event(event: Event, null: bytes) -> None:
    """Their versions are equal too, so that either may come first."""
    as_object, flat = Model(), Model()

    assert as_object.apply(form_a(event)) is None
    assert flat.apply(form_b(event, null)) is None

    assert as_object.graph() == flat.graph()
    if event.get("author_type") is None or "author_name" in event:
        assert as_object.posts == flat.posts


@settings(deadline=None)
@given(refused(), st.booleans())
def test_refused_events_leave_no_trace(event: tuple[Event, str], as_object: bool) -> None:
    model = Model()

    assert model.apply(form_a(event[0]) if as_object else form_b(event[0])) == event[1]

    assert graph_of([]) == model.graph()


STORIES: list[Story] = [
    (
        "a facet not spoken for stays, and the post's own fields go",
        [a(reply_to_message_id=3, views_count=1), a(occurred_at=LATER, has_media=True)],
        {
            "replies": {HERE: ((CHANNEL, 3), None)},
            "messages": {
                HERE: {"post_id": "p", "channel_id": "c", "tenant_id": "t", "has_media": True},
                (CHANNEL, 3): None,
            },
        },
    ),
    (
        "a facet that is all null clears and leaves no placeholder",
        [a(reply_to_message_id=3), a(occurred_at=LATER, thread_id=None)],
        {"replies": {}, "messages": graph_of([a()])["messages"]},
    ),
    (
        "flat nulls and an empty name clear",
        [
            a(forward_from_name="A", author_peer_id=5),
            b(occurred_at=LATER.encode(), forward_from_name=b"", author_peer_id=b""),
        ],
        {"forwards": {}, "sources": set(), "authored": {}, "authors": set()},
    ),
    (
        "a thread alone clears a reply",
        [a(reply_to_message_id=3), a(occurred_at=LATER, thread_id=2)],
        {"replies": {}},
    ),
    (
        "a moved reply leaves its old parent only where that is a post",
        [
            a(reply_to_message_id=8),
            a(**OTHER_POST),
            a(reply_to_message_id=9, occurred_at=LATER),
        ],
        {
            "replies": {HERE: ((CHANNEL, 9), None)},
            "messages": {
                **graph_of([a(), a(**OTHER_POST)])["messages"],
                (CHANNEL, 9): None,
            },
        },
    ),
    (
        "a source that another post has stays when one moves away",
        [
            a(forward_from_peer_id=5),
            a(forward_from_peer_id=5, **OTHER_POST),
            a(forward_from_peer_id=CHAN5, occurred_at=LATER),
        ],
        {"sources": {("user", "5"), ("channel", "5")}},
    ),
]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story[0])
def test_stories_end_the_same_in_every_order(story: Story) -> None:
    _, entries, graph = story
    for order in itertools.permutations(entries):
        ended = graph_of(order)

        assert {table: ended[table] for table in graph} == graph


def test_moments_are_compared_in_milliseconds() -> None:
    """Within one the digest decides, here the number of views."""
    first = a(occurred_at="2024-05-01T10:00:00.000999Z", views_count=1)
    second = a(occurred_at="2024-05-01T10:00:00Z", views_count=2)
    third = a(occurred_at=LATER, views_count=0)
    model = Model(digest=lambda _, values: values[4] or 0)

    views = []
    for entry in (first, second, first, third, second):
        assert model.apply(entry) is None
        views.append(model.graph()["messages"][HERE]["views_count"])

    assert views == [1, 2, 2, 0, 0]


def test_the_digest_sees_normalised_values_in_the_order_of_the_contract() -> None:
    seen = {}
    model = Model(digest=lambda register, values: seen.update({register: values}) or 0)
    event = {
        "forward_from_peer_id": {"chat_id": 5},
        "forward_from_chat_id": 6,
        "forward_date": 0.5,
        "forward_from_name": "",
        "reply_to_message_id": 3,
        "reply_to_chat_id": 5,
        "author_name": "A",
        "author_type": "user",
        "posted_at": "1970-01-01T00:00:01Z",
        "text": "x",
    }

    assert model.apply(a(**event)) is None

    nothing: list[None] = [None] * 7
    assert seen == {
        "post": ["p", "c", "t", 1_000_000, *nothing, "x", None],
        "forward": [-5, -6, None, 500_000, None],
        "reply": [3, CHAN5, None],
        "author": [None, "A", "user"],
    }


@pytest.mark.parametrize(
    ("clock", "entry_time", "refusal"),
    [
        (0, 0, "occurred_at"),
        (DAY + 1, 0, None),
        (0, DAY + 1, None),
        (DAY - 1, DAY - 1, "occurred_at"),
    ],
)
def test_the_future_begins_a_day_after_clock_and_entry(
    clock: int, entry_time: int, refusal: str | None
) -> None:
    model = Model(clock=lambda: clock)

    assert model.apply(a(occurred_at=2 * DAY), f"{entry_time * 1000}-1") == refusal


def test_names_are_those_that_some_event_gave() -> None:
    """A signature beside a channel is no name of the channel's."""
    entries = [
        a(author_peer_id=5, author_name="Ann", forward_from_name="B"),
        a(author_peer_id=5, author_name="Anna", forward_from_peer_id=CHAN5, forward_from_name="C"),
        a(author_peer_id=CHAN5, author_name="Ann"),
        a(author_name="Ann"),
    ]

    assert graph_of(entries)["names"] == {
        ("author", "user", "5"): {"Ann", "Anna"},
        ("author", "signature", f"{CHANNEL}:Ann"): {"Ann"},
        ("source", "hidden", "B"): {"B"},
        ("source", "channel", "5"): {"C"},
    }


def test_a_difference_is_named() -> None:
    expected = graph_of([a(author_peer_id=5, author_name="Ann")])
    actual = graph_of([a(views_count=1)])
    actual["labels"] = {("author", "user", "5"): "Bob"}

    with pytest.raises(AssertionError) as caught:
        assert_same(expected, actual)

    lines = str(caught.value).splitlines()
    assert [line.split(" ")[0] for line in lines] == ["messages", "authors", "authored", "label"]
    assert f"authored {HERE}: expected (('user', '5'), 'Ann'), is nothing" in lines


def test_real_events_are_accepted_in_any_order() -> None:
    if not REAL_EVENTS.exists():
        pytest.skip(f"no {REAL_EVENTS.name} beside the project")
    with gzip.open(REAL_EVENTS) as lines:
        entries = [{b"data": line} for line in lines]
    expected = graph_of(entries)
    random.Random(1).shuffle(entries)

    assert_same(expected, graph_of(entries))
    assert len(expected["replies"]) > 300
    assert len(expected["forwards"]) > 4_000
