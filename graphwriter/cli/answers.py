"""How answers of `ask` are shown: a table, Markdown, and files of the network."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from graphwriter.cli.output import folded, table
from graphwriter.errors import ConfigError
from graphwriter.pictures.network import by_the_chat
from graphwriter.text import age, counted, plain

Table = tuple[str, list[str], list[list[Any]]]  # a title, the columns, the rows
Values = dict[str, Any]


def show(values: Values) -> None:
    """Print an answer for a terminal of 80 columns."""
    for number, (title, columns, rows) in enumerate(tables(values)):
        if number:
            click.echo()
        if title:
            click.echo("\n".join(map(folded, title.split("\n"))))
        if columns:
            filled = [n for n in range(len(columns)) if not rows or any(row[n] for row in rows)]
            shown = [[row[n] for n in filled] for row in rows]
            table([columns[n] for n in filled], shown, whole=False, uncut=2)
    if cut := _cut(values):
        click.echo(f"\n{folded(cut)}")


def markdown(values: Values) -> str:
    """Return an answer as Markdown."""
    lines: list[str] = []
    for title, columns, rows in tables(values):
        lines += [_escaped(line) for line in title.splitlines()] + [""]
        if columns:
            lines.append(f"| {' | '.join(columns)} |")
            lines.append(f"|{'---|' * len(columns)}")
            lines += [f"| {' | '.join(_escaped(cell) for cell in row)} |" for row in rows] + [""]
    return "\n".join([*lines, _cut(values)]).strip()


def tables(values: Values) -> list[Table]:
    """Return an answer as tables."""
    if "left_out" in values:
        return list(_context(values))
    if "same" in values:
        return [_same(values)]
    if "forwards" in values:
        return [_spread(values)]
    if "copies" in values:
        text = f"{counted(len(values['posts']), 'comment')} below {_listed(values['copies'])}"
        if not values["copies"]:
            text = "no comments: nothing replies to a copy of the post in another chat"
            return [(text, [], [])]
        return [(text, *_replies(values["posts"]))]
    if "root" in values:
        text = f"{counted(len(values['posts']), 'message')} from {values['root']} down"
        return [(text, *_replies(values["posts"]))]
    if "nodes" in values:
        return _channels(values)
    if "forwarded_by" in values:
        name = values["name"] or values["id"]
        ways = {"forwards_from": f"{name} forwards from", "forwarded_by": f"{name} is forwarded by"}
        return [(title, *_rows(_LISTS["channels"], values[way])) for way, title in ways.items()]
    return [_list(values)]


def write(
    name: str, values: Values, format_: str | None, output: Path | None, html: Path | None
) -> list[Path]:
    """Write the files that were asked for, and return them; Mermaid is printed without a path.

    Raises:
        ConfigError: a file cannot be written, or a program for it is missing.
    """
    if format_ is None and html is None:
        if output is not None:
            raise ConfigError("--output needs --format, such as --format csv")
        return []
    from graphwriter.pictures import formats, network, page

    drawn = network.network(f"graphwriter ask {name}", values)
    written: list[Path] = []
    if html is not None:
        _write(html, page.page(drawn))
        written.append(html)
    if format_ == "mermaid":
        text = formats.mermaid(drawn)
        if output is None:
            click.echo(text)
            return [*written, Path("-")]
        _write(output, f"{text}\n")
    elif format_ is not None:
        output = output or formats.default(name, format_)
        formats.write(format_, drawn.nodes, drawn.edges, output)
    return [*written, *([output] if output is not None else [])]


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None


def _replies(posts: list[Values]) -> tuple[list[str], list[list[Any]]]:
    columns = ["message", "posted", "author", "text"]
    return columns, [
        [post["address"], _time(post), _author(post), "  " * max(0, post["depth"]) + _text(post)]
        for post in posts
    ]


def _spread(values: Values) -> Table:
    known = "" if values["known"] else " (not ingested)"
    title = f"{counted(len(values['forwards']), 'forward')} of {values['origin']}{known}"
    if values["median_lag"] is not None:
        title += f", half of them within {age(values['median_lag'])}"
    columns = ["message", "posted", "after", "author", "text"]
    return (
        title,
        columns,
        [
            [
                post["address"],
                _time(post),
                "" if post["lag"] is None else age(post["lag"]),
                _author(post),
                _text(post),
            ]
            for post in values["forwards"]
        ],
    )


def _same(values: Values) -> Table:
    title = f"{counted(len(values['same']), 'post')} like {values['post']['address']}"
    columns = ["message", "posted", "after", "by", "author", "text"]
    rows = [
        [
            post["address"],
            _time(post),
            _lag(post["lag"]),
            ", ".join(post["by"]),
            _author(post),
            _text(post),
        ]
        for post in values["same"]
    ]
    return title, columns, rows


def _lag(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"-{age(-seconds)}" if seconds < 0 else age(seconds)


def _context(values: Values) -> Iterable[Table]:
    post = values["post"]
    lines = [f"{post['address']}  {_time(post)}  {post['url'] or ''}".rstrip()]
    if post["post_id"] is None:
        lines.append("not ingested: posts refer to it")
    if values["author"] and not by_the_chat(post | {"author": values["author"]}):
        lines.append(f"by {_writer(values['author'])}")
    if origin := values["origin"]:
        source = _writer(origin["source"]) if origin["source"] else ""
        where = origin["post"]["address"] if origin["post"] else ""
        lines.append(f"forwarded from {source} {where}".replace("  ", " ").rstrip())
    if post["text"]:
        lines.append(plain(post["text"]))
    if values["links"]:
        lines.append(f"links to {_listed(values['links'])}")
    yield "\n".join(lines), [], []
    titles = {
        "ancestors": "It replies to",
        "album": "The rest of its album",
        "replies": "Replies",
        "comments": "Comments",
        "forwards": "Forwards",
        "same": "Same content",
    }
    for kind, title in titles.items():
        if values[kind]:
            posts = [{"depth": 0, **post} for post in values[kind]]
            yield title, *_replies(posts)


def _channels(values: Values) -> list[Table]:
    names = {node["id"]: node["name"] or str(node["id"]) for node in values["nodes"]}
    nodes = [
        [
            node["name"] or "",
            node["id"],
            f"{node['posts']:,}",
            "" if node["amplification"] is None else f"{node['amplification']:.2f}",
            "" if node["originality"] is None else f"{node['originality']:.0%}",
            "" if node["median_lag"] is None else age(node["median_lag"]),
        ]
        for node in values["nodes"]
    ]
    edges = [
        [
            names[edge["source"]],
            names[edge["target"]],
            *(f"{edge[kind]:,}" for kind in ("forwards", "replies", "links")),
        ]
        for edge in values["edges"]
    ]
    columns = ["channel", "id", "posts", "forwards/post", "original", "median lag"]
    return [
        (counted(len(nodes), "channel"), columns, nodes),
        (counted(len(edges), "link"), ["from", "to", "forwards", "replies", "links"], edges),
    ]


# Columns of the lists, by the field that holds the list.
_LISTS = {
    "messages": ["address", "references", "forwards", "replies", "url"],
    "channels": ["id", "name", "posts"],
    "pairs": ["a", "b", "originals"],
    "links": ["url", "address", "channels", "posts", "reach", "first"],
    "sources": ["id", "type", "name", "posts"],
    "authors": ["id", "type", "name", "posts"],
}


def _list(values: Values) -> Table:
    for field, columns in _LISTS.items():
        if field in values:
            return "", *_rows(columns, values[field])
    columns = ["message", "posted", "author", "text"]
    hits = [[hit["address"], _time(hit), _author(hit), _text(hit)] for hit in values["posts"]]
    return "", columns, hits


def _rows(columns: list[str], rows: list[Values]) -> tuple[list[str], list[list[Any]]]:
    return columns, [[_cell(row[name]) for name in columns] for row in rows]


def _cut(values: Values) -> str:
    if left := values.get("left_out"):
        parts = ", ".join(f"{number:,} {kind}" for kind, number in left.items())
        return f"Not shown, at least: {parts}. A higher --limit, --depth or --budget shows more."
    if values["truncated"]:
        return "A limit cut this answer: --limit 0 (and --depth 0) shows all."
    return ""


def _cell(value: Any) -> Any:
    if isinstance(value, int) and value >= 0:
        return f"{value:,}"
    return "" if value is None else value


def _time(post: Values) -> str:
    return "" if post["posted_at"] is None else post["posted_at"][:16].replace("T", " ")


def _author(post: Values) -> str:
    author = post.get("author")
    if author is None or by_the_chat(post):
        return ""
    return str(author["name"] or author["id"])


def _writer(writer: Values) -> str:
    name = f"{writer['name']} " if writer["name"] else ""
    return f"{name}({writer['type']} {writer['id']})"


def _text(post: Values) -> str:
    if post["text"]:
        return plain(post["text"])
    return post["url"] or ("" if post["post_id"] else "(not ingested)")


def _listed(addresses: list[str]) -> str:
    shown = ", ".join(addresses[:3])
    return shown + (f" and {len(addresses) - 3:,} more" if len(addresses) > 3 else "")


def _escaped(cell: Any) -> str:
    text = plain(cell)
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#" else c for c in text)
