"""The pictures of a network on test samples: ROC curves, reliability, confusions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb

from smule_crypten.pages.plots import LineStyle
from smule_crypten.report.evaluation_records import ReliabilityRecord, RocRecord
from smule_crypten.report.svg import FONT_SIZE, GRID, INK, PARTY_COLORS, new_figure, to_inline_svg

_STYLES: dict[str, LineStyle] = {"standalone": "--", "smule": "-"}
_TITLES = {"standalone": "alone", "smule": "SMuLe"}
_MOST_WRITTEN = 15
"""Classes up to which a confusion matrix has numbers in its cells."""
_MOST_LABELLED = 30
"""Classes up to which it has one tick a class."""


def roc_svg(curves: Mapping[str, Sequence[RocRecord]], party: str) -> str:
    """Of networks by name. One curve a network of two classes; else one a class with SMuLe, thin, and no legend."""
    figure, axes = new_figure(width=3.6, height=3.4)
    axes.plot([0, 1], [0, 1], color=GRID, linewidth=1)
    one_each = all(len(of_network) == 1 for of_network in curves.values())
    for network, of_network in curves.items():
        if one_each or network == "smule":
            for curve in of_network:
                axes.plot(
                    curve.false_positive_rate,
                    curve.true_positive_rate,
                    label=f"{party} {_TITLES[network]}" if one_each else f"{curve.label}",
                    color=PARTY_COLORS[party] if one_each else None,
                    linestyle=_STYLES[network],
                    linewidth=1.8 if one_each else 1.1,
                )
    _unit_square(axes, "false positive rate", "true positive rate")
    axes.legend(loc="lower right", ncols=1 if one_each else 2, frameon=False, labelcolor=INK, fontsize=FONT_SIZE - 1)
    return to_inline_svg(figure, f"roc-{party}")


def reliability_svg(bins: Mapping[str, ReliabilityRecord], party: str) -> str:
    """Of networks by name: what was true of what was said to be so probable; on the line where both agree."""
    figure, axes = new_figure(width=3.6, height=3.4)
    axes.plot([0, 1], [0, 1], color=GRID, linewidth=1)
    for network, of_network in bins.items():
        axes.plot(
            of_network.said,
            of_network.true,
            label=f"{party} {_TITLES[network]}",
            color=PARTY_COLORS[party],
            linestyle=_STYLES[network],
            marker="o",
            markersize=3,
        )
    _unit_square(axes, "said probability", "share that was true")
    axes.legend(loc="upper left", frameon=False, labelcolor=INK, fontsize=FONT_SIZE)
    return to_inline_svg(figure, f"reliability-{party}")


def confusion_svg(counts: Sequence[Sequence[int]], party: str) -> str:
    """Rows are the classes as they are, columns what they were taken for; the darker, the larger share of its row."""
    counts_CC = np.asarray(counts, dtype=np.float64)
    shares_CC = counts_CC / np.maximum(counts_CC.sum(axis=1, keepdims=True), 1)
    figure, axes = new_figure(width=3.8, height=3.6)
    axes.grid(visible=False)
    color = to_rgb(PARTY_COLORS[party])
    # More and less of the page's background, light or dark.
    shades = LinearSegmentedColormap.from_list("shades", [(*color, 0.0), (*color, 1.0)])
    # Squares and not an image, which would be a bitmap in the page.
    axes.pcolormesh(shares_CC, cmap=shades, vmin=0, vmax=1, edgecolors=GRID, linewidth=0.4)
    axes.invert_yaxis()
    if len(counts) <= _MOST_WRITTEN:
        for row, column in np.ndindex(counts_CC.shape):
            ink = "#ffffff" if shares_CC[row, column] > 0.5 else INK
            text = f"{counts[row][column]}" if counts[row][column] else ""
            axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", color=ink, fontsize=FONT_SIZE - 2)
    step = 1 if len(counts) <= _MOST_LABELLED else 10
    ticks = range(0, len(counts), step)
    axes.set_xticks([tick + 0.5 for tick in ticks], [f"{tick}" for tick in ticks], fontsize=FONT_SIZE - 1)
    axes.set_yticks([tick + 0.5 for tick in ticks], [f"{tick}" for tick in ticks], fontsize=FONT_SIZE - 1)
    axes.set_xlabel("taken for class")
    axes.set_ylabel("class")
    return to_inline_svg(figure, f"confusion-{party}")


def _unit_square(axes: Axes, x: str, y: str) -> None:
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
