"""Decoding: every example of the contract, and both forms of an event are one event."""

from __future__ import annotations

import gc
import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.cases import BASE, CASES, Case
from support.paths import DATA
from support.product import decode, model
from support.strategies import Event, events, form_a, form_b, refused

from graphwriter.errors import BadEvent
from graphwriter.events import decode as decode_at
from graphwriter.events import from_values, telegram, times, wire
from graphwriter.keep import NOTHING
from graphwriter.stream import Entry
from graphwriter.worker.intake import prepare

REAL_EVENTS = DATA / "real-events-10k.jsonl.gz"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_example_is_taken_or_refused_for_its_reason(case: Case) -> None:
    """The product agrees with a table made from the contract by somebody else."""
    if case.refusal is None:
        decode(case.fields)
        return
    with pytest.raises(BadEvent) as caught:
        decode(case.fields)
    assert caught.value.reason in {case.refusal, *case.others.split()}
    assert "\n" not in caught.value.message


@given(events())
@settings(max_examples=300, deadline=None)
def test_both_forms_are_the_same_event(event: Event) -> None:
    """Ids, times and versions are the same, whichever form an event came in."""
    assert decode(form_a(event)) == decode(form_b(event)) == decode(form_b(event, b""))


@given(refused())
@settings(max_examples=200, deadline=None)
def test_what_the_model_refuses_the_product_refuses(case: tuple[Event, str]) -> None:
    """Each in both forms, where the form can say it at all."""
    event, _ = case
    for fields in (form_a(event), form_b(event)):
        reason = model().apply(fields)
        if reason is None:
            decode(fields)
        else:
            with pytest.raises(BadEvent):
                decode(fields)


@given(st.dictionaries(st.binary(max_size=20), st.binary(max_size=60), max_size=6))
@settings(max_examples=500, deadline=None)
def test_arbitrary_fields_give_an_event_or_a_named_refusal(fields: dict[bytes, bytes]) -> None:
    """Nothing but BadEvent comes out of the decoder."""
    with pytest.raises(BadEvent):
        decode(fields)


@given(st.binary(max_size=200))
@settings(max_examples=500, deadline=None)
def test_arbitrary_data_gives_an_event_or_a_named_refusal(data: bytes) -> None:
    """Nothing but BadEvent comes out of the decoder."""
    with pytest.raises(BadEvent):
        decode({b"data": data})


@pytest.mark.parametrize(
    ("changes", "reason", "says"),
    [
        ({"views_count": "many"}, "wrong_type", "views_count is 'many'"),
        ({"post_id": None}, "wrong_type", "post_id is None"),
        ({"schema_version": "v9", "post_id": 3}, "schema_version", "'v9'"),
        (
            {"forward_from_peer_id": {"user_id": 1, "chat_id": 2}},
            "wrong_type",
            "names 2 peers, expected one",
        ),
        ({"forward_from_peer_id": {"user_id": -1}}, "wrong_type", "user_id -1"),
        ({"reply_to_message_id": 7}, "self_link", "replies to itself"),
        ({"post_id": "é" * 1001}, "id_too_long", "post_id has 2002 bytes"),
        ({"posted_at": "yesterday"}, "wrong_type", "posted_at is 'yesterday'"),
        ({"tg_message_id": 8}, "wrong_type", "telegram_message_id is 7, but tg_message_id is 8"),
        ({"tg_channel_id": 2**70}, "integer_range", "tg_channel_id is 11805916207174113"),
    ],
)
def test_a_refusal_names_the_field_and_the_value(
    changes: dict[str, Any], reason: str, says: str
) -> None:
    """Also when the event comes as a mapping, in the library."""
    event = BASE | changes
    with pytest.raises(BadEvent, match=says) as caught:
        decode({b"data": json.dumps(event).encode()})
    assert caught.value.reason == reason
    with pytest.raises(BadEvent) as again:
        from_values(event, 2**50)
    assert again.value.reason == reason


def test_another_tenants_event_is_refused_where_one_is_set() -> None:
    """GRAPH_WRITER_TENANT keeps the tenants apart."""
    fields = {b"data": msgspec.json.encode(BASE)}
    assert decode_at(fields, 2**50, "t").tenant_id == "t"
    with pytest.raises(BadEvent, match="tenant_id is 't'"):
        decode_at(fields, 2**50, "other")


def test_an_event_is_late_only_after_both_clocks() -> None:
    """A worker whose clock is wrong must not refuse what the stream's own clock allows."""
    fields = {b"data": msgspec.json.encode(BASE | {"occurred_at": 1_700_000_000})}
    day = 86_400_000
    decode_at(fields, 1_700_000_000_000 - day)
    with pytest.raises(BadEvent, match="more than a day ahead"):
        decode_at(fields, 1_700_000_000_000 - day - 1)


def test_one_byte_under_the_limit_is_taken_and_one_over_is_not() -> None:
    """The limit is 1 MiB of the wire text."""
    bare = msgspec.json.encode(BASE | {"text": ""})
    fitting = msgspec.json.encode(BASE | {"text": "x" * (wire.SIZE_LIMIT - len(bare))})
    assert len(fitting) == wire.SIZE_LIMIT
    decode({b"data": fitting})
    with pytest.raises(BadEvent, match="too_large"):
        decode({b"data": fitting + b" "})


@given(st.integers(1, 2**40), st.sampled_from(["user", "chat", "channel"]))
def test_marked_ids_can_be_told_apart_again(bare: int, kind: str) -> None:
    """Marking is arithmetic; a basic chat's id stays below the mark."""
    if kind == "chat":
        bare %= telegram.MARK
    peer = telegram.Peer(kind, bare or 1)
    assert telegram.unmarked(peer.marked) == peer


@pytest.mark.skipif(not REAL_EVENTS.exists(), reason=f"no real events at {REAL_EVENTS}")
def test_real_events_are_all_taken_by_both() -> None:
    """Ten thousand real events: product and model agree on each address."""
    reference = model()
    with gzip.open(REAL_EVENTS) as lines:
        for line in lines:
            fields = {b"data": line.strip()}
            assert reference.apply(fields) is None
            assert decode(fields).address in reference.posts


def test_the_schema_names_every_field() -> None:
    """Producers in other languages get what the decoder takes."""
    (definition,) = (
        d for name, d in wire.json_schema()["$defs"].items() if name == "PostParsedEventV1"
    )
    assert set(definition["properties"]) == set(wire.PostParsedEventV1.__struct_fields__)
    assert "occurred_at" in definition["required"]


def test_a_refused_entry_keeps_nothing_of_its_batch_alive() -> None:
    """Workers collect garbage rarely: a cycle in a batch would keep dozens of them in memory."""
    good = {b"data": json.dumps(BASE).encode()}
    entries = [Entry(b"1-1", good)] * 500 + [Entry(b"1-2", {b"no": b"event"})] * 3
    gc.collect()
    gc.disable()
    try:
        assert len(prepare(entries, None, NOTHING).bad) == 3
        assert gc.collect() < 50
    finally:
        gc.enable()


@given(st.datetimes(), st.sampled_from(("Z", "+00:00", "z", "", "-00:00")))
def test_a_time_is_the_same_in_every_spelling(when: datetime, zone: str) -> None:
    """Also in the usual ones, which are read by a shorter way."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    since = (when.replace(tzinfo=UTC) - epoch) // timedelta(microseconds=1)
    text = when.isoformat()
    for spelt in (text, text.replace("T", " "), when.isoformat(timespec="microseconds")):
        assert times.micros("t", f"{spelt}{zone}") == since
