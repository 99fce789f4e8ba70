"""The graph contract in memory: what Neo4j has to hold after any set of events.

Written from the contract alone and sharing no code with the package, so that a mistake in one
is not repeated in the other. Slow and plain on purpose.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from cases import KIND, LINKS, NODES, REGISTERS, REQUIRED

if TYPE_CHECKING:
    from neo4j import Driver

Fields = Mapping[Any, bytes | str]
Address = tuple[int, int]
Graph = dict[str, Any]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
DAY = timedelta(days=1) // MICROSECOND
CHANNELS_FROM = 10**12
FAR_BEYOND_64_BITS = 10**30

DECIMAL = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?")
RFC_3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))?"
)


class Refused(Exception):
    """An event that the contract refuses; its text is the reason in one word."""


def as_bytes(value: bytes | str) -> bytes:
    return value if isinstance(value, bytes) else value.encode(errors="surrogatepass")


def utf8(value: bytes | str) -> str:
    try:
        return as_bytes(value).decode()
    except UnicodeDecodeError:
        raise Refused("bad_utf8") from None


def integer(text: str) -> int:
    return int(text) if len(text) < 30 else FAR_BEYOND_64_BITS


def fraction(text: str) -> Decimal:
    return Decimal(FAR_BEYOND_64_BITS if re.search("[eE].?[0-9]{3}", text) else text)


def json_value(text: str) -> Any:
    try:
        nan = {"parse_constant": lambda _: json.loads("")}
        return json.loads(text, parse_int=integer, parse_float=fraction, **nan)
    except ValueError:
        raise Refused("not_json") from None
    except RecursionError:
        raise Refused("too_deep") from None


def microseconds(text: str) -> int:
    """Since 1970; digits after the sixth are cut as they are written."""
    try:
        if decimal := DECIMAL.fullmatch(text):
            minus, seconds, digits = decimal.groups(default="")
            since = integer(seconds + f"{digits[:6]:0<6}") * (-1 if minus else 1)
        elif stamp := RFC_3339.fullmatch(text):
            date, clock, digits, sign, hours, minutes = stamp.groups(default="0")
            ahead = timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if sign == "-" else 1)
            local = datetime.fromisoformat(f"{date}T{clock}+00:00") - EPOCH
            since = (local - ahead) // MICROSECOND + int(f"{digits[:6]:0<6}")
        else:
            raise Refused("wrong_type")
        return (EPOCH + since * MICROSECOND - EPOCH) // MICROSECOND
    except (ValueError, OverflowError):
        raise Refused("wrong_type") from None


def moment(since: int | None) -> datetime | None:
    return None if since is None else EPOCH + since * MICROSECOND


def in_64_bits(number: int) -> int:
    if not -(1 << 63) <= number < 1 << 63:
        raise Refused("integer_range")
    return number


def marked(kind: str, bare: int) -> int:
    return in_64_bits({"user": bare, "chat": -bare, "channel": -(CHANNELS_FROM + bare)}[kind])


def unmarked(number: int) -> tuple[str, str]:
    """Kind and bare id, as a source or an author is keyed."""
    kind = "user" if number > 0 else "channel" if number < -CHANNELS_FROM else "chat"
    return kind, str(abs(number) - (CHANNELS_FROM if kind == "channel" else 0))


def peer(value: dict[str, Any]) -> int | None:
    ids = [(kind, value.get(f"{kind}_id")) for kind in ("user", "channel", "chat")]
    given = [(kind, normal("integer", bare)) for kind, bare in ids if bare is not None]
    if len(given) > 1 or any(bare <= 0 for _, bare in given):
        raise Refused("wrong_type")
    return marked(*given[0]) if given else None


def normal(kind: str, value: Any) -> Any:
    """A value that came in JSON, checked: a time is an integer then, a peer its marked id."""
    match kind, value:
        case (_, None) | ("boolean", bool()):
            return value
        case _, bool():
            raise Refused("wrong_type")
        case "text", str():
            return utf8(value)
        case "list", list() if all(isinstance(item, str) for item in value):
            return [utf8(item) for item in value]
        case ("integer", int()) | ("peer", int()) if value or kind == "integer":
            return in_64_bits(value)
        case "time", Decimal() | int() | str():
            return microseconds(value if isinstance(value, str) else f"{Decimal(value):f}")
        case "peer", str():
            return normal("peer", json_value(utf8(value)) if value else None)
        case "peer", dict():
            return peer(value)
    raise Refused("wrong_type")


def flat(kind: str, raw: bytes) -> Any:
    """A flat field's value as a JSON object would hold it."""
    text = utf8(raw)
    if kind == "text":
        return text
    if text in ("", "null"):
        return None
    if kind == "integer":
        return integer(text) if re.fullmatch("-?[0-9]+", text) else text
    if kind == "boolean":
        return {"true": True, "false": False}.get(text, text)
    return text if kind == "time" else json_value(text)


def present(fields: Fields) -> dict[str, Any]:
    """The known fields of an entry that are there, each checked on its own."""
    raw = {as_bytes(name).decode(errors="replace"): as_bytes(v) for name, v in fields.items()}
    if sum(len(name.encode()) + len(value) for name, value in raw.items()) > 1 << 20:
        raise Refused("too_large")
    if "data" in raw:
        values = json_value(utf8(raw["data"]))
    else:
        values = {name: flat(KIND[name], raw[name]) for name in KIND.keys() & raw.keys()}
    if not isinstance(values, dict):
        raise Refused("wrong_type")
    if isinstance(values.get("schema_version"), str) and values["schema_version"] != "v1":
        raise Refused("schema_version")
    return {name: normal(KIND[name], values[name]) for name in KIND.keys() & values.keys()}


