"""A context as text for a prompt: one line an item, each with a link to cite."""

from __future__ import annotations

from graphwriter.queries.answers import Context, Item, Reply, Writer
from graphwriter.text import plain

_TITLES = {
    "ancestors": "It replies to, the nearest first:",
    "album": "The rest of its album:",
    "replies": "Replies:",
    "comments": "Comments:",
    "forwards": "Forwarded by:",
    "same": "Same content:",
}


def prose(context: Context) -> str:
    """Return the context as text. Texts of posts are shown on one line each, between quotes."""
    post = context.post
    lines = [f"Post {_line(post, context.author)}"]
    if (origin := context.origin) is not None:
        source = "" if origin.source is None else _writer(origin.source)
        original = "" if origin.post is None else f", original {_place(origin.post)}"
        lines.append(f"Forwarded from {source or 'a post'}{original}")
    if context.links:
        lines.append(f'It links to: "{plain(" ".join(context.links))}"')
    for kind, title in _TITLES.items():
        items: list[Item] = getattr(context, kind)
        if items:
            lines.append(title)
            lines += [f"{_indent(item)}- {_line(item, item.author)}" for item in items]
    if context.left_out:
        left = ", ".join(f"{number:,} {kind}" for kind, number in context.left_out.items())
        lines.append(f"Not shown: {left}.")
    return "\n".join(lines)


def _line(item: Item, author: Writer | None) -> str:
    parts = [_place(item)]
    if item.posted_at is not None:
        parts.append(item.posted_at[:16].replace("T", " "))
    if author is not None:
        parts.append(f"by {_writer(author)}")
    if item.post_id is None:
        parts.append("(not ingested)")
    text = "" if not item.text else f': "{plain(item.text)}"'
    return ", ".join(parts) + text


def _place(item: Item) -> str:
    return item.url or item.address


def _writer(writer: Writer) -> str:
    return plain(writer.name) if writer.name else f"{writer.type} {writer.id}"


def _indent(item: Item) -> str:
    return "  " * max(0, item.depth - 1) if isinstance(item, Reply) else ""
