"""An answer as a network: what is drawn, and what other programs read."""

from __future__ import annotations

from typing import Any

import msgspec

from graphwriter.events.telegram import Peer

LABEL = 60  # characters


class Node(msgspec.Struct, kw_only=True):
    """A chat or a message. `group` is the chat, for the colour; `size` grows with its weight."""

    id: str
    label: str
    kind: str  # channel, post or placeholder
    group: str
    size: int = 1
    url: str | None = None
    posted_at: str | None = None
    author: str | None = None
    text: str | None = None


class Edge(msgspec.Struct, kw_only=True):
    """A link; `kind` is forwards, replies, links, comments or coforwards."""

    source: str
    target: str
    kind: str
    weight: int = 1


class Network(msgspec.Struct, kw_only=True):
    """Nodes and edges, and a title. `truncated`: a bound cut it."""

    title: str
    nodes: list[Node]
    edges: list[Edge]
    truncated: bool = False


def network(title: str, answer: dict[str, Any]) -> Network:
    """Return the network of an answer as plain values (`msgspec.to_builtins`).

    Raises:
        ValueError: this answer is a list and no graph.
    """
    drawn = _Drawn()
    if "nodes" in answer:
        drawn.channels(answer)
    elif "pairs" in answer:
        drawn.pairs(answer)
    elif "forwards" in answer and "origin" in answer and "post" not in answer:
        drawn.spread(answer)
    elif "copies" in answer:
        drawn.comments(answer)
    elif "root" in answer:
        drawn.posts(answer["posts"])
    elif "left_out" in answer:
        drawn.context(answer)
    else:
        raise ValueError("this answer is a list and no graph")
    edges = [edge for edge in drawn.edges if {edge.source, edge.target} <= drawn.nodes.keys()]
    return Network(
        title=title,
        nodes=list(drawn.nodes.values()),
        edges=edges,
        truncated=bool(answer.get("truncated")),
    )


def by_the_chat(item: dict[str, Any]) -> bool:
    """Return whether a message was written by its chat itself, as posts of channels are."""
    author = item.get("author")
    chat: str = item["address"].rpartition(":")[0]
    if author is None or author["type"] not in ("channel", "chat"):
        return False
    marked: str = str(Peer(author["type"], int(author["id"])).marked)
    return marked == chat


class _Drawn:
    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.edges: list[Edge] = []

    def channels(self, answer: dict[str, Any]) -> None:
        for chat in answer["nodes"]:
            self._chat(chat["id"], chat["name"], chat["posts"])
        for link in answer["edges"]:
            for kind in ("forwards", "replies", "links"):
                if link[kind]:
                    self._edge(link["source"], link["target"], kind, link[kind])

    def pairs(self, answer: dict[str, Any]) -> None:
        for pair in answer["pairs"]:
            self._chat(pair["a"])
            self._chat(pair["b"])
            self._edge(pair["a"], pair["b"], "coforwards", pair["originals"])

    def spread(self, answer: dict[str, Any]) -> None:
        self._post({"address": answer["origin"], "post_id": answer["known"] or None})
        for forward in answer["forwards"]:
            self._post(forward)
            self._edge(forward["address"], answer["origin"], "forwards")

    def comments(self, answer: dict[str, Any]) -> None:
        for copy in answer["copies"]:
            self._post({"address": copy, "post_id": copy})
        self.posts(answer["posts"])

    def posts(self, posts: list[dict[str, Any]]) -> None:
        for post in posts:
            self._post(post)
            if post["reply_to"] is not None:
                self._edge(post["address"], post["reply_to"], "replies")

    def context(self, answer: dict[str, Any]) -> None:
        own = answer["post"]
        self._post(own | {"author": answer["author"]})
        self.posts(answer["ancestors"])
        if answer["ancestors"]:
            self._edge(own["address"], answer["ancestors"][0]["address"], "replies")
        self.posts(answer["replies"])
        self.posts(answer["comments"])
        for comment in answer["comments"]:
            if comment["depth"] == 1:  # it replies to the copy, which stands for the post
                self._edge(comment["address"], own["address"], "comments")
        for forward in answer["forwards"]:
            self._post(forward)
            self._edge(forward["address"], own["address"], "forwards")
        for same in answer["same"]:
            self._post(same)
            self._edge(same["address"], own["address"], "same content")
        if answer["origin"] and answer["origin"]["post"]:
            self._post(answer["origin"]["post"])
            self._edge(own["address"], answer["origin"]["post"]["address"], "forwards")

    def _chat(self, chat: int | str, name: str | None = None, posts: int = 0) -> None:
        if str(chat) not in self.nodes:
            label = name or str(chat)
            self.nodes[str(chat)] = Node(
                id=str(chat), label=label[:LABEL], kind="channel", group=str(chat), size=posts
            )

    def _post(self, item: dict[str, Any]) -> None:
        address = item["address"]
        author = {} if by_the_chat(item) else item.get("author") or {}
        name = author.get("name") or author.get("id")
        text = item.get("text")
        label = " ".join((text or "").split()) or name or address
        found = Node(
            id=address,
            label=label[:LABEL],
            kind="placeholder" if item["post_id"] is None else "post",
            group=address.rpartition(":")[0],
            url=item.get("url"),
            posted_at=item.get("posted_at"),
            author=name,
            text=text,
        )
        self.nodes.setdefault(address, found)

    def _edge(self, source: int | str, target: int | str, kind: str, weight: int = 1) -> None:
        self.edges.append(Edge(source=str(source), target=str(target), kind=kind, weight=weight))
