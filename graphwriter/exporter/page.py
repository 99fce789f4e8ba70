"""The status page: the last reading as one HTML file without external resources.

The template engine escapes every value, after control characters were removed from it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from hashlib import sha256
from importlib import resources
from shlex import quote
from typing import Any

import jinja2
from markupsafe import Markup

from graphwriter import __version__
from graphwriter.exporter.refresh import Reading
from graphwriter.status import POINTS, problems, warnings
from graphwriter.text import age, plain, rate, utc

WIDTH, HEIGHT = 300, 40  # of the chart of rates, in its own units


def _file(name: str) -> str:
    return (resources.files("graphwriter.exporter") / name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"


class Page:
    """Renders the page, once for each reading, however many clients read it."""

    def __init__(self) -> None:
        templates = jinja2.Environment(
            loader=jinja2.FunctionLoader(_file),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=_printable,
        )
        templates.filters |= {
            "age": _age,
            "number": _number,
            "utc": utc,
            "rate": _rate,
            "quote": quote,
        }
        style, script = _file("page.css"), _file("page.js")
        # Only our own style and script: an injected element could do nothing.
        self.policy = (
            f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
            "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        )
        self._whole = templates.get_template("page.html")
        self._live = templates.get_template("live.html")
        self._fixed = {"style": Markup(style), "script": Markup(script), "version": __version__}  # noqa: S704
        self._rendered: tuple[object, str] = (None, "")

    def live(self, reading: Reading) -> str:
        """Return the changing part, as HTML."""
        key, html = self._rendered
        if key != reading:
            pipeline, graph, summary = reading
            found = problems(pipeline, graph)
            html = self._live.render(
                pipeline=pipeline,
                graph=graph,
                summary=summary,
                problems=found,
                verdict=_verdict(reading, found),
                warnings=[*_lags(reading), *warnings(pipeline)],
                server_errors=(pipeline.redis.error, graph.neo4j.error),
                errors=_errors(reading),
                line=_line(summary.rates),
                peak=max(summary.rates, default=0.0),
            )
            self._rendered = (reading, html)
        return html

    def whole(self, reading: Reading) -> str:
        """Return the page."""
        return self._whole.render(
            live=Markup(self.live(reading)),  # noqa: S704 - rendered above
            pipeline=reading.pipeline,
            **self._fixed,
        )


def _verdict(reading: Reading, lines: Sequence[str]) -> str:
    """Return one word for the problems; access may be denied to the exporter only."""
    denied = sum(server.refused for server in (reading.pipeline.redis, reading.graph.neo4j))
    return "access denied" if denied == len(lines) else "outage"


def _lags(reading: Reading) -> Iterator[str]:
    if reading.summary.behind:
        since = _age(reading.pipeline.oldest_unread)
        unread = f"{reading.pipeline.unread:,} unread"
        yield f"{unread}, the oldest for {since}; the lag did not fall in the last minute"


def _errors(reading: Reading) -> list[tuple[float, str, str]]:
    """Return the last past error of each worker, newest first: time, worker, text."""
    found = [
        (*worker.last_error, worker.consumer)
        for worker in reading.pipeline.workers
        if worker.last_error and not worker.error
    ]
    return [(when, name, text) for when, text, name in sorted(found, reverse=True)][:10]


def _line(rates: Sequence[float]) -> str:
    """Return the rates as points of an SVG polyline, the last one at the right."""
    top = max(max(rates, default=0.0), 1.0)
    step = WIDTH / (POINTS - 1)
    start = WIDTH - step * (len(rates) - 1)
    return " ".join(
        f"{start + step * position:.1f},{HEIGHT - 1 - (HEIGHT - 2) * value / top:.1f}"
        for position, value in enumerate(rates)
    )


def _printable(value: Any) -> Any:
    if value is None:
        return "\N{EN DASH}"
    return plain(value) if type(value) is str else value


def _age(seconds: float | None) -> str | None:
    return None if seconds is None else age(seconds).replace(" ", "\N{NO-BREAK SPACE}")


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:,.0f}"


def _rate(value: float | None) -> str:
    return "\N{EN DASH}/s" if value is None else rate(value)
