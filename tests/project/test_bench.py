"""The bench, where it needs no server: its data, its plots, its report."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from support.paths import ROOT

from graphwriter import events

BENCH = ROOT / "bench"
SCRIPTS = sorted(path for path in BENCH.glob("*.py"))
MACHINE = {
    "cpu": "A <CPU>",
    "cores": 2,
    "memory": 2**34,
    "system": "Linux",
    "neo4j_server": "2026.09.0",
    "heap": "2g",
    "pagecache": "1g",
    "python": "3.11",
    "neo4j": "6",
}


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Import a module of the bench, which is no package: its scripts import each other by name."""
    monkeypatch.syspath_prepend(str(BENCH))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(BENCH)):
            del sys.modules[name]


def answer(question: str, **more: Any) -> dict[str, Any]:
    """An answer as a script saves it."""
    common = {"machine": MACHINE, "time": "2026-01-01T00:00:00Z", "options": {"rounds": 5}}
    return common | {"question": question, "figures": {}} | more


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_small_says_what_it_asks_and_names_no_machine(path: Path) -> None:
    """The same rules as the package's."""
    text = path.read_text()
    assert len(text.splitlines()) <= 300
    assert text.startswith('"""')
    assert not re.search(r"TO[D]O|FI[X]ME|X[X]X|/roo[t]/|/tm[p]/|/hom[e]/", text)


def test_the_readme_lists_every_question() -> None:
    """And the command that answers it."""
    readme = (BENCH / "README.md").read_text()
    for path in SCRIPTS:
        if "rig.arguments(" in path.read_text() and path.name != "rig.py":
            assert f"`{path.name}`" in readme, path.name


def test_the_full_run_asks_every_question(bench: Any) -> None:
    """And the report has a place for each."""
    asked = {
        path.stem
        for path in SCRIPTS
        if "rig.arguments(" in path.read_text() and path.name != "rig.py"
    }
    run = bench("run")
    assert set(run.FULL) == asked
    assert set(bench("report").ORDER) == asked
    assert set(run.SHORT) <= asked


def test_the_same_seed_makes_the_same_events(bench: Any) -> None:
    """And another one others."""
    data = bench("data")
    assert data.lines(200, seed=3) == data.lines(200, seed=3)
    assert data.lines(200, seed=3) != data.lines(200, seed=4)


def test_every_event_is_one_that_workers_take(bench: Any) -> None:
    """With edits, whatever the skew."""
    data = bench("data")
    for skew in (0.0, 1.1, 1.5):
        for line in data.lines(300, skew=skew, edits=0.3):
            events.decode({b"data": line}, 2**50)


def test_orders_hold_the_same_events(bench: Any) -> None:
    """Only in another order."""
    data = bench("data")
    stream, shuffled, newest = (data.lines(200, order=order) for order in data.ORDERS)
    assert sorted(stream) == sorted(shuffled) == sorted(newest)
    assert newest == stream[::-1]
    assert shuffled not in (stream, newest)


def test_more_skew_means_fewer_sources_for_more_forwards(bench: Any) -> None:
    """Which is what makes locks contended."""
    data = bench("data")

    def most(skew: float) -> int:
        names = [event["forward_from_name"] for event in data.events(4000, skew=skew)]
        return max(names.count(name) for name in set(names) - {None})

    assert most(0.0) < most(1.1) < most(1.5)


def test_a_ratio_is_the_median_of_the_rounds_ratios(bench: Any) -> None:
    """Not the ratio of the medians: a slow minute slows both of a round."""
    found = {
        "a": [{"rate": 10}, {"rate": 40}, {"rate": 9}],
        "b": [{"rate": 5}, {"rate": 20}, {"rate": 9}],
    }
    assert bench("rig").ratio(found, "a", "b") == 2.0


class Checker(HTMLParser):
    """Counts open tags, and keeps what leads outside."""

    VOID = ("meta", "link", "img", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.outside += [
            v for k, v in attrs if k in ("src", "href") and v and not v.startswith("#")
        ]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Closed at once."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_needs_nothing_but_the_answers(tmp_path: Path) -> None:
    """One page, from a folder of JSON, with no reference outside, and names escaped."""
    runs = {"1 <workers>": [{"rate": 1000.0}, {"rate": 1200.0}]}
    latency = {
        f"{r} events/s, pipeline, {q}, ms": r / 10 for r in (10, 100) for q in ("p50", "p99")
    }
    growth = {"steps": [{"posts": 10, "rate": 5.0}, {"posts": 20, "rate": 4.0}]}
    figures = {"bytes a post on disk": 700, "of which indexes": 150, "property records a post": 11}
    answers = {
        "ceiling": answer("How high?", measurements=runs),
        "latency": answer("How long?", figures=latency),
        "growth": answer("Slower?", figures=figures, options={"events": 20, "rounds": 1}, **growth),
    }
    for name, one in answers.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(one))
    page = tmp_path / "report.html"
    command = [sys.executable, str(BENCH / "report.py"), "--results", str(tmp_path)]
    subprocess.run([*command, "--page", str(page)], check=True, capture_output=True)
    text = page.read_text()
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert checker.outside == []
    assert "How high?" in text
    assert "1 &lt;workers&gt;" in text
    assert "<CPU>" not in text
    assert "not measured" in text


def test_a_report_of_nothing_says_what_to_run(tmp_path: Path) -> None:
    """One line."""
    command = [sys.executable, str(BENCH / "report.py"), "--results", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "make bench" in done.stderr


def test_a_target_is_met_on_its_side_of_the_bound(bench: Any) -> None:
    """Some figures must be large, some small."""
    targets = {target.text: target for target in bench("targets").TARGETS}
    assert targets["pipeline / baseline"].met(35.0)
    assert not targets["pipeline / baseline"].met(34.9)
    assert targets["worker's resident size at batch 1,000"].met(80.0)
    assert not targets["worker's resident size at batch 1,000"].met(80.1)


def test_a_short_growth_run_does_not_answer_for_two_million_posts(bench: Any) -> None:
    """It is not measured, rather than met."""
    target = next(one for one in bench("targets").TARGETS if one.text.startswith("at 2,000,000"))
    answers = {"growth": {"options": {"events": 20_000}, "figures": {"at 20,000 posts": 1.0}}}
    with pytest.raises(LookupError):
        target.read(answers)
