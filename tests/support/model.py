"""The graph contract in memory, written from the contract alone without a look at the package."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import blake2b, sha256
from typing import TYPE_CHECKING, Any

from support.cases import KIND, LINKS, MANY, NODES, REGISTERS, REQUIRED, TABLES

if TYPE_CHECKING:
    from neo4j import Driver

Fields = Mapping[Any, bytes | str]
Address = tuple[int, int]
Graph = dict[str, Any]
Clock = Callable[[], float]
Digest = Callable[[str, list[Any]], int]

EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
CHANNELS_FROM = 10**12
DECIMAL = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?")
RFC_3339 = re.compile(r"([0-9-]{10})[Tt ]([0-9:]{8})(?:\.([0-9]+))?([Zz]|[+-][0-9:]{5})?")


class Refused(Exception):
    """An event that the contract refuses; its text is the reason in one word."""


def as_bytes(value: bytes | str) -> bytes:
    return value if isinstance(value, bytes) else value.encode(errors="surrogatepass")


def utf8(value: bytes | str) -> str:
    try:
        return as_bytes(value).decode()
    except UnicodeDecodeError:
        raise Refused("bad_utf8") from None


def json_value(text: str) -> Any:
    """A JSON value whose numbers are decimals, as exact and as long as they were written."""
    try:  # NaN and the infinities are no JSON, and no int either
        return json.loads(text, parse_int=Decimal, parse_float=Decimal, parse_constant=int)
    except (ValueError, ArithmeticError, RecursionError) as error:
        deep = isinstance(error, RecursionError)
        raise Refused("too_deep" if deep else "not_json") from None


def microseconds(text: str) -> int:
    """Since 1970; digits after the sixth are cut as they are written."""
    try:
        if decimal := DECIMAL.fullmatch(text):
            minus, seconds, digits = decimal.groups(default="")
            since = int(f"{seconds[:30]}{digits[:6]:0<6}") * (-1 if minus else 1)
        elif stamp := RFC_3339.fullmatch(text):
            date, clock, digits, zone = stamp.groups(default="")
            second = datetime.fromisoformat(f"{date}T{clock}{zone.upper() or 'Z'}")
            since = (second - EPOCH) // MICROSECOND + int(f"{digits[:6]:0<6}")
        else:
            raise Refused("wrong_type")
        return (EPOCH + since * MICROSECOND - EPOCH) // MICROSECOND
    except (ValueError, OverflowError):
        raise Refused("wrong_type") from None


def moment(since: int | None) -> datetime | None:
    return None if since is None else EPOCH + since * MICROSECOND


def in_64_bits(number: int | Decimal) -> int:
    if not -(1 << 63) <= number < 1 << 63:
        raise Refused("integer_range")
    return int(number)


def marked(kind: str, bare: int) -> int:
    return in_64_bits({"user": bare, "chat": -bare, "channel": -(CHANNELS_FROM + bare)}[kind])


def unmarked(number: int) -> tuple[str, str]:
    """Kind and bare id, as a source or an author is keyed."""
    kind = "user" if number > 0 else "channel" if number < -CHANNELS_FROM else "chat"
    return kind, str(abs(number) - (CHANNELS_FROM if kind == "channel" else 0))


def addressed(account: int | None, chat: int) -> int:
    """The chat of an address: private chats and basic groups are numbered for each account."""
    if account is None or chat < -CHANNELS_FROM:
        return chat
    text = json.dumps([account, chat], separators=(",", ":")).encode()
    bits = "".join(f"{byte:08b}" for byte in blake2b(text, digest_size=8).digest())
    return -(2 * 10**15 + int(bits[:50], 2))


def normal(kind: str, value: Any) -> Any:
    """A value that came in JSON, checked: a time is an integer then, a peer its marked id."""
    match kind, value:
        case (_, None) | ("boolean", bool()):
            return value
        case "text", str():
            return utf8(value)
        case "list", list() if all(isinstance(item, str) for item in value):
            return [utf8(item) for item in value]
        case ("integer" | "peer", Decimal()) if value.as_tuple().exponent == 0:
            return in_64_bits(value)
        case "time", str():
            return microseconds(value)
        case "time", Decimal() if -99 < value.adjusted() < 99:
            return microseconds(f"{value:f}")
        case "peer", str():
            return normal("peer", json_value(utf8(value)) if value else None)
        case "peer", dict():
            ids = {k: normal("integer", value.get(f"{k}_id")) for k in ("user", "channel", "chat")}
            given = [(kind, bare) for kind, bare in ids.items() if bare is not None]
            if len(given) < 2 and all(bare > 0 for _, bare in given):
                return marked(*given[0]) if given else None
    raise Refused("wrong_type")


def flat(kind: str, raw: bytes) -> Any:
    """A flat field's value as a JSON object would hold it."""
    text = utf8(raw)
    if kind == "text" or (kind == "time" and text not in ("", "null")):
        return text
    if kind == "integer" and re.fullmatch("-?[0-9]+", text):
        return Decimal(text)
    if kind in ("list", "peer") and text:
        return json_value(text)
    return {"": None, "null": None, "true": True, "false": False}.get(text, text)


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
    ids = {event[n] for n in ("telegram_message_id", "tg_message_id") if event.get(n) is not None}
    if not ids or any(event.get(name) is None for name in REQUIRED):
        raise Refused("missing_field")
    chats = ("tg_channel_id", "reply_to_chat_id", "forward_from_chat_id")
    if len(ids) > 1 or 0 in map(event.get, (*chats, "forward_from_peer_id", "author_peer_id")):
        raise Refused("wrong_type")
    event |= {n: None for n in ("forward_from_name", "author_name") if event.get(n) == ""}
    for name, beside in zip(chats[1:], (None, event.get("forward_from_peer_id")), strict=True):
        if (event.get(name) or 0) > 0:
            chat = beside is not None and unmarked(beside)[0] == "chat"
            event[name] = marked("chat" if chat else "channel", event[name])
    spoken = {r: names for r, names in REGISTERS.items() if event.keys() & set(names)}
    values = {r: [event.get(name) for name in names] for r, names in spoken.items()}
    account = event.get("account_id")
    if account is not None and account <= 0:
        raise Refused("wrong_type")
    if "reply" in values and values["reply"][1]:
        values["reply"][1] = addressed(account, values["reply"][1])
    if "forward" in values:
        sender, given, message, *_ = values["forward"]
        held_by = given or (sender if (sender or 0) < 0 else None)
        if held_by and message is not None and addressed(account, held_by) != held_by:
            values["forward"][:2] = [sender or given, addressed(account, held_by)]
    return (addressed(account, event["tg_channel_id"]), ids.pop()), event["occurred_at"], values


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


