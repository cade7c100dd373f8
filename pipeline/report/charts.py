"""Small charts as SVG strings, coloured by the page's style sheet, each with its numbers in its title."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from markupsafe import Markup

from pipeline.types import Box

WIDTH = 160.0  # user units of the strip charts; the style sheet stretches them
TREND_WIDTH = 320.0
DENSITIES = tuple(2.0**i for i in range(-2, 6))  # steps of the grid's scale, against a uniform map
CELLS = 20  # of the grid, along each side

Domain = tuple[float, float]


def interval_bar(
    estimate: float,
    low: float,
    high: float,
    *,
    domain: Domain,
    label: str,
    null: float = 0.0,
    gate: float = math.nan,
) -> Markup:
    """A dot with its interval on `domain`; a solid line at `null`, a dashed one at `gate` unless that is NaN.

    Ends that lie beyond the domain are drawn at its edge. An undefined estimate leaves only the lines.
    """
    marks = [Markup('<line class="axis" x1="0" x2="160" y1="12" y2="12"/>'), _rule("null", null, domain, 24)]
    if not math.isnan(gate):
        marks.append(_rule("gate", gate, domain, 24))
    if not math.isnan(estimate):
        x = _place(estimate, domain)
        x0, x1 = (x if math.isnan(v) else _place(v, domain) for v in (low, high))
        marks.append(
            Markup('<line class="range" x1="{:.2f}" x2="{:.2f}" y1="12" y2="12"/>').format(x0, x1)
            + Markup('<circle class="dot" cx="{:.2f}" cy="12" r="4"/>').format(x)
        )
    return _figure(marks, label, "interval", 24)


def share_bar(share: float, *, label: str) -> Markup:
    """A bar from 0 to `share` of its width; an undefined share leaves the track empty."""
    marks = [Markup('<rect class="track" x="0" y="3" width="160" height="6" rx="3"/>')]
    if not math.isnan(share):
        width = _place(share, (0.0, 1.0))
        marks.append(Markup('<rect class="fill" x="0" y="3" width="{:.2f}" height="6" rx="3"/>').format(width))
    return _figure(marks, label, "share", 12)


def histogram(
    values: Iterable[float], *, domain: Domain, median: float, chance: float, label: str, bins: int = 32
) -> Markup:
    """Counts of the finite values on `domain`, with a line at the median and a dashed one at chance.

    Values beyond the domain are counted in its first or last bin.
    """
    finite = np.asarray([v for v in values if math.isfinite(v)], dtype=float)
    counts, _ = np.histogram(finite.clip(*domain), bins=bins, range=domain)
    top, step = max(int(counts.max()), 1), WIDTH / bins
    bars = "".join(
        f"M{i * step:.2f} 34v{-30 * n / top:.2f}h{step - 0.6:.2f}V34z" for i, n in enumerate(counts.tolist()) if n
    )
    marks = [Markup('<line class="axis" x1="0" x2="160" y1="34" y2="34"/>')]
    if bars:
        marks.append(Markup('<path class="bars" d="{}"/>').format(bars))
    for name, value in (("chance", chance), ("median", median)):
        if not math.isnan(value):
            marks.append(_rule(name, value, domain, 36))
    return _figure(marks, label, "histogram", 36)


def heat_grid(mass: np.ndarray, *, label: str, window: Box | None = None, cells: int = CELLS) -> Markup:
    """A map (H, W) >= 0 of shares of an image's attribution as a coarse grid, with a window drawn in map pixels.

    A cell's step says how dense its attribution is against a map that is the same everywhere and sums to 1, in
    doublings (`DENSITIES`): one scale for every map, whatever else is on the page.
    """
    height, width = mass.shape
    density = coarse(mass, cells) * mass.size
    rows, columns = density.shape
    levels = np.searchsorted(DENSITIES, density, side="right")
    scale = Markup('<g transform="scale({:.4f} {:.4f})">').format(width / columns, height / rows)
    paths = [
        Markup('<path class="level-{}" d="{}"/>').format(level, _runs(levels == level))
        for level in range(1, len(DENSITIES) + 1)
        if (levels == level).any()
    ]
    parts = [
        Markup('<rect class="ground" width="{}" height="{}"/>').format(width, height),
        scale,
        *paths,
        Markup("</g>"),
    ]
    if window is not None:
        parts.append(_double_box(window))
    return Markup('<svg class="chart grid" role="img" viewBox="0 0 {} {}"><title>{}</title>{}</svg>').format(
        width, height, label, Markup("").join(parts)
    )


def trend_line(points: Sequence[tuple[float, float, float]], *, domain: Domain, label: str) -> Markup:
    """Estimates with their intervals (estimate, low, high), evenly spaced in their order; an undefined one is a gap."""
    step, height = TREND_WIDTH / max(len(points), 1), 40.0
    zero = Markup('<line class="null" x1="0" x2="320" y1="{0:.2f}" y2="{0:.2f}"/>').format(_up(0.0, domain, height))
    marks, run = [zero], list[str]()
    for i, (estimate, low, high) in enumerate([*points, (math.nan, math.nan, math.nan)]):
        x = (i + 0.5) * step
        if math.isnan(estimate):
            if len(run) > 1:
                marks.append(Markup('<polyline class="line" points="{}"/>').format(" ".join(run)))
            run = []
            continue
        y = _up(estimate, domain, height)
        run.append(f"{x:.2f},{y:.2f}")
        if not math.isnan(low) and not math.isnan(high):
            ends = (_up(v, domain, height) for v in (low, high))
            marks.append(
                Markup('<line class="range" x1="{0:.2f}" x2="{0:.2f}" y1="{1:.2f}" y2="{2:.2f}"/>').format(x, *ends)
            )
        marks.append(Markup('<circle class="dot" cx="{:.2f}" cy="{:.2f}" r="2.5"/>').format(x, y))
    return _trend(marks, label, int(height))


def verdict_marks(states: Sequence[str], *, label: str) -> Markup:
    """A verdict's sign per place, evenly spaced; a dash where there is none. The page defines the signs."""
    step = TREND_WIDTH / max(len(states), 1)
    size, marks = min(12.0, 0.9 * step), []
    for i, state in enumerate(states):
        x = (i + 0.5) * step
        if state:
            sign = Markup(
                '<use class="is-{0}" href="#icon-{0}" x="{1:.2f}" y="{2:.2f}" width="{3:.2f}" height="{3:.2f}"/>'
            )
            marks.append(sign.format(state.lower(), x - size / 2, 8 - size / 2, size))
        else:
            marks.append(Markup('<line class="null" x1="{:.2f}" x2="{:.2f}" y1="8" y2="8"/>').format(x - 2, x + 2))
    return _trend(marks, label, 16)


