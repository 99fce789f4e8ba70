"""The architecture: imports go downward only, and each driver is known to one room."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from support.paths import ROOT

PACKAGE = ROOT / "graphwriter"

# The design, from the bottom up: a file or room imports from the lines above its own, and from
# itself. docs/design.md draws it.
LEVELS = (
    ("errors",),
    ("backoff", "files", "keep", "logs", "partitions", "text", "urls"),
    ("events", "config", "plan"),
    ("stream", "graph", "database", "embedded"),
    ("producers", "queries", "worker"),
    ("backfill", "pictures", "verify", "status"),
    ("doctor", "exporter", "graphrag", "library", "mcp"),
    ("cli",),
)
LEVEL = {part: level for level, parts in enumerate(LEVELS) for part in parts}
DOORS = ("__init__", "__main__")  # above all: they lead to what lies below
PURE = (
    *(
        "text",
        "partitions",
        "plan",
        "events/facets",
        "events/links",
        "events/telegram",
        "events/times",
        "events/wire",
    ),
    *("backfill/tables", "graph/batch", "verify/compare", "worker/counts"),
)
BORDERS = {
    "redis": {"stream"},
    "neo4j": {"graph", "graphrag", "embedded"},
    "psycopg": {"database"},
    "click": {"cli"},
    "prometheus_client": {"exporter", "mcp"},
    "waitress": {"exporter"},
    "jinja2": {"exporter"},
    "supervisor": {"worker"},
    "telethon": {"producers"},
    "neo4j_graphrag": {"graphrag"},
    "mcp": {"mcp"},
    "mcp_types": {"mcp"},
}
IMPURE = ("logging", "time", "os", "socket", "random", "pathlib", "io")
MODULES = sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    """The part of the package that a file belongs to: a module or a folder."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """The dotted names that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_downward(path: Path) -> None:
    """A module imports from lower levels and from its own room, never sideways or up."""
    own = part_of(path)
    level = len(LEVELS) if own in DOORS else LEVEL[own]
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "graphwriter" or len(parts) < 2 or parts[1] not in LEVEL:
            continue
        assert parts[1] == own or LEVEL[parts[1]] < level, f"{own} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_what_it_is_and_why_where_it_is_long(path: Path) -> None:
    """One noun a file. Above 400 lines its docstring says why: it contains the word "long"."""
    text = path.read_text()
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring, "no docstring"
    assert len(text.splitlines()) <= 400 or " long" in docstring


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_driver_is_known_to_one_part(path: Path) -> None:
    """Third-party errors are translated at the border, once."""
    for name in imports(path):
        allowed = BORDERS.get(name.split(".")[0])
        assert allowed is None or part_of(path) in allowed, f"{path.name} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_stream_room_translates_errors_of_redis(path: Path) -> None:
    """Every other room calls its functions, which raise errors of ours."""
    if part_of(path) != "stream":
        names = {
            alias.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom)
            and (node.module or "").startswith("graphwriter.stream")
            for alias in node.names
        }
        assert "translated" not in names


@pytest.mark.parametrize("part", PURE)
def test_pure_modules_neither_log_nor_look_at_the_world(part: str) -> None:
    """What an event means depends on the event alone."""
    for name in imports(PACKAGE / f"{part}.py"):
        assert name.split(".")[0] not in IMPURE


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_public_names_have_docstrings(path: Path) -> None:
    """Every other name has an underscore."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} in {path.name}"
            if isinstance(node, ast.ClassDef) and not node.bases:
                for member in node.body:
                    if isinstance(member, ast.FunctionDef) and not member.name.startswith("_"):
                        assert ast.get_docstring(member), f"{node.name}.{member.name}"


def test_the_drawing_of_the_levels_is_the_table() -> None:
    """docs/design.md names the files and rooms of each level, from the bottom up."""
    drawing = (
        (ROOT / "docs" / "design.md").read_text().partition("```text\n")[2].partition("```")[0]
    )
    drawn = [re.split(r"\s{3,}", line[3:].strip())[0].split() for line in drawing.splitlines()]
    assert [{name.rstrip("/") for name in names} for names in drawn] == [*map(set, LEVELS)]
    for names in drawn:
        for name in names:
            assert name.endswith("/") == (PACKAGE / name).is_dir()


def test_nothing_is_left_unfinished() -> None:
    """No notes to self, and no path of one machine."""
    for path in [*MODULES, *(ROOT / "tests").glob("*.py"), *(ROOT / "conf").iterdir()]:
        if path.name != "test_layers.py":
            assert not re.search(r"TODO|FIXME|XXX|/root/|/tmp/", path.read_text()), path
