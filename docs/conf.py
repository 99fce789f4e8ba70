"""The site: `make docs` builds it from these pages into build/docs, with every warning an error."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from graphwriter import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "graphwriter"
release = __version__
html_title = f"graphwriter {release}"
extensions = ["myst_parser"]
root_doc = "index"

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {"navigation_with_keys": True}
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
pygments_style = "friendly"
pygments_dark_style = "github-dark"
highlight_language = "none"

myst_heading_anchors = 3
# The front page may name a page that is still to come; one that it does not name is an error.
# Pygments knows no negative number in Cypher; what an example must be, tests look at.
suppress_warnings = ["toc.not_readable", "misc.highlighting_failure"]

# Pages that lie beside docs/, and where the site has them.
_OUTSIDE = {
    "../README.md": "index.md",
    "../SECURITY.md": "security.md",
    "../CONTRIBUTING.md": "contributing.md",
    "../CHANGELOG.md": "changelog.md",
    "../bench/README.md": "bench.md",
}


def _inside(app: Sphinx, docname: str, source: list[str]) -> None:  # noqa: ARG001 - Sphinx's signature
    source[0] = re.sub(r"\[([^\]]*)\]\((\.\./[^)#]+)(#[^)]*)?\)", _link, source[0])


def _link(found: re.Match[str]) -> str:
    text, target, anchor = found.groups()
    if (Path(__file__).parent / target).is_dir():
        return text  # a site has nothing to show for it; a file it hands out
    return f"[{text}]({_OUTSIDE.get(target, target)}{anchor or ''})"


def setup(app: Sphinx) -> None:
    """Let links to the pages beside docs/ lead to their places in the site."""
    app.connect("source-read", _inside)