def boxes_overlay(boxes: Sequence[Box], frame: tuple[int, int], *, spot: Box | None = None) -> Markup:
    """Boxes over a picture of `frame` (height, width), in a double stroke that shows on light and on dark.

    `spot` is a place outside the objects, drawn dashed.
    """
    height, width = frame
    marks = [_double_box(box) for box in boxes]
    if spot is not None:
        marks.append(Markup('<g class="spot">{}</g>').format(_double_box(spot)))
    return Markup(
        '<svg class="boxes" viewBox="0 0 {} {}" preserveAspectRatio="none" aria-hidden="true">{}</svg>'
    ).format(width, height, Markup("").join(marks))


def coarse(mass: np.ndarray, cells: int) -> np.ndarray:
    """The map's means over at most `cells` x `cells` nearly equal cells."""
    edges = [np.linspace(0, n, min(cells, n) + 1).astype(int) for n in mass.shape]
    sums = np.add.reduceat(np.add.reduceat(mass, edges[0][:-1], axis=0), edges[1][:-1], axis=1)
    return np.asarray(sums / np.outer(np.diff(edges[0]), np.diff(edges[1])))


def _place(value: float, domain: Domain) -> float:
    low, high = domain
    return WIDTH * min(max((value - low) / (high - low), 0.0), 1.0)


def _rule(name: str, value: float, domain: Domain, height: int) -> Markup:
    return Markup('<line class="{}" x1="{x:.2f}" x2="{x:.2f}" y1="0" y2="{}"/>').format(
        name, height, x=_place(value, domain)
    )


def _figure(marks: Sequence[Markup], label: str, kind: str, height: int) -> Markup:
    return Markup('<svg class="chart {}" role="img" viewBox="0 0 160 {}"><title>{}</title>{}</svg>').format(
        kind, height, label, Markup("").join(marks)
    )


def _trend(marks: Sequence[Markup], label: str, height: int) -> Markup:
    return Markup('<svg class="chart trend" role="img" viewBox="0 0 320 {}"><title>{}</title>{}</svg>').format(
        height, label, Markup("").join(marks)
    )


def _up(value: float, domain: Domain, height: float) -> float:
    """Where a value is drawn, upwards, with room for the dots; beyond the domain at its edge."""
    return height - 3 - (height - 6) * _place(value, domain) / WIDTH


def _double_box(box: Box) -> Markup:
    x0, y0, x1, y1 = box
    shape = Markup('x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}"').format(x0, y0, x1 - x0, y1 - y0)
    return Markup('<rect class="outer" {0}/><rect class="inner" {0}/>').format(shape)


def _runs(cells: np.ndarray) -> str:
    """The cells that are set, as one path of horizontal runs."""
    steps = []
    for y, row in enumerate(cells):
        edges = np.flatnonzero(np.diff(np.concatenate(([0], row.astype(int), [0]))))
        steps += [f"M{a} {y}h{b - a}v1H{a}z" for a, b in edges.reshape(-1, 2).tolist()]
    return "".join(steps)
