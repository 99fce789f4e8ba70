"""Answers by brute force over the model's graph in memory, written from the contract alone."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

from support.model import Address, Graph

CHANNELS_FROM = 10**12


def text(address: Address | None) -> str | None:
    return None if address is None else f"{address[0]}:{address[1]}"


class Brute:
    """The graph of a model, asked without any index."""

    def __init__(self, graph: Graph) -> None:
        self.posts = {a: values for a, values in graph["messages"].items() if values is not None}
        self.messages = set(graph["messages"])
        self.parent = {a: target for a, (target, _) in graph["replies"].items()}
        self.origin: dict[Address, Address] = graph["forward_posts"]
        self.source = {a: row[0] for a, row in graph["forwards"].items()}
        self.author = {a: row[0] for a, row in graph["authored"].items()}
        self.targets: dict[Address, dict[Any, str]] = graph["links"]
        self.files: dict[Address, dict[str, None]] = graph["media"]

    def post_id(self, address: Address) -> str | None:
        return self.posts[address]["post_id"] if address in self.posts else None

    def posted(self, address: Address) -> datetime | None:
        found: datetime | None = self.posts.get(address, {}).get("posted_at")
        return found

    def below(self, roots: list[Address]) -> dict[Address, int]:
        """All that reply to a root, directly or not, with the number of links."""
        found, edge, depth = dict.fromkeys(roots, 0), set(roots), 0
        while edge:
            depth += 1
            edge = {a for a, to in self.parent.items() if to in edge and a not in found}
            found |= dict.fromkeys(edge, depth)
        return {a: n for a, n in found.items() if a not in roots}

    def thread(self, address: Address) -> dict[str, Any]:
        root, seen = address, {address}
        while (up := self.parent.get(root)) is not None and up not in seen:
            root = up
            seen.add(root)
        posts = {root: 0} | self.below([root])
        return {"root": text(root), "posts": self.replies(posts)}

    def replies(self, posts: dict[Address, int]) -> set[Any]:
        return {
            (text(a), self.post_id(a), text(self.parent.get(a)), depth)
            for a, depth in posts.items()
        }

    def comments(self, address: Address) -> dict[str, Any]:
        replied = set(self.parent.values())
        copies = sorted(
            a for a, to in self.origin.items()
            if to == address and a[0] != address[0] and a in replied
        )  # fmt: skip
        return {
            "copies": [text(a) for a in copies],
            "posts": self.replies(self.below(copies)),
        }

    def spread(self, address: Address) -> dict[str, Any]:
        origin = self.origin.get(address, address)
        start = self.posted(origin)
        forwards = []
        for a, to in self.origin.items():
            if to == origin:
                when = self.posted(a)
                lag = (when - start).total_seconds() if when and start else None
                forwards.append((when is None, when and when.timestamp(), text(a), lag))
        forwards.sort()
        lags = [lag for *_, lag in forwards if lag is not None]
        dates: list[Any] = [when for late, when, *_ in forwards if not late]
        return {
            "origin": text(origin),
            "known": origin in self.posts,
            "forwards": [(a, lag) for *_, a, lag in forwards],
            "first": min(dates, default=None),
            "median_lag": statistics.median(lags) if lags else None,
        }

    def wanted(self, least: int = 1) -> list[tuple[Any, ...]]:
        forwards, replies = Counter(self.origin.values()), Counter(self.parent.values())
        found = [
            (-forwards[a] - replies[a], a, forwards[a], replies[a])
            for a in self.messages - self.posts.keys()
        ]
        return [(text(a), -total, f, r) for total, a, f, r in sorted(found) if -total >= least]

    def chat_of_source(self, address: Address, *, users: bool = False) -> int | None:
        match self.source.get(address):
            case ("channel", bare):
                return -(CHANNELS_FROM + int(bare))
            case ("chat", bare):
                return -int(bare)
            case ("user", bare) if users:
                return int(bare)
        return None

    def wanted_channels(self, least: int = 1) -> list[tuple[int, int]]:
        counts = Counter[int]()
        for a in self.posts:
            chats = {self.chat_of_source(a), self.origin.get(a, (None,))[0]}
            counts.update(chat for chat in chats if chat is not None and chat < 0)
        known = {chat for chat, _ in self.posts}
        found = [(-n, chat) for chat, n in counts.items() if chat not in known and n >= least]
        return [(chat, -n) for n, chat in sorted(found)]

    def channels(
        self,
        inside: Callable[[datetime | None], bool] = lambda _: True,
        *,
        loops: bool = False,
        users: bool = False,
    ) -> dict[str, Any]:
        posts, edges = Counter[int](), Counter[tuple[int, int, str]]()
        for a in self.posts:
            if not inside(self.posted(a)) or (a[0] > 0 and not users):
                continue
            posts[a[0]] += 1
            chat = self.chat_of_source(a)
            if chat is None and a in self.origin:
                chat = self.origin[a][0]
            if chat is None:
                chat = self.chat_of_source(a, users=users)
            if chat is not None and (users or chat < 0) and (loops or chat != a[0]):
                edges[a[0], chat, "forwards"] += 1
            to = self.parent.get(a)
            if to is not None and to[0] != a[0] and (users or to[0] < 0):
                edges[a[0], to[0], "replies"] += 1
            for end in self.targets.get(a, ()):
                if isinstance(end, str) or (end[0] > 0 and not users):
                    continue
                if loops or end[0] != a[0]:
                    edges[a[0], end[0], "links"] += 1
        return {"posts": posts, "edges": edges}

    def links(self, least: int) -> list[tuple[Any, ...]]:
        """Each target with its chats, posts and views, the most chats first."""
        posts: dict[Any, list[Address]] = {}
        for a, ends in self.targets.items():
            for end in ends:
                posts.setdefault(end, []).append(a)
        rows = []
        for end, found in posts.items():
            chats = len({chat for chat, _ in found})
            reach = sum(self.posts[a].get("views_count") or 0 for a in found)
            key = (end, 0, 0) if isinstance(end, str) else ("\uffff", *end)
            rows.append(((-chats, -reach, -len(found), *key), end, chats, len(found), reach))
        return [
            (end if isinstance(end, str) else text(end), chats, number, reach)
            for _, end, chats, number, reach in sorted(rows) if chats >= least
        ]  # fmt: skip

    def same(self, address: Address) -> dict[Any, float | None]:
        start = self.posted(address)
        found: dict[Any, float | None] = {}
        content = self.posts.get(address, {}).get("content_hash")
        for a, values in self.posts.items():
            shared = {
                "content": content is not None and values.get("content_hash") == content,
                "media": bool({*self.files.get(a, ())} & {*self.files.get(address, ())}),
                "link": bool({*self.targets.get(a, ())} & {*self.targets.get(address, ())}),
            }
            by = sorted(kind for kind, yes in shared.items() if yes)
            if a != address and by:
                when = self.posted(a)
                found[text(a), *by] = (when - start).total_seconds() if when and start else None
        return found

    def album(self, address: Address) -> set[str | None]:
        album = self.posts.get(address, {}).get("grouped_id")
        return {
            text(a) for a, values in self.posts.items()
            if album is not None and a != address and a[0] == address[0]
            and values.get("grouped_id") == album
        }  # fmt: skip

    def coforward(self, window: float, least: int) -> set[tuple[int, int, int]]:
        forwards: dict[Address, list[tuple[int, datetime]]] = {}
        for a, to in self.origin.items():
            if (when := self.posted(a)) is not None:
                forwards.setdefault(to, []).append((a[0], when))
        pairs = Counter[tuple[int, int]]()
        for found in forwards.values():
            pairs.update({
                (one, other)
                for one, first in found for other, second in found
                if one < other and abs((first - second).total_seconds()) <= window
            })  # fmt: skip
        return {(a, b, n) for (a, b), n in pairs.items() if n >= least}
