"""Mutated input for everything that reads what others wrote: entries, exports, dumps, lines.

    python tests/faults/fuzz.py --cases 1000000 --seed 7

The corpus is the contract's examples, the demo's entries and a small export; each case changes a
few bytes, cuts, doubles or joins pieces. Nothing but the named errors may come of it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

sys.path[:0] = [str(Path(__file__).parent.parent)]

from support.cases import CASES  # noqa: E402
from support.product import EVERYTHING  # noqa: E402

from graphwriter import events  # noqa: E402
from graphwriter.errors import BadEvent, GraphwriterError  # noqa: E402
from graphwriter.producers import desktop, lines  # noqa: E402
from graphwriter.producers.demo import demo  # noqa: E402
from graphwriter.producers.demo.entries import form_a  # noqa: E402
from graphwriter.producers.telethon import dump  # noqa: E402
from graphwriter.producers.telethon.session import Positions  # noqa: E402

NOW = 1_800_000_000_000
FILES_EVERY = 200  # one case in so many is a whole file: it takes as much longer
SHORT = 20_000  # bytes; the corpus's giants test a limit, not a parser
ODD = [b"\x00", b"\xff", b'"', b"{", b"[", b"}", b"]", b",", b":", b"\\", b"\\u0000", b"\\ud800",
       b"null", b"true", b"-", b"1e999", b"9" * 25, b"0.1", b"\xe2\x80\xa8", b"'"]  # fmt: skip

EXPORT = {
    "name": "A chat", "type": "public_channel", "id": 1179270258,
    "messages": [
        {"id": 1, "type": "message", "date": "2024-05-01T10:00:00", "date_unixtime": "1714557600",
         "from": "Ann", "from_id": "user5", "text": "one"},
        {"id": 2, "type": "message", "date": "2024-05-01T10:00:01", "date_unixtime": "1714557601",
         "from": "Ann", "from_id": "channel1179270258", "reply_to_message_id": 1,
         "forwarded_from": "Bo", "text": [{"type": "bold", "text": "two"}, " and"]},
        {"id": 3, "type": "service", "date": "2024-05-01T10:00:02", "actor": "Ann", "text": ""},
    ],
}  # fmt: skip

PEER = {"_": "PeerChannel", "channel_id": 1179270258}
DUMP = [
    {"_": "Message", "id": 2, "peer_id": PEER, "date": "2024-05-01T10:00:00+00:00", "post": True,
     "edit_date": "2024-05-01T10:05:00+00:00", "message": "two", "views": 7, "post_author": "Ann",
     "fwd_from": {"_": "MessageFwdHeader", "date": "2024-04-01T10:00:00+00:00", "from_id": PEER,
                  "channel_post": 1, "saved_from_peer": PEER, "saved_from_msg_id": 1},
     "reply_to": {"_": "MessageReplyHeader", "reply_to_msg_id": 1, "forum_topic": True,
                  "reply_to_top_id": 1, "reply_to_peer_id": {"_": "PeerUser", "user_id": 5}},
     "reactions": {"results": [{"count": 3}]}, "media": {"_": "MessageMediaWebPage"}},
    {"_": "MessageService", "id": 3, "peer_id": PEER, "action": {"_": "MessageActionPinMessage"}},
    {"_": "Message", "id": 4, "to_id": {"_": "PeerUser", "user_id": 5}, "from_id": 6, "out": False,
     "date": 1556704800, "reply_to_msg_id": 2, "fwd_from": {"date": 1556704800, "channel_id": 8}},
]  # fmt: skip
# As tdl saves it, in the names of Go, and as mongoexport and pandas change values.
GO = {"id": 7, "messages": [
    {"id": 5, "raw": {"ID": 5, "PeerID": {"ChannelID": 7}, "Date": 1714557600, "Views": 3,
     "FwdFrom": {"FromID": {"ChannelID": 9}, "ChannelPost": 8}, "ReplyTo": {"ReplyToMsgID": 0}}},
    {"id": 6.0, "peer_id": {"channel_id": 7}, "date": {"$date": {"$numberLong": "1714557600000"}}},
]}  # fmt: skip


def mutated(random: Random, whole: bytes, other: bytes) -> bytes:
    """Return `whole` with one to four changes; `other` is there to be joined with."""
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(whole) + 1)
        match random.randrange(6):
            case 0:
                whole = whole[:at] + bytes([random.randrange(256)]) + whole[at + 1 :]
            case 1:
                whole = whole[:at] + random.choice(ODD) + whole[at:]
            case 2:
                whole = whole[:at]
            case 3:
                end = at + random.randrange(12)
                whole = whole[:at] + whole[end:]
            case 4:
                end = at + random.randrange(60)
                whole = whole[:end] + whole[at:]
            case _:
                whole = whole[:at] + other[random.randrange(len(other) + 1) :]
    return whole


def entries(random: Random) -> Iterator[dict[bytes, bytes]]:
    """Yield mutated entries without end."""
    corpus = [dict(case.fields) for case in CASES if sum(map(len, case.fields.values())) < SHORT]
    corpus += [
        {_bytes(key): _bytes(value) for key, value in fields.items()}
        for fields in islice(demo.events(500), 500)
    ]
    while True:
        entry = dict(random.choice(corpus))
        key = random.choice(list(entry) or [b"data"])
        other = random.choice(list(random.choice(corpus).values()) or [b""])
        if random.random() < 0.05:
            entry[mutated(random, key, other)] = entry.pop(key, b"")
        else:
            entry[key] = mutated(random, entry.get(key, b""), other)
        yield entry


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def decode(fields: dict[bytes, bytes]) -> None:
    """Decode as a worker does; what is taken has to fold, too."""
    try:
        events.decode(fields, NOW, None, EVERYTHING)
    except BadEvent as error:
        refusal = error
    else:
        return
    assert refusal.reason
    assert "\n" not in refusal.message


def files(random: Random, folder: Path) -> Iterator[None]:
    """Read one mutated file after another, of each kind, each time it is asked for."""
    export, dumped = json.dumps(EXPORT).encode(), json.dumps(DUMP).encode()
    line = next(dict(case.fields) for case in CASES if not case.refusal)[b"data"]
    kinds: tuple[tuple[Callable[[Path], Any], bytes], ...] = (
        (desktop.events, export),
        (dump.events, dumped),
        (dump.events, b"\n".join(json.dumps(each).encode() for each in DUMP)),
        (desktop.events, json.dumps(EXPORT, sort_keys=True).encode()),
        (desktop.events, json.dumps(EXPORT).encode("utf-16")),
        (dump.events, json.dumps({"messages": DUMP, "users": [], "chats": []}).encode()),
        (dump.events, json.dumps(GO).encode()),
        (lines.checked, b"\n".join([line] * 3)),
        (lambda path: [Positions(path)], b'{"-1001179270258": 24237, "5": 7}'),
    )
    while True:
        for read, whole in kinds:
            path = folder / "file.json"
            path.write_bytes(mutated(random, whole, export))
            _drained(read, path)
            yield


def _drained(read: Callable[..., Any], path: Path) -> None:
    try:
        for event in read(path):
            if isinstance(event, dict):
                decode(form_a(event))
    except GraphwriterError:
        pass  # it has a name


def run(seed: int, cases: int, say: Callable[[str], None] = lambda _: None) -> None:
    """Try `cases` cases; fail on the first that raises anything else, and show it."""
    random = Random(seed)
    source = entries(random)
    with tempfile.TemporaryDirectory() as folder:
        reading = files(random, Path(folder))
        start = time.monotonic()
        for number in range(1, cases + 1):
            fields = next(source)
            try:
                decode(fields)
                if number % FILES_EVERY == 0:
                    next(reading)
            except Exception as error:
                content = (Path(folder) / "file.json").read_bytes()
                raise AssertionError(
                    f"seed {seed}, case {number}: {fields!r}, {content!r}"
                ) from error
            if number % 100_000 == 0:
                say(f"{number:,} cases, {number / (time.monotonic() - start):,.0f} a second")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=Random().randrange(10_000))
    parser.add_argument("--cases", type=int, default=1_000_000)
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    run(options.seed, options.cases, lambda line: print(line, flush=True))
    print(f"{options.cases:,} cases: nothing but the named errors")


if __name__ == "__main__":
    main()
