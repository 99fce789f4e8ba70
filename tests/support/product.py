"""The product's side of a comparison with the reference model."""

from __future__ import annotations

from typing import Any

from graphwriter import events
from graphwriter.events import Event
from support.model import Fields, Model, as_bytes

CLOCK = 1_800_000_000  # seconds since 1970: every comparison's own time


def digest(register: str, values: list[Any]) -> int:
    """The product's tie-break over the model's values; a facet has no empty author_type."""
    if register == "author":
        values = [*values[:2], values[2] or None]
    return events.digest(tuple(values))


def model() -> Model:
    """A model that settles ties as the product does."""
    return Model(lambda: CLOCK, digest)


def decode(fields: Fields) -> Event:
    """What the product makes of an entry; raises BadEvent."""
    raw = {as_bytes(key): as_bytes(value) for key, value in fields.items()}
    return events.decode(raw, CLOCK * 1000)
