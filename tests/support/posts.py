"""Rows of the schema that docs/backfill.md asks for, and the events that they stand for."""

from __future__ import annotations

import json
import random
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from support.cases import REGISTERS
from support.model import Fields
from support.paths import ROOT

PAGE = ROOT / "docs" / "backfill.md"
CHATS = {
    uuid.UUID(int=1): -1001179270258,
    uuid.UUID(int=2): -1000000000005,
    uuid.UUID(int=3): -5,
    uuid.UUID(int=4): 777,
}
START = datetime(2024, 5, 1, 10, tzinfo=UTC)
Row = dict[str, Any]


def ddl() -> str:
    """The tables as the docs have them."""
    found = re.search(r"```sql\n(CREATE TABLE.*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    return found[1]


def create(url: str, rows: list[Row]) -> None:
    """Create the tables again, with `rows`."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS posts; DROP TABLE IF EXISTS channels")
        connection.execute(ddl())
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO channels VALUES (%s, %s)", list(CHATS.items()))
            if rows:
                with cursor.copy(f"COPY posts ({', '.join(rows[0])}) FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row([_value(value) for value in row.values()])
            cursor.execute("ANALYZE")


def _value(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict) else value


def rows(count: int, seed: int = 1) -> list[Row]:
    """Posts of four chats, with every kind of forward, reply and author, and none."""
    chance = random.Random(seed)
    made = []
    for number in range(count):
        chat = chance.choice(list(CHATS))
        moment = START + timedelta(seconds=number, microseconds=chance.randrange(10**6))
        row = dict.fromkeys(name for names in REGISTERS.values() for name in names)
        row |= {
            "id": uuid.UUID(int=chance.getrandbits(128), version=4),
            "channel_id": chat,
            "tenant_id": "t",
            "telegram_message_id": number + 1,
            "posted_at": moment,
            "updated_at": chance.choice((None, moment + timedelta(days=1))),
            "text": chance.choice((None, "", "Ñandú \\ \" '; \n☃")),
            "views_count": chance.choice((None, 0, 2**63 - 1)),
            "has_media": chance.choice((None, True, False)),
            "urls": chance.choice((None, [], ["https://a.example/x", f"t.me/c/5/{number + 1}"])),
            "media_sha256_list": chance.choice((None, [f"{number % 7:064X}"])),
            "grouped_id": chance.choice((None, None, number // 3)),
        }
        del row["post_id"]
        made.append(row | _forward(chance) | _reply(chance, number) | _author(chance))
    return made


def _forward(chance: random.Random) -> Row:
    peer = chance.choice((None, {"user_id": 5}, {"channel_id": 5}, {"chat_id": 5}))
    one = {
        "forward_from_peer_id": peer,
        "forward_from_chat_id": chance.choice((None, 5, -1001179270258)),
        "forward_from_message_id": chance.choice((None, 10**6 + chance.randrange(50))),
        "forward_date": chance.choice((None, START)),
        "forward_from_name": chance.choice((None, "Ann")),
    }
    hidden = {"forward_from_name": f"Hidden {chance.randrange(9)}"}
    return chance.choice(({}, {}, one, hidden))


def _reply(chance: random.Random, number: int) -> Row:
    one = {
        "reply_to_message_id": 10**6 + chance.randrange(50),
        "reply_to_chat_id": chance.choice((None, 5, -5)),
        "thread_id": chance.choice((None, 1)),
    }
    return chance.choice(({}, {}, one, {"thread_id": number}))


def _author(chance: random.Random) -> Row:
    one = {
        "author_peer_id": chance.choice((None, {"user_id": 7}, {"channel_id": 5})),
        "author_name": chance.choice((None, "", "Bo")),
        "author_type": chance.choice((None, "user")),
    }
    return chance.choice(({}, one))


def event(row: Row, *, nulls_clear: bool = False) -> Fields:
    """The event of a row, by what docs/backfill.md says."""
    time = row.get("updated_at") or row["posted_at"]
    values = {
        "schema_version": "v1",
        "occurred_at": time.isoformat(),
        "idempotency_key": "k",
        "tg_channel_id": CHATS[row["channel_id"]],
        "post_id": str(row["id"]),
        **{name: value for name, value in row.items() if name != "id"},
    }
    for facet in ("forward", "reply", "author", "links", "media"):
        names = REGISTERS[facet]
        if not nulls_clear and all(row.get(name) is None for name in names):
            values = {name: value for name, value in values.items() if name not in names}
    text = {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in values.items()
    }
    return {b"data": json.dumps(text, default=str).encode()}
