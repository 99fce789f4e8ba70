"""The whole graph, or a span of it, as nodes and edges that are read while they are written."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from graphwriter.events import times
from graphwriter.graph import Graph
from graphwriter.graph.client import statement
from graphwriter.pictures.network import LABEL, Edge, Node
from graphwriter.queries.address import Address
from graphwriter.queries.chats import span
from graphwriter.queries.pseudonyms import PEOPLE, Pseudonyms

_KINDS = {
    "FORWARDED_FROM": "source",
    "FORWARDED_FROM_POST": "forwards",
    "REPLIES_TO": "replies",
    "AUTHOR_OF": "author",
    "LINKS_TO": "links",
    "HAS_MEDIA": "media",
}


class Export:
    """Nodes and edges of posts between `since` and `until`; None: of the whole graph.

    Workers may write meanwhile: an edge may then have an end that is not among the nodes.
    """

    def __init__(
        self,
        graph: Graph,
        since: datetime | None = None,
        until: datetime | None = None,
        pseudonyms: Pseudonyms | None = None,
    ) -> None:
        self._graph, self._pseudonyms = graph, pseudonyms
        self._span = span(since, until)

    def nodes(self) -> Iterator[Node]:
        """Yield every node once. Blocks and raises as `Graph.stream`."""
        if any(self._span.values()):
            rows = self._graph.stream(statement("ask/export_window"), **self._span)
        else:
            rows = self._graph.stream(statement("ask/export_nodes"))
        for kind, key, name, text, url, posted in rows:
            if None in key:
                continue  # a post of another service, without an address
            message = kind in ("post", "placeholder")
            identity, person = self._id("message" if message else kind, key)
            hidden = self._pseudonyms is not None
            label = name if not (person and hidden) else None
            label = (None if hidden else text) or label or identity
            yield Node(
                id=identity,
                label=" ".join(label.split())[:LABEL],
                kind=kind,
                group=identity.rpartition(":")[0] if message else kind,
                url=(url or Address(*key).link) if message else None,
                posted_at=None if posted is None else times.iso(posted),
            )

    def edges(self) -> Iterator[Edge]:
        """Yield every link once. Blocks and raises as `Graph.stream`."""
        for type_, chat, message, kind, key in self._graph.stream(
            statement("ask/export_links"), **self._span
        ):
            if chat is None or None in key:
                continue
            post, other = self._id("message", [chat, message])[0], self._id(kind, key)[0]
            ends = (other, post) if type_ == "AUTHOR_OF" else (post, other)
            yield Edge(source=ends[0], target=ends[1], kind=_KINDS[type_])

    def _id(self, kind: str, key: list[Any]) -> tuple[str, bool]:
        """Return a node's id, and whether it is a person."""
        if kind == "message":
            chat, message = key
            if chat > 0 and self._pseudonyms is not None:
                return f"{self._pseudonyms.user(f'user {chat}')}:{message}", True
            return str(Address(chat, message)), chat > 0
        type_, identity = key
        if kind == "link" and self._pseudonyms is not None:
            identity = self._pseudonyms.url(identity)
            return f"{kind}:{identity}", identity != key[1]
        person = type_ in PEOPLE
        if person and self._pseudonyms is not None:
            return f"{kind}:{self._pseudonyms.user(f'{type_} {identity}')}", True
        return f"{kind}:{type_}:{identity}", person