TRACKING = re.compile("(utm_[^=]*|fbclid|gclid|yclid)(=|$)", re.IGNORECASE)
MESSAGE_URL = re.compile(r"https?://(?:www\.)?t\.me/(?:c/([0-9]+)|(\w+))/([0-9]+)")


def page(url: str) -> str:
    """A URL without what does not tell pages apart."""
    scheme, there, rest = url.strip().partition("://")
    if not there:
        scheme, rest = "http", url.strip()
    place, _, query = rest.partition("#")[0].partition("?")
    host, slash, path = place.partition("/")
    host = host.lower().removesuffix({"http": ":80", "https": ":443"}.get(scheme.lower(), "/"))
    kept = [one for one in query.split("&") if one and not TRACKING.match(one)]
    whole = f"{scheme.lower()}://{host}{slash}{path}{'?' * bool(kept)}{'&'.join(kept)}"
    raw = whole.encode()
    return whole if len(raw) <= 2000 else f"sha256:{sha256(raw).hexdigest()}"


def targets(post: Address, urls: list[str] | None, own_url: str | None) -> dict[Any, str]:
    """What a post links to: addresses and pages, each with the first URL that leads there."""
    own = MESSAGE_URL.match(page(own_url)) if own_url else None
    found: dict[Any, str] = {}
    for url in urls or ():
        if not url.strip():
            continue
        to: Any = page(url)
        if message := MESSAGE_URL.fullmatch(to.partition("?")[0]):
            private, name, number = message.groups()
            if private:
                to = (marked("channel", int(private)), int(number))
            elif own and own[2] and own[2].lower() == name.lower():
                to = (post[0], int(number))
        found.setdefault(to, url)
    return found


