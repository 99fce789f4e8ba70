"""Files of other tools that no importer reads: recognized by their first bytes, with a way on."""

from __future__ import annotations

import re
from pathlib import Path

from graphwriter.errors import ConfigError

HEAD = 1 << 16  # bytes that are looked at

_AGAIN = (
    "export the chat with Telegram Desktop in the format JSON, or save Message.to_dict() of "
    "Telethon"
)
_MADELINE = re.compile(rb'"_"\s*:\s*"message(?:Service|Empty)?"')
_CHAT = re.compile(rb'"_"\s*:\s*"Chat"')


def refuse(path: Path) -> None:
    """Raise ConfigError if the file at `path`, or the directory, is of a tool that is not read."""
    if path.is_dir():
        if any(path.glob("messages*.html")) and not (path / "result.json").exists():
            raise ConfigError(f"{path} is an HTML export of Telegram Desktop: {_WAYS['HTML']}")
        return
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return  # told by whoever reads it
    tool = _tool(head)
    if tool is not None:
        raise ConfigError(f"{path} is {tool}: {_WAYS.get(tool.split()[1], _AGAIN)}")


_WAYS = {
    "HTML": "export the chat again, in the format JSON (machine-readable)",
    "CSV": "a table has no links; " + _AGAIN,
}


def _tool(head: bytes) -> str | None:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"<"):
        return "an HTML file"
    if not start.startswith((b"{", b"[", b"\xff\xfe", b"\xfe\xff")):
        return "a CSV file" if _is_table(start) else None
    if b'"className":' in head:
        return "a GramJS file"
    if b'"ChatType.' in head or (_CHAT.search(head) and b'"peer_id"' not in head):
        return "a Pyrogram file"
    return "a MadelineProto file" if _MADELINE.search(head) else None


def _is_table(start: bytes) -> bool:
    """Return whether the first two lines have the same number of columns, of three at least."""
    lines = start.split(b"\n", 2)[:2]
    if len(lines) < 2 or not lines[1].strip():
        return False
    counts = [[line.count(separator) for line in lines] for separator in (b",", b";", b"\t")]
    return any(first == second > 1 for first, second in counts)
