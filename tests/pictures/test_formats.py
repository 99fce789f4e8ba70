"""Files of networks, read back by the programs they are for, and the page in a real browser."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import networkx
import pytest
from support.chromium import Tab
from support.waits import until

from graphwriter.errors import ConfigError
from graphwriter.pictures import formats, page
from graphwriter.pictures.network import Edge, Network, Node, network

HOSTILE = 'a "b" <c> & ]]> \x00\x1b </script><script>document.title="owned"</script> é\n🙂'


@pytest.fixture
def drawn() -> Network:
    """Three nodes, one of them with a hostile label, and two kinds of links between two of them."""
    nodes = [
        Node(id="-1001", label=HOSTILE, kind="channel", group="-1001", size=5),
        Node(id="-1002", label="other", kind="channel", group="-1002"),
        Node(id="-1003", label="alone", kind="channel", group="-1003", url="https://t.me/c/3/1"),
    ]
    edges = [
        Edge(source="-1001", target="-1002", kind="forwards", weight=7),
        Edge(source="-1001", target="-1002", kind="replies"),
    ]
    return Network(title="a <test>", nodes=nodes, edges=edges)


@pytest.mark.parametrize("format_", ["gexf", "graphml"])
def test_networkx_reads_what_was_written(drawn: Network, tmp_path: Path, format_: str) -> None:
    path = tmp_path / "graph"
    formats.write(format_, drawn.nodes, drawn.edges, path)
    read: Any = networkx.read_gexf if format_ == "gexf" else networkx.read_graphml
    graph = read(path)
    assert set(graph.nodes) == {"-1001", "-1002", "-1003"}
    assert graph.nodes["-1001"]["posts"] == 5
    assert "</script><script>" in graph.nodes["-1001"]["label"]
    assert graph.nodes["-1003"]["url"] == "https://t.me/c/3/1"
    found = sorted((data["kind"], int(data["weight"])) for *_, data in graph.edges(data=True))
    assert found == [("forwards", 7), ("replies", 1)]
    assert graph.is_directed()


def test_the_csv_has_the_columns_of_gephi(drawn: Network, tmp_path: Path) -> None:
    formats.write("csv", drawn.nodes, drawn.edges, tmp_path / "folder")
    with (tmp_path / "folder" / "nodes.csv").open(newline="") as file:
        nodes = list(csv.DictReader(file))
    with (tmp_path / "folder" / "edges.csv").open(newline="") as file:
        edges = list(csv.DictReader(file))
    assert list(nodes[0])[:2] == ["Id", "Label"]
    assert list(edges[0])[:3] == ["Source", "Target", "Weight"]
    assert [row["Id"] for row in nodes] == ["-1001", "-1002", "-1003"]
    assert nodes[0]["Label"].endswith("\n🙂")
    assert [(row["Kind"], row["Weight"]) for row in edges] == [("forwards", "7"), ("replies", "1")]


def test_mermaid_has_every_node_and_refuses_more_than_one_can_read(drawn: Network) -> None:
    text = formats.mermaid(drawn)
    assert text.splitlines()[0] == "flowchart LR"
    assert "n0 -->|7 forwards| n1" in text
    assert "<script" not in text
    nodes = [Node(id=str(n), label="", kind="post", group="1") for n in range(60)]
    with pytest.raises(ConfigError, match="60 nodes are too many"):
        formats.mermaid(Network(title="", nodes=nodes, edges=[]))


def test_a_file_that_cannot_be_written_is_a_clear_error(drawn: Network, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for format_, path in (("csv", tmp_path / "file"), ("gexf", tmp_path / "no" / "graph.gexf")):
        with pytest.raises(ConfigError, match=str(tmp_path)):
            formats.write(format_, drawn.nodes, drawn.edges, path)


def test_every_answer_that_is_a_graph_becomes_a_network() -> None:
    item = {"post_id": "p", "url": None, "posted_at": None, "author": None, "text": None}
    reply = {"address": "-1:2", "reply_to": "-1:1", "depth": 1, **item}
    root = {"address": "-1:1", "reply_to": None, "depth": 0, **item}
    thread = network("", {"root": "-1:1", "posts": [root, reply], "truncated": True})
    assert [node.id for node in thread.nodes] == ["-1:1", "-1:2"]
    assert [(e.source, e.target, e.kind) for e in thread.edges] == [("-1:2", "-1:1", "replies")]
    assert thread.truncated
    pairs = network("", {"pairs": [{"a": -2, "b": -1, "originals": 4}]})
    assert [(e.source, e.target, e.weight) for e in pairs.edges] == [("-2", "-1", 4)]
    with pytest.raises(ValueError, match="no graph"):
        network("", {"sources": [], "truncated": False})


@pytest.mark.parametrize("number", [3, 500, pytest.param(5000, marks=pytest.mark.slow)])
def test_the_page_draws_searches_and_shows_a_card_without_the_network(
    tab: Tab, drawn: Network, tmp_path: Path, number: int
) -> None:
    more = [
        Node(id=f"-1:{n}", label=f"post {n}", kind="post", group=str(n % 30), text=HOSTILE)
        for n in range(number - 3)
    ]
    links = [
        Edge(source=node.id, target=f"-1:{n // 3}", kind="replies") for n, node in enumerate(more)
    ]
    whole = Network(title=drawn.title, nodes=drawn.nodes + more, edges=drawn.edges + links)
    path = tmp_path / "graph.html"
    path.write_text(page.page(whole), "utf-8")
    tab.size(1200)
    tab.open(path.as_uri())
    until(lambda: tab.run("document.body.dataset.ready") == "yes", 60)
    assert tab.run("document.title") == "a <test>"
    counts = tab.run("document.getElementById('counts').textContent")
    assert counts.startswith(f"{number:,} nodes, {len(whole.edges):,} links")
    assert tab.run("performance.getEntriesByType('resource').length") == 0
    tab.run(
        "(() => { const box = document.getElementById('search'); box.value = 'alone';"
        " box.dispatchEvent(new Event('input'));"
        " box.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter'})); })()"
    )
    until(lambda: click(tab) and tab.run("!document.getElementById('card').hidden"))
    assert "alone" in tab.run("document.getElementById('card').textContent")
    assert tab.run("document.querySelector('#card a').href") == "https://t.me/c/3/1"
    assert tab.said == []


def click(tab: Tab) -> bool:
    """Click into the middle, where the found node is."""
    for kind in ("mousePressed", "mouseReleased"):
        tab.call("Input.dispatchMouseEvent", type=kind, x=600, y=450, button="left", clickCount=1)
    return True
