"""Writes report.html from results/*.json and nothing else: a page that needs no network."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import plots
from targets import TARGETS, Answers, spread

from graphwriter import plan

BENCH = Path(__file__).parent
ORDER = (
    *("pipeline", "ceiling", "baseline", "peers", "latency", "growth"),
    *("stages", "memory", "gate", "overlap", "server", "orders", "backfill", "ask", "streams"),
)
PLANNED = (10, 100, 1000, 3000, 10_000)  # events/s of the capacity table
STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --soft: #5b6570; --rule: #d9dee3;
  --bar: #3a76c4; --c0: #3a76c4; --c1: #c4663a; --c2: #3a9a5b; --good: #1c7c3c; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171a; --ink: #e4e8ec; --soft: #9aa5b0;
  --rule: #333a41; --bar: #6ea3e8; --c0: #6ea3e8; --c1: #e8956e; --c2: #6ecf8f; --good: #6ecf8f;
  --bad: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 52rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; } h2 { font-size: 1.15rem; margin: 2.5rem 0 .5rem; }
p { margin: .4rem 0; } .soft, .unit, summary { color: var(--soft); font-size: .875rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; margin: .8rem 0; }
th, td { text-align: left; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--rule);
  vertical-align: top; overflow-wrap: break-word; }
td:first-child { min-width: 8.5rem; } td:last-child { padding-right: 0; }
th { color: var(--soft); font-weight: 600; }
.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.met { color: var(--good); font-weight: 600; } .missed { color: var(--bad); font-weight: 600; }
.met, .missed, .open { white-space: nowrap; } .open { color: var(--soft); }
nav { columns: 2; font-size: .9rem; margin: 1rem 0; } nav a { display: block; padding: .15rem 0;
  break-inside: avoid; }
a { color: var(--bar); } svg { display: block; width: 100%; height: auto; margin: .4rem 0; }
svg text { fill: var(--ink); font-size: 13px; } .bar { fill: var(--bar); }
.grid { stroke: var(--rule); } .line { fill: none; stroke-width: 2; }
.line.c0 { stroke: var(--c0); } .line.c1 { stroke: var(--c1); } .line.c2 { stroke: var(--c2); }
.dot.c0 { fill: var(--c0); } .dot.c1 { fill: var(--c1); } .dot.c2 { fill: var(--c2); }
.key { margin-left: .8rem; white-space: nowrap; } .key::before { content: "● "; }
.key.c0::before { color: var(--c0); } .key.c1::before { color: var(--c1); }
.key.c2::before { color: var(--c2); }
@media (max-width: 34rem) { table { font-size: .8rem; } th, td { padding-right: .4rem; }
  td:first-child { min-width: 6.5rem; } svg text { font-size: 18px; } nav { columns: 1; } }
"""


