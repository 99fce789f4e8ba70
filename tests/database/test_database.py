"""Posts out of real PostgreSQL servers: what is selected, and what is said of what is wrong."""

from __future__ import annotations

import json
import socket
import threading
import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from support.model import decode
from support.posts import START, create, event, rows
from support.product import EVERYTHING
from support.proxy import Proxy

from graphwriter.database import Database, Part, Selection
from graphwriter.database import posts as pages
from graphwriter.errors import ConfigError, Unavailable

LINKED = Selection(linked=True)
ROWS = rows(300)


@pytest.fixture(scope="module", params=["postgres_url", "debian_url"])
def filled(request: pytest.FixtureRequest) -> str:
    """A database of the embedded and of Debian's PostgreSQL, with the tables of the docs."""
    url: str = request.getfixturevalue(request.param)
    create(url, ROWS)
    return url


@pytest.fixture
def url(postgres_url: str) -> str:
    """A database whose tables the test may change."""
    create(postgres_url, ROWS)
    return postgres_url


def execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def ids(url: str, selection: Selection, part: Part = Part()) -> list[str]:  # noqa: B008
    with Database(url, selection) as database:
        return [row.id for row in database.posts(part)]


def of(chosen: Callable[[dict[str, Any]], object]) -> list[str]:
    return sorted(str(row["id"]) for row in ROWS if chosen(row))


def test_every_row_is_its_event(filled: str) -> None:
    """The same address, time and registers as the reference model reads off the row."""
    with Database(filled, keep=EVERYTHING) as database:
        found = {row.id: decode({"data": row.data}) for row in database.posts()}
    assert found == {str(row["id"]): decode(event(row)) for row in ROWS}


def test_nulls_clear_speaks_for_every_facet(filled: str) -> None:
    with Database(filled, Selection(nulls_clear=True), EVERYTHING) as database:
        found = {row.id: decode({"data": row.data}) for row in database.posts()}
    assert found == {str(row["id"]): decode(event(row, nulls_clear=True)) for row in ROWS}


def test_columns_of_what_is_not_kept_may_have_any_type(filled: str) -> None:
    own = Selection(
        sql="SELECT id, channel_id, 9 AS tg_channel_id, telegram_message_id, posted_at, "
        "'a text' AS urls FROM posts"
    )
    with Database(filled, own) as database:
        assert b"urls" not in next(iter(database.posts())).data
    with Database(filled, own, EVERYTHING) as database, pytest.raises(ConfigError, match="urls of"):
        database.check()


@pytest.mark.parametrize(
    ("selection", "chosen"),
    [
        (Selection(), bool),
        (
            LINKED,
            lambda row: row["forward_from_peer_id"] or row["reply_to_message_id"] is not None,
        ),
        (
            Selection(since=START + timedelta(minutes=3)),
            lambda row: (row["updated_at"] or row["posted_at"]) >= START + timedelta(minutes=3),
        ),
        (
            Selection(channels=("-5", "00000000-0000-0000-0000-000000000004")),
            lambda row: row["channel_id"].int in (3, 4),
        ),
        (
            Selection(sql="SELECT posts.*, 9 AS tg_channel_id FROM posts WHERE text LIKE '%;%' ;"),
            lambda row: row["text"],
        ),
    ],
)
def test_a_selection_chooses_posts_in_the_order_of_their_ids(
    filled: str, selection: Selection, chosen: Callable[[dict[str, Any]], object]
) -> None:
    assert ids(filled, selection) == of(chosen)
    with Database(filled, selection) as database:
        assert database.count() == len(of(chosen))


