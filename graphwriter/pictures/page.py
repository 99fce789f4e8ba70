"""A network as one HTML file that needs no other file and no network: pan, zoom, search, click.

It is drawn by cytoscape.js, which is a part of the file. Labels and texts come from strangers: the
data is JSON in an element that no browser runs, and is shown as text only.
"""

from __future__ import annotations

import html
import re
from functools import cache
from importlib import resources

import msgspec

from graphwriter.pictures.network import Network

_PLACE = re.compile(r"\{\{([A-Z]+)\}\}")


def page(network: Network) -> str:
    """Return the file's text, about 0.5 MB and what the network needs."""
    data = msgspec.json.encode(network).decode()
    parts = {
        "TITLE": html.escape(network.title),
        "STYLE": _file("picture.css"),
        "DATA": data.replace("<", "\\u003c"),
        "LIBRARY": _file("cytoscape.min.js"),
        "SCRIPT": _file("picture.js"),
    }
    return _PLACE.sub(lambda place: parts[place[1]], _file("picture.html"))


@cache
def _file(name: str) -> str:
    return (resources.files("graphwriter.pictures") / name).read_text("utf-8")
