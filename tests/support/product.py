"""The product's side of a comparison with the reference model."""

from __future__ import annotations

from typing import Any

from graphwriter import events
from graphwriter.events import Event
from graphwriter.keep import NOTHING, Keep
from support.model import Fields, Model, as_bytes

EVERYTHING = Keep(text=True, links=True, media=True, albums=True)
CLOCK = 1_800_000_000  # seconds since 1970: every comparison's own time


def digest(register: str, values: list[Any]) -> int:
    """The product's tie-break over the model's values; a facet has no empty author_type."""
    if register == "author":
        values = [*values[:2], values[2] or None]
    if register == "post" and values[-1] is None:
        values = values[:-1]  # without an album
    if register == "links":
        values = values[2]
    if register == "media":
        values = sorted(values[0])
    return events.digest(tuple(values))


def model(*, rich: bool = False) -> Model:
    """A model that settles ties as the product does."""
    return Model(lambda: CLOCK, digest, rich=rich)


def decode(fields: Fields, keep: Keep = NOTHING) -> Event:
    """What the product makes of an entry; raises BadEvent."""
    raw = {as_bytes(key): as_bytes(value) for key, value in fields.items()}
    return events.decode(raw, CLOCK * 1000, None, keep)
