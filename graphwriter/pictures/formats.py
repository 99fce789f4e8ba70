"""Networks as files of other programs: Gephi's CSV, GEXF and GraphML, and Mermaid for documents.

Nodes and edges are written as they come, so a file may be larger than the memory. That is why the
XML is written here and not by a library, which would hold the whole network.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO
from xml.sax.saxutils import quoteattr

from graphwriter.errors import ConfigError
from graphwriter.pictures.network import Edge, Network, Node
from graphwriter.text import plain

MERMAID_NODES = 60  # more cannot be read

# What XML 1.0 cannot contain, in any form.
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MERMAID = frozenset('"#&;<>[]{}()|`\\')  # what has a meaning in Mermaid
_ARROWS = {"forwards": "-->", "replies": "-.->", "coforwards": "---"}
# Attributes of nodes: the name in a file, the type there, the field.
_ATTRIBUTES = (
    ("kind", "string", "kind"),
    ("chat", "string", "group"),
    ("posts", "long", "size"),
    ("posted", "string", "posted_at"),
    ("author", "string", "author"),
    ("url", "string", "url"),
)


def default(name: str, format_: str) -> Path:
    """Return the path of a file, or of the folder of `csv`, that a person did not name."""
    return Path(f"graphwriter-{name}" + ("" if format_ == "csv" else f".{format_}"))


def write(format_: str, nodes: Iterable[Node], edges: Iterable[Edge], path: Path) -> None:
    """Write `csv` (a folder with `nodes.csv` and `edges.csv`), `gexf` or `graphml`.

    Raises:
        ConfigError: the path cannot be written.
    """
    if format_ == "csv":
        _csv(nodes, edges, path)
        return
    with _opened(path) as file:
        (_gexf if format_ == "gexf" else _graphml)(nodes, edges, file)


def mermaid(network: Network) -> str:
    """Return a Mermaid flowchart.

    Raises:
        ConfigError: there are too many nodes to read.
    """
    if len(network.nodes) >= MERMAID_NODES:
        raise ConfigError(
            f"{len(network.nodes)} nodes are too many for Mermaid, fewer than {MERMAID_NODES} can "
            "be read: use --limit, --html or --format csv"
        )
    numbers = {node.id: f"n{number}" for number, node in enumerate(network.nodes)}
    lines = ["flowchart LR"]
    lines += [f'  {numbers[node.id]}["{_quoted(node.label)}"]' for node in network.nodes]
    for edge in network.edges:
        arrow = _ARROWS.get(edge.kind, "-->")
        label = edge.kind if edge.weight == 1 else f"{edge.weight} {edge.kind}"
        lines.append(f"  {numbers[edge.source]} {arrow}|{label}| {numbers[edge.target]}")
    return "\n".join(lines)


def _csv(nodes: Iterable[Node], edges: Iterable[Edge], folder: Path) -> None:
    """Write the columns that Gephi expects, and more."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: {error.strerror}") from None
    with _opened(folder / "nodes.csv") as file:
        table = csv.writer(file)
        table.writerow(["Id", "Label", *(name.capitalize() for name, *_ in _ATTRIBUTES)])
        for node in nodes:
            values = [getattr(node, field) for *_, field in _ATTRIBUTES]
            table.writerow([node.id, node.label, *values])
    with _opened(folder / "edges.csv") as file:
        table = csv.writer(file)
        table.writerow(["Source", "Target", "Weight", "Kind", "Type"])
        for edge in edges:
            direction = "Directed" if _directed(edge) else "Undirected"
            table.writerow([edge.source, edge.target, edge.weight, edge.kind, direction])


def _gexf(nodes: Iterable[Node], edges: Iterable[Edge], file: TextIO) -> None:
    file.write(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<gexf xmlns="http://www.gexf.net/1.2draft" version="1.2">\n'
        '<graph defaultedgetype="directed" mode="static">\n<attributes class="node">\n'
    )
    file.writelines(
        f'<attribute id="{name}" title="{name}" type="{type_}"/>\n'
        for name, type_, _ in _ATTRIBUTES
    )
    file.write('</attributes>\n<attributes class="edge">\n')
    file.write('<attribute id="kind" title="kind" type="string"/>\n</attributes>\n<nodes>\n')
    for node in nodes:
        file.write(f"<node id={_xml(node.id)} label={_xml(node.label)}><attvalues>")
        file.writelines(
            f'<attvalue for="{name}" value={_xml(value)}/>' for name, value in _values(node)
        )
        file.write("</attvalues></node>\n")
    file.write("</nodes>\n<edges>\n")
    for number, edge in enumerate(edges):
        direction = "" if _directed(edge) else ' type="undirected"'
        file.write(
            f'<edge id="{number}" source={_xml(edge.source)} target={_xml(edge.target)}'
            f' weight="{edge.weight}"{direction}><attvalues>'
            f'<attvalue for="kind" value={_xml(edge.kind)}/></attvalues></edge>\n'
        )
    file.write("</edges>\n</graph>\n</gexf>\n")


def _graphml(nodes: Iterable[Node], edges: Iterable[Edge], file: TextIO) -> None:
    file.write(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n'
    )
    file.writelines(
        f'<key id="{name}" for="node" attr.name="{name}" attr.type="{type_}"/>\n'
        for name, type_ in (("label", "string"), *((name, type_) for name, type_, _ in _ATTRIBUTES))
    )
    file.write('<key id="link" for="edge" attr.name="kind" attr.type="string"/>\n')
    file.write('<key id="weight" for="edge" attr.name="weight" attr.type="long"/>\n')
    file.write('<graph edgedefault="directed">\n')
    for node in nodes:
        file.write(f"<node id={_xml(node.id)}>")
        file.writelines(
            f'<data key="{name}">{_content(value)}</data>'
            for name, value in (("label", node.label), *_values(node))
        )
        file.write("</node>\n")
    for number, edge in enumerate(edges):
        direction = "" if _directed(edge) else ' directed="false"'
        file.write(
            f'<edge id="{number}" source={_xml(edge.source)} target={_xml(edge.target)}{direction}>'
            f'<data key="link">{_content(edge.kind)}</data>'
            f'<data key="weight">{edge.weight}</data></edge>\n'
        )
    file.write("</graph>\n</graphml>\n")


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            yield file
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None


def _values(node: Node) -> Iterator[tuple[str, Any]]:
    for name, _, field in _ATTRIBUTES:
        value = getattr(node, field)
        if value is not None:
            yield name, value


def _directed(edge: Edge) -> bool:
    return edge.kind not in ("coforwards", "same content")


def _xml(value: Any) -> str:
    return quoteattr(_NO_XML.sub(" ", str(value)))


def _content(value: Any) -> str:
    text = _NO_XML.sub(" ", str(value))
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _quoted(text: str) -> str:
    return "".join(f"#{ord(c)};" if c in _MERMAID else c for c in plain(text))