def test_parts_hold_every_post_once(filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a part ends on a page, and a page on a batch."""
    monkeypatch.setattr(pages, "PAGE", 40)
    found, after = [], None
    with Database(filled, LINKED) as database:
        while True:
            part = database.part(20, after)
            found.append([row.id for rows in database.batches(part, 10) for row in rows])
            if part.upto is None:
                break
            after = part.upto
    assert [one for some in found for one in some] == ids(filled, LINKED)
    assert {len(one) for one in found[:-1]} == {20}


def test_given_ids_come_each_with_a_row_or_an_error(filled: str) -> None:
    known = str(ROWS[5]["id"]).upper()
    asked = ("nonsense", known, "00000000-0000-0000-0000-00000000dead", known)
    with Database(filled) as database:
        found = {row.id: row.error and row.error.reason for row in database.posts(Part(ids=asked))}
    assert found == {"nonsense": "wrong_type", known: None, asked[2]: "not_found"}


def test_columns_that_may_be_missing_are_found_out(url: str) -> None:
    optional = "updated_at tenant_id post_author author_peer_id author_name author_type text"
    optional += " content_hash has_media is_edited views_count forwards_count reactions_count"
    for name in optional.split():
        execute(url, f"ALTER TABLE posts DROP COLUMN {name}")
    with Database(url, Selection(tenant="mine")) as database:
        found = [json.loads(row.data) for row in database.posts()]
    assert len(found) == len(ROWS)
    assert {one["tenant_id"] for one in found} == {"mine"}
    assert not [one for one in found if "author_name" in one or "text" in one]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("DROP TABLE posts", r'relation "posts" does not exist; see docs/backfill\.md'),
        ("ALTER TABLE posts DROP forward_date", "posts, .* lacks the column forward_date"),
        ("ALTER TABLE posts DROP posted_at", "posts, .* lacks the column posted_at"),
        (
            "ALTER TABLE posts ALTER views_count TYPE date USING NULL",
            "has views_count of type date, expected int2, int4, int8, numeric",
        ),
        (
            "ALTER TABLE posts ALTER id TYPE bytea USING uuid_send(id)",
            "id of type bytea, expected uuid",
        ),
        ("ALTER TABLE posts ADD tg_channel_id bigint", "two columns tg_channel_id"),
        ("ALTER TABLE channels DROP tg_channel_id", r"column channels\.tg_channel_id does not"),
        ("REVOKE ALL ON posts FROM reader", "permission denied for table posts"),
    ],
)
def test_a_configuration_error_is_named_before_the_first_row(
    url: str, change: str, said: str
) -> None:
    """By an account that may read these two tables and nothing else."""
    execute(url, "DROP ROLE IF EXISTS reader")
    execute(url, "CREATE ROLE reader LOGIN; GRANT SELECT ON posts, channels TO reader")
    try:
        execute(url, change)
        database = Database(url.replace("postgres@", "reader@"))
        with pytest.raises(ConfigError, match=said) as raised:
            database.check()
        assert "\n" not in str(raised.value)
        database.close()
    finally:
        execute(url, "DROP OWNED BY reader; DROP ROLE reader")


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT", "lacks the column post_id or id, channel_id"),
        ("SELEKT 1", "syntax error at or near"),
        ("DELETE FROM posts RETURNING *", "syntax error"),
        ("WITH gone AS (DELETE FROM posts RETURNING *) SELECT * FROM gone", "WITH clause"),
        ("SELECT nextval('one')", "does not exist"),
    ],
)
def test_a_query_is_checked_and_only_reads(filled: str, sql: str, said: str) -> None:
    with (
        Database(filled, Selection(sql=sql)) as database,
        pytest.raises(ConfigError, match=said),
    ):
        database.check()
    assert len(ids(filled, Selection())) == len(ROWS)


OWN = (
    "SELECT id, 1 AS channel_id, 2 AS tg_channel_id, 3 AS telegram_message_id, posted_at FROM posts"
)


@pytest.mark.parametrize("before", ["COMMIT; ", ""])
def test_a_query_that_ends_ours_and_begins_another_is_refused_unexecuted(
    filled: str, before: str
) -> None:
    """COMMIT would end the transaction that only reads."""
    sql = f"{OWN}) AS post LIMIT 0; {before}DELETE FROM posts; SELECT * FROM ({OWN}"
    with Database(filled, Selection(sql=sql)) as database:
        asks: tuple[Callable[[], object], ...] = (
            database.check,
            database.count,
            lambda: database.part(1),
            lambda: list(database.posts()),
        )
        for ask in asks:
            with pytest.raises(ConfigError, match="--sql takes one query"):
                ask()
    assert len(ids(filled, Selection())) == len(ROWS)


@pytest.mark.parametrize("end", [";", ";\n-- that is all\n", "; -- all", " -- all;", ";;\n;"])
def test_a_query_may_end_in_a_semicolon_and_comments(filled: str, end: str) -> None:
    with Database(filled, Selection(sql=OWN + end)) as database:
        assert database.count() == len(ROWS)


def test_a_query_may_have_what_looks_like_its_end_in_a_literal(filled: str) -> None:
    sql = f"{OWN} WHERE 'x; -- y' <> '; --\n'"
    with Database(filled, Selection(sql=sql)) as database:
        assert database.count() == len(ROWS)


def test_a_row_that_cannot_be_computed_fails_alone(filled: str) -> None:
    """The rest of its page is read: the one is found by halving."""
    bad = of(lambda row: row["telegram_message_id"] in (7, 8, 200))
    sql = """SELECT posts.id, channel_id, telegram_message_id, posted_at, 5 AS tg_channel_id,
        1 / ((telegram_message_id - 7) * (telegram_message_id - 8)
        * (telegram_message_id - 200)) AS views_count FROM posts"""
    with Database(filled, Selection(sql=sql)) as database:
        found = [row for rows in database.batches(Part(), 50) for row in rows]
    assert [row.id for row in found] == of(bool)
    assert [row.id for row in found if row.error] == bad
    assert "division by zero" in str(next(row.error for row in found if row.error))


def test_a_row_without_a_chat_says_so(url: str) -> None:
    execute(url, "ALTER TABLE posts DROP CONSTRAINT posts_channel_id_fkey")
    execute(url, "DELETE FROM channels WHERE tg_channel_id = -5")
    with Database(url) as database:
        errors = {row.id: row.error for row in database.posts() if row.error}
    assert sorted(errors) == of(lambda row: row["channel_id"].int == 3)
    assert "no row for the channel_id" in str(next(iter(errors.values())))


@pytest.mark.parametrize("kind", ["bigint", "text"])
def test_an_id_may_be_an_integer_or_text(url: str, kind: str) -> None:
    execute(url, "CREATE SEQUENCE IF NOT EXISTS one MINVALUE -99999")
    execute(
        url,
        f"ALTER TABLE posts ALTER id TYPE {kind} USING (nextval('one') * 7 - 900)::text::{kind}",
    )
    found = ids(url, Selection())
    assert found == sorted(found, key=int if kind == "bigint" else str)
    assert ids(url, Selection(), Part(ids=(found[3], "x y"))) == [found[3], "x y"]
    execute(url, "DROP SEQUENCE one")


def test_a_lost_connection_is_unavailable_and_reading_goes_on_after(
    filled: str, proxy: Callable[[str], Proxy]
) -> None:
    """In the midst of a page, too: what was yielded counts."""
    between = proxy(filled)
    with Database(between.url) as database:
        batches = database.batches(Part(), 50)
        found = [row.id for row in next(batches)]
        between.stop()
        with pytest.raises(Unavailable, match="does not answer"):
            list(batches)
        with pytest.raises(Unavailable, match="does not answer"):
            database.count()
        between.start()
        found += [row.id for row in database.posts(Part(after=found[-1]))]
    assert found == of(bool)


@pytest.mark.parametrize(
    "given",
    [
        "mysql://u:s3cret@127.0.0.1/x",
        "postgresql://u:s3cret@part@127.0.0.1/x",
        "postgresql://u:a/s3cret@127.0.0.1/x",
        "postgresql://u:s3cret@127.0.0.1:port/x",
        "postgresql://u:s3cret@127.0.0.1/x?nonsense=1",
        "host=127.0.0.1 password=s3cret",
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_its_password(given: str) -> None:
    with pytest.raises(ConfigError, match=r"postgresql://user") as raised:
        Database(given).check()
    assert "s3cret" not in str(raised.value)
    assert "part@" not in str(raised.value)


def test_a_services_own_url_will_do(filled: str) -> None:
    """SQLAlchemy's name of a driver is passed over."""
    assert len(ids(filled.replace("postgresql:", "postgresql+asyncpg:"), Selection())) == len(ROWS)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (("/postgres", "/nowhere"), ConfigError, 'database "nowhere" does not exist'),
        (("postgres@", "nobody@"), ConfigError, 'role "nobody" does not exist'),
        (("/postgres", "/postgres?sslmode=require"), ConfigError, "does not support SSL"),
        (("127.0.0.1", "127.0.0.1:1,127.0.0.1"), None, ""),
    ],
)
def test_who_is_refused_is_told_why(
    filled: str, change: tuple[str, str], error: type[Exception] | None, said: str
) -> None:
    given = change[1].join(filled.rsplit(change[0], 1))
    if error is None:
        assert len(ids(given, LINKED)) == len(ids(filled, LINKED))
        return
    with pytest.raises(error, match=said):
        ids(given, LINKED)