def decode(fields: Fields) -> tuple[Address, int, dict[str, list[Any]]]:
    """Address, `occurred_at` and the values of the registers that an event speaks of."""
    event = present(fields)
    ids = {event.get("telegram_message_id"), event.get("tg_message_id")} - {None}
    if not ids or any(event.get(name) is None for name in REQUIRED):
        raise Refused("missing_field")
    chats = ("tg_channel_id", "reply_to_chat_id", "forward_from_chat_id")
    if len(ids) > 1 or 0 in map(event.get, chats):
        raise Refused("wrong_type")
    event |= {n: None for n in ("forward_from_name", "author_name") if event.get(n) == ""}
    for name, beside in zip(chats[1:], (None, event.get("forward_from_peer_id")), strict=True):
        if (event.get(name) or 0) > 0:
            kind = unmarked(beside)[0] if beside else "user"
            event[name] = marked("channel" if kind == "user" else kind, event[name])
    spoken = {r: names for r, names in REGISTERS.items() if event.keys() & set(names)}
    values = {r: [event.get(name) for name in names] for r, names in spoken.items()}
    return (event["tg_channel_id"], ids.pop()), event["occurred_at"], values


def links(post: Address, values: Mapping[str, list[Any]]) -> list[Any]:
    """What a post's registers point to: source, source post, parent post, author."""
    sender, chat, message, _, name = values.get("forward", [None] * 5)
    parent, parent_chat, _ = values.get("reply", [None] * 3)
    author, signature, _ = values.get("author", [None] * 3)
    held_by = chat or (sender if (sender or 0) < 0 else None)
    hidden = ("hidden", name) if name else None
    signed = ("signature", f"{post[0]}:{signature}") if signature else None
    return [
        unmarked(sender or chat) if sender or chat else hidden,
        (held_by, message) if held_by and message is not None else None,
        (parent_chat or post[0], parent) if parent is not None else None,
        unmarked(author) if author else signed,
    ]


def content_digest(register: str, values: list[Any]) -> int:
    return int.from_bytes(blake2b(json.dumps([register, values]).encode()).digest())


class Model:
    """Every post's registers, and the names that events gave to sources and authors."""

    def __init__(
        self,
        clock: Callable[[], float] | None = None,
        digest: Callable[[str, list[Any]], int] = content_digest,
    ) -> None:
        self.clock, self.digest = clock or time.time, digest
        self.posts: dict[Address, dict[str, tuple[tuple[int, int], list[Any]]]] = {}
        self.names: dict[tuple[str, str, str], set[str]] = {}

    def apply(self, entry_fields: Fields, entry_id: str = "0-0") -> str | None:
        """Record an entry's event, or say in one word why it is refused."""
        try:
            post, occurred_at, values = decode(entry_fields)
        except Refused as refused:
            return str(refused)
        source, origin, parent, author = links(post, values)
        source_name, author_name = values.get("forward", [""])[-1], values.get("author", "  ")[1]
        used_as_id = [values["post"][0]]
        used_as_id += [source_name] * (source is not None and source[0] == "hidden")
        used_as_id += [author_name] * (author is not None and author[0] == "signature")
        newest = max(int(self.clock() * 1000), int(entry_id.split("-")[0])) * 1000 + DAY
        if post in (origin, parent):
            return "self_link"
        if any(len(text.encode()) > 2000 for text in used_as_id):
            return "id_too_long"
        if not 0 <= occurred_at <= newest:
            return "occurred_at"
        if source and source_name:
            self.names.setdefault(("source", *source), set()).add(source_name)
        if author and author_name and author[0] in ("user", "signature"):
            self.names.setdefault(("author", *author), set()).add(author_name)
        held = self.posts.setdefault(post, {})
        for register, new in values.items():
            version = (occurred_at // 1000, self.digest(register, new))
            if register not in held or version > held[register][0]:
                held[register] = (version, new)
        return None

    def graph(self) -> Graph:
        """The graph that every order of the applied events has to end in."""
        graph = empty_graph() | {"names": {key: set(names) for key, names in self.names.items()}}
        for post, held in self.posts.items():
            values = {register: new for register, (_, new) in held.items()}
            source, origin, parent, author = links(post, values)
            given = zip(REGISTERS["post"], values["post"], strict=True)
            properties = {n: v for n, v in given if v is not None and n != "text"}
            if "posted_at" in properties:
                properties["posted_at"] = moment(properties["posted_at"])
            graph["messages"][post] = properties
            if source:
                *_, message, date, name = values["forward"]
                graph["forwards"][post] = (source, moment(date), message, name)
            if origin:
                graph["forward_posts"][post] = origin
            if parent:
                graph["replies"][post] = (parent, values["reply"][2])
            if author:
                graph["authored"][post] = (author, values["author"][1])
        graph["sources"] = {source for source, *_ in graph["forwards"].values()}
        graph["authors"] = {author for author, _ in graph["authored"].values()}
        targets = {*graph["forward_posts"].values(), *(t for t, _ in graph["replies"].values())}
        graph["messages"] |= dict.fromkeys(targets - self.posts.keys())
        return graph


def empty_graph() -> Graph:
    tables = ("messages", "forwards", "forward_posts", "replies", "authored")
    return {"sources": set(), "authors": set(), **{table: {} for table in tables}}
