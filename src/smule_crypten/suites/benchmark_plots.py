"""The figures of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from smule_crypten.pages.plots import bars
from smule_crypten.report.svg import FONT_SIZE, INK, new_figure, plain
from smule_crypten.suites.suite_records import Curve

# Okabe and Ito's colors, repeated with other line styles where there are more curves than colors.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_LINES = ("-", "--", ":", "-.")
_LABELS = {"bytes": "bytes in total so far", "epoch": "epoch", "seconds": "seconds on this machine"}


def accuracy_figure(curves: Sequence[Curve], by: str) -> Figure:
    """Test accuracy of every method by epoch, bytes or seconds.

    By bytes the axis is logarithmic; who sends nothing is a level line where it ended.
    """
    figure, axes = new_figure(width=6.6, height=4.2)
    for position, curve in enumerate(curves):
        style: dict[str, Any] = {
            "color": _COLORS[position % len(_COLORS)],
            "linestyle": _LINES[position // len(_COLORS) % len(_LINES)],
            "linewidth": 1.6,
            "label": plain(curve.label),
        }
        points = [(getattr(point, by), 100 * point.accuracy) for point in curve.points]
        if by == "bytes":
            points = [point for point in points if point[0] > 0]
            if not points:
                axes.axhline(100 * curve.points[-1].accuracy, **style)
                continue
        x, y = zip(*points, strict=True)
        axes.plot(x, y, marker="o" if len(points) <= 40 else "", markersize=3, **style)
    if by == "bytes":
        axes.set_xscale("log")
    axes.set_xlabel(_LABELS[by])
    axes.set_ylabel("test accuracy (%)")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, labelcolor=INK, fontsize=FONT_SIZE)
    return figure


def epoch_figure(by_method: Mapping[str, float], what: str) -> Figure:
    """What an epoch takes of bytes or seconds, on a logarithmic axis."""
    figure, axes = bars(by_method, 6.6, a_bar=0.32)
    axes.set_xscale("log")
    axes.set_xlabel(f"{what} per epoch")
    return figure
