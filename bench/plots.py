"""Plots as SVG, in plain text: bars and lines, coloured by the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH = 640
ROW, LABEL, VALUE = 26, 272, 84  # of bars: height, room for names, room for numbers
HEIGHT, LEFT, BOTTOM = 300, 64, 46  # of lines: height, room for the axes' numbers


def bars(values: Mapping[str, float], unit: str) -> str:
    """Return horizontal bars from zero, one a name, with their numbers."""
    most = max(values.values())
    room = WIDTH - LABEL - VALUE
    parts = []
    for number, (name, value) in enumerate(values.items()):
        top, length = number * ROW, max(1.0, room * value / most)
        middle = top + ROW / 2 + 4
        parts += [
            f'<text x="{LABEL - 8}" y="{middle}" text-anchor="end">{escape(name)}</text>',
            f'<rect class="bar" x="{LABEL}" y="{top + 4}" width="{length:.1f}" height="18"/>',
            f'<text x="{LABEL + length + 6:.1f}" y="{middle}">{_short(value)}</text>',
        ]
    return _svg(len(values) * ROW, parts, f"bars, {unit}") + f"<p class=unit>{escape(unit)}</p>"


def lines(
    series: Mapping[str, Sequence[tuple[float, float]]], across: str, up: str, log: bool = False
) -> str:
    """Return a line a series over common axes; with `log` both axes are logarithmic."""
    points = [point for line in series.values() for point in line]
    xs, ys = [x for x, _ in points], [y for _, y in points]
    low_x, high_x = (min(xs), max(xs)) if log else (0.0, max(xs))
    low_y, high_y = (min(ys) / 1.5, max(ys) * 1.5) if log else (0.0, max(ys) * 1.1)

    def place(value: float, low: float, high: float, length: float) -> float:
        if log:
            value, low, high = math.log(value), math.log(low), math.log(high)
        return length * (value - low) / ((high - low) or 1)

    def x_of(value: float) -> float:
        return LEFT + place(value, low_x, high_x, WIDTH - LEFT - 24)

    def y_of(value: float) -> float:
        return HEIGHT - BOTTOM - place(value, low_y, high_y, HEIGHT - BOTTOM - 10)

    parts = []
    for value in ticks(low_y, high_y, log):
        y = y_of(value)
        parts += [
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - 24}" y1="{y:.1f}" y2="{y:.1f}"/>',
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(value)}</text>',
        ]
    parts += [
        f'<text x="{x_of(value):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">'
        f"{_short(value)}</text>"
        for value in (sorted(set(xs)) if log else ticks(low_x, high_x, False))
    ]
    parts.append(
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(across)}</text>'
    )
    for number, line in enumerate(series.values()):
        path = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in line)
        parts.append(f'<polyline class="line c{number}" points="{path}"/>')
        parts += [
            f'<circle class="dot c{number}" cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="3"/>'
            for x, y in line
        ]
    keys = "".join(
        f'<span class="key c{number}">{escape(name)}</span>' for number, name in enumerate(series)
    )
    return f"<p class=unit>{escape(up)} {keys}</p>" + _svg(HEIGHT, parts, f"{up} by {across}")


def ticks(low: float, high: float, log: bool) -> list[float]:
    """Return round numbers between two."""
    if log:
        exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        steps = (1, 2, 5) if high / low < 200 else (1,)
        return [n * 10.0**e for e in exponents for n in steps if low <= n * 10.0**e <= high]
    step = 10.0 ** math.floor(math.log10((high - low) or 1))
    while (high - low) / step < 4:
        step /= 2
    return [low + n * step for n in range(int((high - low) / step) + 1)]


def _short(value: float) -> str:
    for size, letter in ((1e6, "M"), (1e4, "k")):
        if value >= size:
            return f"{value / (1e3 if letter == 'k' else size):.3g}{letter}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _svg(height: float, parts: Sequence[str], label: str) -> str:
    box = f'viewBox="0 0 {WIDTH} {height}"'
    return f'<svg {box} role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'
