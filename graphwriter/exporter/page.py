"""The status page: what was seen last, as HTML that needs nothing from elsewhere.

Whatever came from outside is escaped by the template engine, all of it, and has lost its control
characters before.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Sequence
from hashlib import sha256
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from graphwriter import __version__
from graphwriter.exporter.refresh import Shown
from graphwriter.status import POINTS, troubles, worries
from graphwriter.text import age, plain

WIDTH, HEIGHT = 300, 40  # of the line of rates, in its own units


def _file(name: str) -> str:
    return (resources.files("graphwriter.exporter") / name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"


class Page:
    """Renders the page, each look once, however many read it."""

    def __init__(self) -> None:
        templates = jinja2.Environment(
            loader=jinja2.FunctionLoader(_file),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=_printable,
        )
        templates.filters |= {"age": _age, "number": _number, "utc": _utc, "rate": _rate}
        style, script = _file("page.css"), _file("page.js")
        # Our own texts, and nothing else: an element that got into the page could do nothing.
        self.policy = (
            f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
            "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        )
        self._whole = templates.get_template("page.html")
        self._live = templates.get_template("live.html")
        self._fixed = {"style": Markup(style), "script": Markup(script), "version": __version__}  # noqa: S704
        self._rendered: tuple[object, str] = (None, "")

    def live(self, shown: Shown) -> str:
        """Return what changes, as HTML."""
        key, html = self._rendered
        if key != shown:
            pipeline, base, summary = shown
            found, away = troubles(pipeline, base), (pipeline.redis.error, base.neo4j.error)
            html = self._live.render(
                pipeline=pipeline,
                base=base,
                summary=summary,
                troubles=found,
                verdict=_verdict(shown, found),
                worries=[*_behind(shown), *worries(pipeline)],
                away=away,
                errors=_errors(shown),
                line=_line(summary.rates),
                peak=max(summary.rates, default=0.0),
            )
            self._rendered = (shown, html)
        return html

    def whole(self, shown: Shown) -> str:
        """Return the page."""
        return self._whole.render(
            live=Markup(self.live(shown)),  # noqa: S704 - rendered by us
            pipeline=shown.pipeline,
            **self._fixed,
        )


def _verdict(shown: Shown, found: Sequence[str]) -> str:
    """Return a word for the troubles: a refusal may be the exporter's alone."""
    refused = sum(server.refused for server in (shown.pipeline.redis, shown.base.neo4j))
    return "refused" if refused == len(found) else "outage"


def _behind(shown: Shown) -> Iterator[str]:
    if shown.summary.behind:
        since = _age(shown.pipeline.oldest_unread)
        unread = f"{shown.pipeline.unread:,} unread"
        yield f"{unread}, the oldest for {since}, and no fewer than a minute ago"


def _errors(shown: Shown) -> list[tuple[float, str, str]]:
    """Return the last error of each worker that is over, the newest first: when, who, what."""
    found = [
        (*one.last_error, one.consumer)
        for one in shown.pipeline.workers
        if one.last_error and not one.error
    ]
    return [(when, who, what) for when, what, who in sorted(found, reverse=True)][:10]


def _line(rates: Sequence[float]) -> str:
    """Return the rates as points of an SVG polyline, the last at the right."""
    top = max(max(rates, default=0.0), 1.0)
    step = WIDTH / (POINTS - 1)
    start = WIDTH - step * (len(rates) - 1)
    return " ".join(
        f"{start + step * place:.1f},{HEIGHT - 1 - (HEIGHT - 2) * rate / top:.1f}"
        for place, rate in enumerate(rates)
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
    if value is None:
        return "\N{EN DASH}/s"
    return f"{value:,.0f}/s" if value >= 10 or not value else f"{value:.1f}/s"


def _utc(seconds: float) -> str:
    """A day and a time; of a time that is none, nothing."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return ""
