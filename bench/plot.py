"""Small plots as SVG text: bars of ratios, lines on logarithmic axes; readable on light and dark ground, nothing from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 760
STYLE = """\
  <style>
    text { font: 13px system-ui, sans-serif; fill: #1f2933; }
    .title { font-size: 15px; font-weight: 600; }
    .faint { fill: #5f6b7a; font-size: 12px; }
    .grid { stroke: #d5dae1; stroke-width: 1; }
    .goal { stroke: #b45309; stroke-width: 2; stroke-dasharray: 4 3; }
    .bar { fill: #2f6fb7; }
    .line { fill: none; stroke: #2f6fb7; stroke-width: 2.5; }
    .dot { fill: #2f6fb7; }
    .straight { fill: none; stroke: #8a94a3; stroke-width: 1.5; stroke-dasharray: 5 4; }
    .ground { fill: #ffffff; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e4e7eb; }
      .faint { fill: #a3adba; }
      .grid { stroke: #39424e; }
      .goal { stroke: #f0b35a; }
      .bar, .dot { fill: #6cb0f5; }
      .line { stroke: #6cb0f5; }
      .straight { stroke: #8a94a3; }
      .ground { fill: #0d1117; }
    }
  </style>"""


@dataclass(frozen=True)
class Bar:
    """One ratio. `goal`: what it has to reach, 0 for none; `most`: the goal is an upper bound."""

    name: str
    value: float
    goal: float = 0.0
    most: bool = False


@dataclass(frozen=True)
class Line:
    """One series on logarithmic axes. `unit` stands behind each value."""

    title: str
    unit: str
    points: tuple[tuple[float, float], ...]


def bars(title: str, below: str, found: Sequence[Bar]) -> str:
    """Return horizontal bars on one logarithmic axis, each with its number; a dashed mark is a goal."""
    left, right, step, top = 320, 80, 30, 62
    most = max(max(one.value, one.goal) for one in found)
    least = min(0.5, *(min(one.value, one.goal or one.value) for one in found))
    low, high = math.floor(math.log10(least) * 2) / 2, math.ceil(math.log10(most) * 2) / 2
    height = top + step * len(found) + 44

    def x(value: float) -> float:
        return left + (math.log10(value) - low) / (high - low) * (WIDTH - left - right)

    body = [f'  <text class="title" x="16" y="26">{escape(title)}</text>', f'  <text class="faint" x="16" y="45">{escape(below)}</text>']
    bottom = top + step * len(found)
    for exponent in range(math.ceil(low), math.floor(high) + 1):
        at = x(10.0**exponent)
        body.append(f'  <line class="grid" x1="{at:.1f}" y1="{top}" x2="{at:.1f}" y2="{bottom}"/>')
        body.append(f'  <text class="faint" x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">{_short(10.0**exponent)}x</text>')
    for number, one in enumerate(found):
        y = top + step * number
        start, end = sorted((x(1.0), x(one.value)))
        body.append(f'  <text x="{left - 10}" y="{y + 19}" text-anchor="end">{escape(one.name)}</text>')
        body.append(f'  <rect class="bar" x="{start:.1f}" y="{y + 6}" width="{max(end - start, 2):.1f}" height="18" rx="2"/>')
        body.append(f'  <text x="{max(end, x(one.goal) if one.goal else 0) + 8:.1f}" y="{y + 19}">{_short(one.value)}x</text>')
        if one.goal:
            body.append(f'  <line class="goal" x1="{x(one.goal):.1f}" y1="{y + 2}" x2="{x(one.goal):.1f}" y2="{y + 28}"/>')
    return _svg(height, title, body)


def lines(title: str, below: str, found: Sequence[Line]) -> str:
    """Return one panel per series, both axes logarithmic, with what growth in proportion would look like."""
    top, bottom, left, gap = 78, 330, 70, 64
    wide = (WIDTH - left - 24 - gap * (len(found) - 1)) / len(found)
    body = [f'  <text class="title" x="16" y="26">{escape(title)}</text>', f'  <text class="faint" x="16" y="45">{escape(below)}</text>']
    for number, one in enumerate(found):
        body += _panel(one, left + number * (wide + gap), wide, top, bottom)
    return _svg(bottom + 46, title, body)


def _panel(one: Line, left: float, wide: float, top: float, bottom: float) -> list[str]:
    xs, ys = [math.log10(at) for at, _ in one.points], [math.log10(value) for _, value in one.points]
    x_low, x_high = min(xs), max(xs)
    y_low, y_high = math.floor(min(ys)), math.ceil(max(ys) + 0.15)

    def place(x: float, y: float) -> tuple[float, float]:
        return left + (x - x_low) / max(x_high - x_low, 1e-9) * wide, bottom - (y - y_low) / (y_high - y_low) * (bottom - top)

    body = [f'  <text x="{left:.1f}" y="{top - 12}">{escape(one.title)}</text>']
    for exponent in range(y_low, y_high + 1):
        _, y = place(x_low, exponent)
        body.append(f'  <line class="grid" x1="{left:.1f}" y1="{y:.1f}" x2="{left + wide:.1f}" y2="{y:.1f}"/>')
        body.append(f'  <text class="faint" x="{left - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{_short(10.0**exponent)}{one.unit}</text>')
    for at, x_value in zip((at for at, _ in one.points), xs, strict=True):
        x, _ = place(x_value, y_low)
        body.append(f'  <text class="faint" x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">{_short(at)}</text>')
    slope_end = min(ys[-1], y_high)
    start_y = slope_end - (x_high - x_low)
    if start_y < y_low:
        start_x = x_high - (slope_end - y_low)
        first = place(start_x, y_low)
    else:
        first = place(x_low, start_y)
    last = place(x_high, slope_end)
    body.append(f'  <path class="straight" d="M{first[0]:.1f},{first[1]:.1f} L{last[0]:.1f},{last[1]:.1f}"/>')
    dots = [place(x, y) for x, y in zip(xs, ys, strict=True)]
    body.append('  <path class="line" d="M' + " L".join(f"{x:.1f},{y:.1f}" for x, y in dots) + '"/>')
    for (x, y), (_, value) in zip(dots, one.points, strict=True):
        body.append(f'  <circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4"/>')
        anchor, beside = ("end", 0) if x > left + wide * 0.8 else ("start", 6) if x < left + 1 else ("middle", 0)
        body.append(f'  <text x="{x + beside:.1f}" y="{y - 11:.1f}" text-anchor="{anchor}">{_short(value)}{one.unit}</text>')
    return body


def _short(value: float) -> str:
    if value >= 1_000_000:
        return f"{value / 1_000_000:g}M"
    if value >= 10_000:
        return f"{value / 1000:g}k"
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _svg(height: float, title: str, body: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" height="{height:.0f}" role="img">'
    ground = f'  <rect class="ground" width="{WIDTH}" height="{height:.0f}" rx="6"/>'
    return "\n".join([head, f"  <title>{escape(title)}</title>", STYLE, ground, *body, "</svg>"]) + "\n"