def test_memory_does_not_grow_with_the_table(postgres_url: str) -> None:
    """40,000 posts take no more than 4,000."""
    create(postgres_url, ROWS)
    peaks = []
    for count in (4_000, 40_000):
        sql = f"""SELECT n AS id, 'c' AS channel_id, 5 AS tg_channel_id, n AS telegram_message_id,
            now() AS posted_at, repeat('x', 500) AS text FROM generate_series(1, {count}) AS n"""
        with Database(postgres_url, Selection(sql=sql)) as database:
            tracemalloc.start()
            assert sum(len(rows) for rows in database.batches(Part(), 500)) == count
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_the_refusal_of_a_pooler_names_what_to_change() -> None:
    """PgBouncer answers so to `?options=`; its answer is sent by a socket of the test."""
    said = b"SFATAL\0C08P01\0Munsupported startup parameter: options\0\0"

    def answer(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(b"E" + (len(said) + 4).to_bytes(4) + said)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=(listener,))
        thread.start()
        port = listener.getsockname()[1]
        url = f"postgresql://u@127.0.0.1:{port}/d?sslmode=disable&gssencmode=disable"
        with (
            Database(f"{url}&options=-csearch_path%3Dx") as database,
            pytest.raises(ConfigError, match="ignore_startup_parameters"),
        ):
            database.count()
        thread.join(10)


def test_an_ipv6_address_is_shown_in_brackets() -> None:
    assert Database("postgresql://u@[::1]:5433/d").place == "[::1]:5433/d"
