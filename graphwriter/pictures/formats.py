"""A network as files of other programs: Gephi's CSV, GEXF, GraphML, and Mermaid for documents."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

from graphwriter.errors import ConfigError
from graphwriter.pictures.network import Edge, Network, Node
from graphwriter.text import plain

MERMAID_NODES = 60  # more cannot be read

# What XML 1.0 cannot contain, in any form.
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ARROWS = {"forwards": "-->", "replies": "-.->", "coforwards": "---"}


def write_csv(network: Network, folder: Path) -> None:
    """Write `nodes.csv` and `edges.csv` with the column names that Gephi expects.

    Raises:
        ConfigError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "nodes.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow(["Id", "Label", "Kind", "Chat", "Posts", "Posted", "Author", "Url"])
            for node in network.nodes:
                rest = [node.posted_at, node.author, node.url]
                table.writerow([node.id, node.label, node.kind, node.group, node.size, *rest])
        with (folder / "edges.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow(["Source", "Target", "Weight", "Kind", "Type"])
            for edge in network.edges:
                table.writerow([edge.source, edge.target, edge.weight, edge.kind, _type(edge)])
    except OSError as error:
        raise ConfigError(f"{folder}: {error.strerror}") from None


def write_xml(network: Network, path: Path, format_: str) -> None:
    """Write a `gexf` or `graphml` file, with networkx.

    Raises:
        ConfigError: networkx is not installed, or the file cannot be written.
    """
    try:
        import networkx
    except ImportError:
        raise ConfigError(
            f"{format_} needs networkx: pip install 'graphwriter[graph]'; --format csv does not"
        ) from None
    graph = networkx.MultiDiGraph()
    for node in network.nodes:
        graph.add_node(_xml(node.id), **_attributes(node))
    for number, edge in enumerate(network.edges):
        ends = _xml(edge.source), _xml(edge.target)
        graph.add_edge(*ends, key=number, id=str(number), weight=edge.weight, kind=edge.kind)
    write = networkx.write_gexf if format_ == "gexf" else networkx.write_graphml
    try:
        write(graph, path)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None


def mermaid(network: Network) -> str:
    """Return a Mermaid flowchart.

    Raises:
        ConfigError: there are too many nodes to read.
    """
    if len(network.nodes) > MERMAID_NODES:
        raise ConfigError(
            f"{len(network.nodes)} nodes are too many for Mermaid, {MERMAID_NODES} at most: use "
            "--limit, --html or --format csv"
        )
    numbers = {node.id: f"n{number}" for number, node in enumerate(network.nodes)}
    lines = ["flowchart LR"]
    lines += [f'  {numbers[node.id]}["{_quoted(node.label)}"]' for node in network.nodes]
    for edge in network.edges:
        arrow = _ARROWS.get(edge.kind, "-->")
        label = edge.kind if edge.weight == 1 else f"{edge.weight} {edge.kind}"
        lines.append(f"  {numbers[edge.source]} {arrow}|{label}| {numbers[edge.target]}")
    return "\n".join(lines)


def _attributes(node: Node) -> dict[str, Any]:
    values = {
        "label": node.label,
        "kind": node.kind,
        "chat": node.group,
        "posts": node.size,
        "posted": node.posted_at,
        "author": node.author,
        "url": node.url,
    }
    return {
        name: _xml(value) if isinstance(value, str) else value
        for name, value in values.items()
        if value is not None
    }


def _type(edge: Edge) -> str:
    return "Undirected" if edge.kind == "coforwards" else "Directed"


def _xml(text: str) -> str:
    return _NO_XML.sub(" ", text)


def _quoted(text: str) -> str:
    return "".join(c if c.isalnum() or c in " .,:;-_/@!?'" else f"#{ord(c)};" for c in plain(text))