def content_digest(register: str, values: list[Any]) -> int:
    return int(blake2b(f"{register} {values}".encode()).hexdigest(), 16)


class Model:
    """Every post's registers, and the names that events gave to sources and authors."""

    def __init__(
        self, clock: Clock | None = None, digest: Digest = content_digest, *, rich: bool = False
    ) -> None:
        """`rich`: links, media and albums are kept."""
        self.clock, self.digest, self.rich = clock or time.time, digest, rich
        self.posts: dict[Address, dict[str, tuple[tuple[int, int], list[Any]]]] = {}
        self.names: dict[tuple[str, ...], set[str]] = {}

    def apply(self, entry_fields: Fields, entry_id: str = "0-0") -> str | None:
        """Record an entry's event, or say in one word why it is refused."""
        try:
            post, occurred_at, values = decode(entry_fields)
        except Refused as refused:
            return str(refused)
        source, origin, parent, author = links(post, values)
        newest = max(int(self.clock() * 1000), int(entry_id.split("-")[0])) * 1000
        if post in (origin, parent):
            return "self_link"
        ids = (values["post"][0], source and source[1], author and author[1].partition(":")[2])
        if any(len((text or "").encode()) > 2000 for text in ids):
            return "id_too_long"
        if not 0 <= occurred_at <= newest + timedelta(days=1) // MICROSECOND:
            return "occurred_at"
        forward_name, author_name = values.get("forward", [""])[-1], values.get("author", "  ")[1]
        for side, end, name in (("source", source, forward_name), ("author", author, author_name)):
            if end and name and (side == "source" or end[0] in ("user", "signature")):
                self.names.setdefault((side, *end), set()).add(name)
        if "links" in values:
            found = targets(post, values["links"][0], values["post"][9])
            texts = [to if isinstance(to, str) else f"{to[0]}:{to[1]}" for to in found]
            values["links"] = [list(found.items())[:32], len(found), sorted(texts)]
        if "media" in values:
            values["media"] = [list(dict.fromkeys(h.lower() for h in values["media"][0] or ()))]
        held = self.posts.setdefault(post, {})
        for register, new in values.items():
            version = (occurred_at // 1000, self.digest(register, new))
            if register not in held or version > held[register][0]:
                held[register] = (version, new)
        return None

    def graph(self) -> Graph:
        """The graph that every order of the applied events has to end in."""
        graph: Graph = {table: kind() for table, kind in TABLES.items()}
        graph["names"] = {key: {*names} for key, names in self.names.items()}
        for post, held in self.posts.items():
            values = {register: new for register, (_, new) in held.items()}
            source, origin, parent, author = links(post, values)
            given = dict(zip(REGISTERS["post"], values["post"], strict=True))
            given |= {"posted_at": moment(given["posted_at"]), "text": None}
            if not self.rich:
                given["grouped_id"] = None
                values |= {"links": [[], None, []], "media": [[]]}
            found, number, _ = values.get("links", [[], None, []])
            given["links_count"] = number
            graph["messages"][post] = {n: value for n, value in given.items() if value is not None}
            if source:
                *_, message, date, name = values["forward"]
                graph["forwards"][post] = (source, moment(date), message, name)
                graph["sources"].add(source)
            if origin:
                graph["forward_posts"][post] = origin
            if parent:
                graph["replies"][post] = (parent, values["reply"][2])
            if author:
                graph["authored"][post] = (author, values["author"][1])
                graph["authors"].add(author)
            if found:
                graph["links"][post] = dict(found)
                graph["urls"] |= {to for to, _ in found if isinstance(to, str)}
            if files := values.get("media", [[]])[0]:
                graph["media"][post] = dict.fromkeys(files[:32])
                graph["files"] |= {*files[:32]}
            linked = [to for to, _ in found if not isinstance(to, str)]
            for target in filter(None, (origin, parent, *linked)):
                graph["messages"].setdefault(target)
        return graph


def native(value: Any) -> Any:
    """A property's value; a time of the driver's as a datetime in UTC."""
    return value.to_native().astimezone(UTC) if hasattr(value, "to_native") else value


def read_graph(driver: Driver, database: str = "neo4j") -> Graph:
    """The graph of a database that nobody writes to, as `Model.graph` has it, with the `labels`
    of sources and authors in place of `names`. Fails on what no graph may hold: a node or a link
    twice, a node that nothing points to, an unknown label, type or property."""
    graph: Graph = {table: kind() for table, kind in TABLES.items()} | {"labels": {}}
    ends: dict[str, tuple[str, Any]] = {}
    pointed_to = set()
    query = "MATCH (n) RETURN elementId(n), labels(n), properties(n)"
    for identity, labels, found in driver.execute_query(query, database_=database).records:
        label = ":".join(sorted(labels))
        assert label in NODES, f"unexpected labels: {labels} {found}"
        table, required, optional = NODES[label]
        assert {*required} <= found.keys() <= {*required, *optional}, f"{labels}: {found}"
        assert all(type(found[n]) is int for n in found if n.endswith("version")), f"{found}"
        key: Any = tuple(found[name] for name in required[:2])
        key = key[0] if len(key) == 1 else key
        assert key not in graph[table], f"twice: {labels} {key}"
        ends[identity] = (label, key)
        if isinstance(key, str):
            graph[table].add(key)
        elif table != "messages":
            graph[table].add(key)
            graph["labels"][table[:-1], *key] = found.get("name")
        else:
            names = [*REGISTERS["post"], "links_count"]
            given = {n: native(found[n]) for n in names if n in found and n != "text"}
            graph[table][key] = given or None
    query = "MATCH (a)-[r]->(b) RETURN elementId(a), type(r), properties(r), elementId(b)"
    for start, kind, found, end in driver.execute_query(query, database_=database).records:
        assert kind in LINKS, f"unexpected type: {kind}"
        table, label, names = LINKS[kind]
        post, other = (end, start) if kind == "AUTHOR_OF" else (start, end)
        (post_label, address), (other_label, key) = ends[post], ends[other]
        assert found.keys() <= {*names}, f"{kind} of {address}: {found}"
        assert (post_label, label in other_label) == ("Message:Post", True), f"{kind} of {address}"
        if table in MANY:
            several = graph[table].setdefault(address, {})
            assert key not in several, f"twice: {kind} of {address} to {key}"
            several[key] = found.get("url")
        else:
            assert address not in graph[table], f"twice: {kind} of {address}"
            graph[table][address] = (key, *(native(found.get(n)) for n in names)) if names else key
        pointed_to.add(other)
    lonely = [ends[one] for one in ends.keys() - pointed_to if ends[one][0] != "Message:Post"]
    assert not lonely, f"nothing points to {lonely}"
    return graph


def assert_same(expected: Graph, actual: Graph) -> None:
    """Fail with the first differences of each table; a label has to be a name that was given."""
    lines = []
    for table in TABLES:
        sides = (expected[table], actual[table])
        wanted, found = (s if isinstance(s, dict) else dict.fromkeys(s, "there") for s in sides)
        rows = [(k, wanted.get(k, "nothing"), found.get(k, "nothing")) for k in wanted | found]
        wrong = sorted(f"{table} {k}: expected {a}, is {b}" for k, a, b in rows if a != b)
        lines += wrong[:4] + [f"{table}: {len(wrong)} differences"] * (len(wrong) > 4)
    for key, label in actual.get("labels", {}).items():
        if label is not None and label not in expected["names"].get(key, ()):
            lines.append(f"label of {key}: nobody gave {label!r}")
    assert not lines, "\n".join(lines)
