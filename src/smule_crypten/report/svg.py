"""Matplotlib figures without global state, rendered to SVG that is the same on every run."""

from __future__ import annotations

import io
import re
from typing import Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Placeholders: inline SVG takes text and grid colors from the page, so that it follows light and dark mode.
INK = "#010203"
GRID = "#040506"

FONT_SIZE = 9

# Okabe and Ito's colors, which color-blind readers can tell apart; line styles and labels repeat what they say.
PARTY_COLORS = {"a": "#0072b2", "b": "#d55e00"}
POOLED_COLOR = "#009e73"

_STYLE = {
    "svg.hashsalt": "smule",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": FONT_SIZE,
}


def new_figure(*, width: float, height: float, grid_axis: Literal["x", "y"] = "y") -> tuple[Figure, Axes]:
    """A figure of the given size in inches with one set of axes."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.add_subplot()
    axes.set_axisbelow(True)
    axes.grid(axis=grid_axis, color=GRID, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRID)
    axes.tick_params(colors=INK, color=GRID)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    return figure, axes


def to_inline_svg(figure: Figure, name: str) -> str:
    """An <svg> element for an HTML page, which says what the colors are. name makes its ids unique on the page."""
    svg = _render(figure, transparent=True)
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    for party, color in PARTY_COLORS.items():
        svg = svg.replace(color, f"var(--party-{party})")
    return svg.replace(INK, "currentColor").replace(GRID, "var(--line)").replace(POOLED_COLOR, "var(--pooled)")


def to_svg_file(figure: Figure) -> str:
    """A complete SVG file on white."""
    return _render(figure, transparent=False).replace(INK, "#1a1a1a").replace(GRID, "#d0d0d0")


def plain(label: str) -> str:
    """Keep matplotlib from reading dollar signs in a name as mathematics."""
    return label.replace("$", r"\$")


def _render(figure: Figure, *, transparent: bool) -> str:
    buffer = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=transparent, metadata=no_metadata)
    return buffer.getvalue()
