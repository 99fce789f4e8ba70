"""What the graph keeps of posts that it does not keep by default."""

from __future__ import annotations

from typing import NamedTuple

from graphwriter.errors import ConfigError


class Keep(NamedTuple):
    """Texts, links to pages and messages, media by their hash, and the album of a post."""

    text: bool = False
    links: bool = False
    media: bool = False
    albums: bool = False


NOTHING = Keep()


def read(text: bool, enrich: str | None) -> Keep:
    """Return what is kept; `enrich` are names separated by commas, as in GRAPH_WRITER_ENRICH.

    Raises:
        ConfigError: for an unknown name.
    """
    words = [word.strip().lower() for word in (enrich or "").split(",") if word.strip()]
    known = Keep._fields[1:]
    for word in words:
        if word not in known:
            raise ConfigError(
                f"GRAPH_WRITER_ENRICH has {word!r}, expected some of {', '.join(known)}"
            )
    return Keep(text, **dict.fromkeys(words, True))
