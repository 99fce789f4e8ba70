"""The commands that ask, as a person runs them: tables, JSON, files, and mistakes."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len
from support.graphs import CHANNEL, values
from support.graphs import graph as graph
from support.graphs import unindexed as unindexed
from support.neo4j import Server

from graphwriter import events
from graphwriter.cli import main
from graphwriter.errors import EXIT_CONFIG, EXIT_FAILED, EXIT_OK, EXIT_USAGE
from graphwriter.graph import Graph, schema
from graphwriter.graph.batch import fold
from graphwriter.keep import Keep

OTHER = -1001000000002
Ask = Callable[..., Result]


@pytest.fixture
def ask(graph: Graph, neo4j_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Run a question at 80 columns on a post, its thread, a forward of it, and a private chat."""
    ann: dict[str, Any] = {"author_peer_id": {"user_id": 5}, "author_name": "Ann"}
    at: dict[str, Any] = {"posted_at": "2024-05-01T10:00:00Z"}
    told = [
        values(41, text="the post\nof all " * 9, telegram_post_url="https://t.me/news_x/41", **at),
        values(42, reply_to_message_id=41, text="a reply", **ann, **at),
        values(43, reply_to_message_id=99),
        values(7, tg_channel_id=OTHER, post_id="f", posted_at="2024-05-01T10:01:00Z",
               forward_from_peer_id={"channel_id": 1179270258}, forward_from_message_id=41,
               forward_from_name="News"),
        values(3, tg_channel_id=777, post_id="777:3", **ann,
               forward_from_peer_id={"user_id": 9}, forward_from_name="Bo"),
    ]  # fmt: skip
    graph.write(fold([events.from_values(one, 2**50) for one in told], Keep(text=True)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEO4J_URI", neo4j_server.uri)
    if neo4j_server.auth:
        monkeypatch.setenv("NEO4J_USER", neo4j_server.auth[0])
        monkeypatch.setenv("NEO4J_PASSWORD", neo4j_server.auth[1])

    def run(*words: str) -> Result:
        return CliRunner(env={"COLUMNS": "80"}).invoke(main, words)

    return run


def json_of(result: Result) -> Any:
    assert result.exit_code == EXIT_OK, result.output
    (line,) = result.stdout.splitlines()
    return json.loads(line)


HERE = f"{CHANNEL}:41"
EVERY = [
    ("post", HERE), ("thread", HERE), ("comments", HERE), ("spread", HERE), ("wanted",),
    ("wanted", "--channels"), ("channels",), ("related", str(CHANNEL)), ("coforward", "--min", "1"),
    ("sources",), ("authors",),
]  # fmt: skip


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_every_question_fits_80_columns_and_is_one_object_as_json(
    ask: Ask, words: tuple[str, ...]
) -> None:
    done = ask("ask", *words)
    assert done.exit_code == EXIT_OK, done.output
    assert [line for line in done.stdout.splitlines() if cell_len(line) > 80] == []
    found = json_of(ask("ask", *words, "--json"))
    assert found["truncated"] is False
    marked = ask("ask", *words, "--markdown")
    assert marked.exit_code == EXIT_OK
    assert "Traceback" not in marked.output


def test_an_address_may_start_with_a_minus_and_come_before_or_after_options(ask: Ask) -> None:
    for words in (
        (HERE, "--json"),
        ("--json", HERE),
        ("--json", "--", HERE),
        ("t.me/news_x/41", "--json"),
        ("p41", "--json"),
    ):
        assert json_of(ask("ask", "thread", *words))["root"] == HERE


def test_the_json_of_a_thread_has_the_fields_of_the_contract(ask: Ask) -> None:
    found = json_of(ask("ask", "thread", HERE, "--json"))
    assert found["root"] == HERE
    first, second = found["posts"]
    assert {"address", "post_id", "reply_to", "depth"} <= first.keys()
    assert (second["address"], second["reply_to"], second["depth"]) == (f"{CHANNEL}:42", HERE, 1)


def test_a_cut_is_told_below_the_table(ask: Ask) -> None:
    done = ask("ask", "thread", HERE, "--limit", "1")
    assert "A limit cut this answer" in done.output
    assert json_of(ask("ask", "thread", HERE, "--limit", "1", "--json"))["truncated"] is True


def test_a_network_is_written_for_other_programs_and_as_a_page(ask: Ask, tmp_path: Path) -> None:
    done = ask("ask", "channels", "--format", "csv", "--html", "page.html")
    assert done.exit_code == EXIT_OK
    assert "written to page.html\nwritten to graphwriter-channels\n" in done.output
    with (tmp_path / "graphwriter-channels" / "edges.csv").open() as file:
        (edge,) = csv.DictReader(file)
    assert (edge["Source"], edge["Target"], edge["Weight"]) == (str(OTHER), str(CHANNEL), "1")
    assert "News" in (tmp_path / "page.html").read_text()
    for format_ in ("gexf", "graphml"):
        assert ask("ask", "thread", HERE, "--format", format_).exit_code == EXIT_OK
        assert "a reply" in (tmp_path / f"graphwriter-thread.{format_}").read_text()
    assert "|replies|" in ask("ask", "thread", HERE, "--format", "mermaid").output


def test_an_export_has_every_node_and_link_once(ask: Ask, graph: Graph, tmp_path: Path) -> None:
    found = json_of(ask("export", "--json"))
    nodes, links = graph.rows(
        "CALL () { MATCH (n) RETURN count(n) AS n } MATCH ()-[r]->() RETURN n, count(r)"
    )[0]
    assert (found["nodes"], found["edges"]) == (nodes, links)
    with (tmp_path / "graphwriter-export" / "nodes.csv").open() as file:
        ids = [row["Id"] for row in csv.DictReader(file)]
    assert len(ids) == len(set(ids)) == nodes
    with (tmp_path / "graphwriter-export" / "edges.csv").open() as file:
        ends = {end for row in csv.DictReader(file) for end in (row["Source"], row["Target"])}
    assert ends <= set(ids)
    span = json_of(ask("export", "--since", "2024-05-01T10:01:00Z", "--json", "-o", "span"))
    assert (span["nodes"], span["edges"]) == (3, 2)  # the forward, the post, and its source


def test_pseudonyms_leave_no_user_in_any_answer_and_depend_on_the_key(
    ask: Ask, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("secret")
    for words in (*EVERY, ("thread", "777:3"), ("channels", "--users"), ("post", "777:3")):
        done = ask("ask", *words, "--pseudonymous", "--json")
        assert done.exit_code == EXIT_OK
        for private in ("Ann", "Bo", '"5"', '"9"', "777", "a reply"):
            assert private not in done.stdout, words
    both = [ask("ask", "authors", "--pseudonymous", "--key-file", "key") for _ in range(2)]
    assert both[0].stdout == both[1].stdout
    fresh = [ask("ask", "authors", "--pseudonymous").stdout for _ in range(2)]
    assert fresh[0] != fresh[1]
    ask("export", "--pseudonymous", "-o", "hidden")
    written = "".join(file.read_text() for file in (tmp_path / "hidden").iterdir())
    assert "user-" in written
    for private in ("Ann", "Bo", "777", "a reply"):
        assert private not in written


def test_words_need_an_index_and_find_posts_then(ask: Ask, unindexed: Graph) -> None:
    graph = unindexed
    done = ask("ask", "search", "reply")
    assert (done.exit_code, "schema apply --fulltext" in done.output) == (EXIT_CONFIG, True)
    wrong = ask("schema", "apply", "--fulltext", "--analyzer", "klingon")
    assert (wrong.exit_code, "russian" in wrong.output) == (EXIT_CONFIG, True)
    made = ask("schema", "apply", "--read", "--fulltext", "--analyzer", "english")
    assert made.output == "created graphwriter_content, graphwriter_url, graphwriter_text\n"
    assert ask("schema", "apply", "--read", "--fulltext").output == "nothing to do\n"
    graph.run("CALL db.awaitIndexes(60)")
    graph.run("CALL db.index.fulltext.awaitEventuallyConsistentIndexRefresh()")
    found = json_of(ask("ask", "search", "replies", "--json"))
    assert [post["address"] for post in found["posts"]] == [f"{CHANNEL}:42"]
    assert schema.reading(graph) == {*schema.READING, schema.FULLTEXT}


MISTAKES: list[tuple[tuple[str, ...], int, str]] = [
    (("thread", "t.me/joinchat/x"), EXIT_FAILED, "give https://t.me/c/"),
    (("thread", f"{CHANNEL}:5"), EXIT_FAILED, "no message of the graph"),
    (("thread",), EXIT_USAGE, "ADDRESS"),
    (("threads", HERE), EXIT_USAGE, "Did you mean 'thread'"),
    (("coforward", "--window", "soon"), EXIT_USAGE, "300s, 5m or 2h"),
    (("channels", "--since", "yesterday"), EXIT_USAGE, "2024-05-01"),
    (("channels", "--output", "x"), EXIT_CONFIG, "--format"),
    (("channels", "--html", "no/such/folder.html"), EXIT_CONFIG, "no/such/folder.html"),
    (("authors", "--pseudonymous", "--key-file", "none"), EXIT_CONFIG, "--key-file none"),
]


@pytest.mark.parametrize(("words", "code", "says"), MISTAKES, ids=lambda one: str(one))
def test_a_mistake_is_told_with_the_way_out(
    ask: Ask, words: tuple[str, ...], code: int, says: str
) -> None:
    done = ask("ask", *words)
    assert done.exit_code == code, done.output
    assert says in done.output
    assert "Traceback" not in done.output