def table(columns: list[str], rows: list[list[str]]) -> str:
    """Return a table of cells that are HTML; columns of numbers lie to the right."""
    head = "".join(f"<th{_numeric(rows, n)}>{name}</th>" for n, name in enumerate(columns))
    body = "".join(
        "<tr>" + "".join(f"<td{_numeric(rows, n)}>{x}</td>" for n, x in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f"<div class=wide><table><tr>{head}</tr>{body}</table></div>"


def _numeric(rows: list[list[str]], column: int) -> str:
    cells = [row[column].replace(",", "").replace(".", "").replace("-", "") for row in rows]
    return " class=n" if column and all(cell.isdigit() for cell in cells if cell) else ""


def number(value: Any) -> str:
    """Return a figure as people read it."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:,.4g}"
    return escape(str(value))


def rates(answer: Mapping[str, Any]) -> str:
    """Return bars of the medians, and a table with the spread."""
    runs = answer["measurements"]
    found = {name: spread(each) for name, each in runs.items() if each and "rate" in each[0]}
    if not found:
        return ""
    bars = plots.bars({name: middle for name, (_, middle, _) in found.items()}, "events/s")
    rows = [[escape(name), *map(number, three)] for name, three in found.items()]
    return bars + _folded(table(["events/s", "lowest", "median", "highest"], rows))


def latency(answer: Mapping[str, Any]) -> str:
    """Return lines of the quantiles by rate."""
    figures = answer["figures"]
    series: dict[str, list[tuple[float, float]]] = {}
    for q in ("p50", "p95", "p99"):
        for name, value in figures.items():
            if name.endswith(f"pipeline, {q}, ms"):
                series.setdefault(q, []).append((float(name.split()[0]), value))
    return plots.lines(series, "events/s", "milliseconds from XADD to acknowledged", log=True)


def growth(answer: Mapping[str, Any]) -> str:
    """Return a line of the rate by posts."""
    steps = [(step["posts"], step["rate"]) for step in answer["steps"]]
    return plots.lines({"events/s": steps}, "posts in the graph", "throughput")


def stages(answer: Mapping[str, Any]) -> str:
    """Return bars of the wall time."""
    end = ", wall an event"
    walls = {
        name.removesuffix(end): value
        for name, value in answer["figures"].items()
        if name.endswith(end)
    }
    return plots.bars(walls, "microseconds an event, wall time")


PLOTS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "latency": latency,
    "growth": growth,
    "stages": stages,
    "memory": lambda answer: plots.bars(
        {x.removesuffix(", MB"): y for x, y in answer["figures"].items() if x.endswith("MB")},
        "MB resident",
    ),
}


def section(name: str, answer: Mapping[str, Any]) -> str:
    """Return a question with its figures, plot, and what was measured."""
    options = ", ".join(f"{key} {value}" for key, value in answer["options"].items() if value != "")
    plot = PLOTS.get(name, rates)(answer)
    figures = table(
        ["figure", "value"], [[escape(x), number(y)] for x, y in answer["figures"].items()]
    )
    if len(answer["figures"]) > 12:
        figures = _folded(figures)
    return (
        f'<section id="{name}"><h2>{escape(answer["question"])}</h2>{plot}{figures}'
        f"<p class=soft>bench/{name}.py, {answer['time']}: {escape(options)}. "
        f"{escape(machine(answer['machine']))}</p></section>"
    )


def machine(found: Mapping[str, Any]) -> str:
    """Return what it was measured on, in a line."""
    return (
        f"{found['cpu']}, {found['cores']} cores, {found['memory'] / 2**30:.0f} GiB, "
        f"{found['system']}; Neo4j {found['neo4j_server']} with heap {found['heap']} and page "
        f"cache {found['pagecache']}, Python {found['python']}, driver {found['neo4j']}"
    )


def targets(answers: Answers) -> str:
    """Return the table of what must hold."""
    rows = []
    for target in TARGETS:
        bound = f"{'≥' if target.least else '≤'} {target.bound:g} {target.unit}"
        try:
            value = target.read(answers)
        except (LookupError, StopIteration):
            rows.append([escape(target.text), bound, "", "<span class=open>not measured</span>"])
            continue
        met = target.met(value)
        said = f"<span class={'met' if met else 'missed'}>{'met' if met else 'not met'}</span>"
        rows.append([escape(target.text), bound, number(value), said])
    return table(["what must hold", "target", "measured", ""], rows)


def capacity(answers: Answers) -> str:
    """Return what `graphwriter plan` says with these answers, for some rates."""
    measured = plan.Measured()
    for name in ("pipeline", "growth", "memory"):
        if name in answers:
            measured = plan.improved(measured, answers[name])
    rows, sureness = [], []
    for rate in PLANNED:
        found = plan.plan(plan.Wanted(rate=rate, retention=30 * 86_400), measured)
        share = {one.name: one.needed for one in found.resources}
        short = [f"{one.name} {one.share:.0%}" for one in found.resources if one.share > 1]
        first = found.resources[0]
        said = (
            f"short of: {', '.join(short)}" if short else f"{first.name}, {first.share:.0%} of it"
        )
        rows.append(
            [
                f"{rate:,}",
                str(found.workers),
                gigabytes(share["Redis memory"]),
                gigabytes(share["Neo4j page cache"]),
                gigabytes(share["Neo4j disk"]),
                escape(said),
            ]
        )
        sureness = found.sureness
    columns = [
        "events/s",
        "workers",
        "Redis, GiB",
        "page cache, GiB",
        "disk, GiB",
        "what ends first",
    ]
    assumed = "".join(f"<li>{escape(line)}</li>" for line in sureness if "events/s is" not in line)
    return (
        "<section id=capacity><h2>What will it take?</h2><p>30 days of posts, an outage of an hour,"
        " at most 64 GiB of memory and 2 TiB of disk for Neo4j, 16 GiB for Redis: "
        f"<code>graphwriter plan</code> reckons other cases.</p>{table(columns, rows)}"
        f"<details><summary>assumptions, for the last line</summary><ul>{assumed}</ul></details>"
        "</section>"
    )


def gigabytes(size: float) -> str:
    """Return bytes as GiB."""
    return number(round(size / 2**30, 1))


def page(answers: Answers) -> str:
    """Return the whole page."""
    known = [name for name in ORDER if name in answers]
    links = "".join(f'<a href="#{x}">{escape(answers[x]["question"])}</a>' for x in known)
    few = [name for name in known if answers[name]["options"].get("rounds", 5) < 5]
    hint = f"<p>Fewer than five rounds, so a hint only: {', '.join(few)}.</p>" if few else ""
    machines = {machine(answers[name]["machine"]) for name in known}
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>graphwriter: measured</title><style>{STYLE}</style><body>"
        "<h1>What graphwriter was measured to do</h1>"
        f"<p>Medians of ratios within one run on one machine: {escape('; '.join(machines))}.</p>"
        f"{hint}{targets(answers)}<nav><a href=#capacity>What will it take?</a>{links}</nav>"
        + capacity(answers)
        + "".join(section(name, answers[name]) for name in known)
        + "</body></html>\n"
    )


def _folded(content: str) -> str:
    return f"<details><summary>all figures</summary>{content}</details>"


def main() -> None:
    """Read every answer there is, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=BENCH / "results", help="folder of JSON")
    parser.add_argument("--page", type=Path, default=BENCH / "report.html", help="what to write")
    options = parser.parse_args()
    files = sorted(options.results.glob("*.json"))
    if not files:
        parser.exit(1, f"no *.json in {options.results}: run make bench first\n")
    options.page.write_text(page({file.stem: json.loads(file.read_text()) for file in files}))
    print(f"wrote {options.page}")


if __name__ == "__main__":
    main()
