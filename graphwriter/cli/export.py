"""graphwriter export: the graph as files of other programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from graphwriter.cli.ask import SPAN, WHOLE_TIMEOUT, key, pseudonymous
from graphwriter.cli.options import CONTEXT, NEO4J, settings
from graphwriter.cli.output import as_json, counting, echo_json
from graphwriter.config import Config
from graphwriter.text import counted

if TYPE_CHECKING:
    from graphwriter.pictures.network import Edge, Node

T = TypeVar("T", bound="Node | Edge")


@click.command("export", context_settings=CONTEXT)
@click.option(
    "--format",
    "format_",
    type=click.Choice(("csv", "gexf", "graphml")),
    default="csv",
    show_default=True,
    help="csv is a folder with nodes.csv and edges.csv, for Gephi.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="File or folder.  [default: graphwriter-export]",
)
@SPAN[0]
@SPAN[1]
@pseudonymous
@click.option(
    "--timeout",
    default=WHOLE_TIMEOUT,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="Seconds that Neo4j may take for the nodes, and for the edges.",
)
@as_json
@settings(*NEO4J)
def command(
    config: Config,
    format_: str,
    output: Path | None,
    since: datetime | None,
    until: datetime | None,
    pseudonymous: bool,
    key_file: Path | None,
    timeout: float,
    json: bool,
) -> None:
    """Write the graph, or a span of it, for Gephi, networkx and other programs.

    Messages, sources and authors are nodes. It is written as it is read, so it may be larger than
    the memory. For the network of channels see `graphwriter ask channels --format`.
    """
    from graphwriter.graph import connect
    from graphwriter.pictures import formats
    from graphwriter.pictures.export import Export
    from graphwriter.queries.pseudonyms import Pseudonyms

    path = output or formats.default("export", format_)
    numbers = {"nodes": 0, "edges": 0}

    def counted_in(name: str, items: Iterable[T]) -> Iterator[T]:
        for item in counting(items, f"writing {name}", every=10_000):
            numbers[name] += 1
            yield item

    hidden = Pseudonyms(key(key_file)) if pseudonymous else None
    with connect(config, timeout=timeout, retry=0.0) as graph:
        export = Export(graph, since, until, hidden)
        nodes, edges = counted_in("nodes", export.nodes()), counted_in("edges", export.edges())
        formats.write(format_, nodes, edges, path)
    if json:
        echo_json({"path": str(path), **numbers})
    else:
        both = f"{counted(numbers['nodes'], 'node')} and {counted(numbers['edges'], 'link')}"
        click.echo(f"{both} written to {path}")
