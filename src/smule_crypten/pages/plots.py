"""The figures of a run as SVG text, in the page's own colors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TypeAlias

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from smule_crypten.report.formatting import CONTROL_TITLES, byte_unit
from smule_crypten.report.metric_text import axis_title, on_axis
from smule_crypten.report.records import EpochRecord
from smule_crypten.report.summary import EpochTraffic
from smule_crypten.report.svg import FONT_SIZE, INK, PARTY_COLORS, POOLED_COLOR, new_figure, plain, to_inline_svg

LineStyle: TypeAlias = str | tuple[int, tuple[int, int]]
Task: TypeAlias = tuple[str, str]
"""Party and phase of a training."""
Line: TypeAlias = tuple[str, str, LineStyle]
"""Label, color and style of its curve."""

_POOLED: dict[Task, Line] = {("pooled", "pooled"): ("data of both pooled", POOLED_COLOR, ":")}
_CONTROL_STYLES: dict[str, tuple[str, LineStyle]] = {
    "label_smoothing": ("#e69f00", "-."),
    "self_mutual": ("#cc79a7", (0, (5, 1))),
    "self_distillation": ("#56b4e9", (0, (1, 1))),
}
_BAR_COLOR = "#56b4e9"

MAX_LAYERS = 25
MAX_MARKED_EPOCHS = 40
"""Beyond this number, marks would hide the line styles."""


def learning_svg(epochs: Sequence[EpochRecord], parties: Sequence[str], metric: str, num_epochs: int) -> str:
    """The run's metric over the epochs, of each party alone and with SMuLe, beside the pooled reference.

    Args:
        num_epochs: asked for, so that the plot of a run that goes on shows how far it is.
    """
    lines: dict[Task, Line] = {}
    for party in parties:
        lines |= _of_party(party)
    return to_inline_svg(_curves(epochs, lines | _POOLED, metric, num_epochs), "learning")


def controls_svg(epochs: Sequence[EpochRecord], party: str, metric: str, num_epochs: int) -> str:
    """The same of one party beside what it can do without the other one."""
    lines = {
        (party, control): (f"{party} {CONTROL_TITLES[control]}", color, style)
        for control, (color, style) in _CONTROL_STYLES.items()
    }
    return to_inline_svg(_curves(epochs, lines | _of_party(party), metric, num_epochs), f"controls-{party}")


def traffic_svg(traffic: Sequence[EpochTraffic], num_epochs: int) -> str:
    """Bytes between the parties so far, both directions, after the exchange of each SMuLe epoch."""
    figure, axes = new_figure(width=4.6, height=3.0)
    so_far = list(accumulate(epoch.bytes_total for epoch in traffic))
    size, unit = byte_unit(max(so_far, default=0))
    edges = [epoch.epoch - 0.5 for epoch in traffic] + [traffic[-1].epoch + 0.5 if traffic else 0.5]
    steps = [num_bytes / size for num_bytes in so_far]
    axes.stairs(steps, edges, fill=True, color=_BAR_COLOR, alpha=0.3)
    axes.stairs(steps, edges, color=_BAR_COLOR, linewidth=1.8)
    axes.set_ylabel(f"{unit} so far, both directions")
    axes.set_ylim(bottom=0)
    _by_epoch(axes, num_epochs)
    return to_inline_svg(figure, "traffic")


def bytes_by_layer_svg(bytes_by_layer: Mapping[str, int]) -> str:
    """As layers_figure, over the whole run."""
    return to_inline_svg(layers_figure(bytes_by_layer, 4.6, " in the whole run, both directions"), "bytes-by-layer")


def layers_figure(bytes_by_layer: Mapping[str, int], width: float, what: str = "") -> Figure:
    """Bytes of the MAX_LAYERS costliest layers, the costliest first. what: stands behind the unit of the axis."""
    layers = sorted(bytes_by_layer, key=lambda layer: bytes_by_layer[layer], reverse=True)[:MAX_LAYERS]
    size, unit = byte_unit(max(bytes_by_layer.values(), default=0))
    figure, axes = bars({layer: bytes_by_layer[layer] / size for layer in layers}, width, a_bar=0.24)
    axes.set_xlabel(f"{unit}{what}")
    return figure


def bars(values: Mapping[str, float], width: float, a_bar: float) -> tuple[Figure, Axes]:
    """One below the other, each with its name; width and what a bar takes of the height in inches."""
    figure, axes = new_figure(width=width, height=0.9 + a_bar * len(values), grid_axis="x")
    axes.barh(range(len(values)), list(values.values()), color=_BAR_COLOR, height=0.7)
    axes.set_yticks(range(len(values)), [plain(name) for name in values])
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    return figure, axes


def class_counts_svg(class_counts: Mapping[str, Sequence[int]]) -> str:
    """Training samples of each class at each party, side by side."""
    figure, axes = new_figure(width=4.6, height=2.6)
    width = 0.8 / len(class_counts)
    for position, (party, counts) in enumerate(class_counts.items()):
        offset = (position - (len(class_counts) - 1) / 2) * width
        centers = [label + offset for label in range(len(counts))]
        axes.bar(centers, counts, width=0.92 * width, color=PARTY_COLORS[party], label=f"party {party}")
    axes.set_xlabel("class")
    axes.set_ylabel("training samples")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12, min_n_ticks=1))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, labelcolor=INK, fontsize=FONT_SIZE)
    return to_inline_svg(figure, "class-counts")


def _of_party(party: str) -> dict[Task, Line]:
    return {
        (party, "standalone"): (f"{party} alone", PARTY_COLORS[party], "--"),
        (party, "smule"): (f"{party} SMuLe", PARTY_COLORS[party], "-"),
    }


def _curves(epochs: Sequence[EpochRecord], lines: Mapping[Task, Line], metric: str, num_epochs: int) -> Figure:
    """Those of lines that have any epoch."""
    figure, axes = new_figure(width=4.6, height=3.0)
    for task, (label, color, style) in lines.items():
        points = sorted(
            (epoch.epoch, on_axis(metric, epoch.test_figure))
            for epoch in epochs
            if (epoch.party, epoch.phase) == task and epoch.test_figure is not None
        )
        if points:
            marker = "o" if len(points) <= MAX_MARKED_EPOCHS else ""
            x, y = zip(*points, strict=True)
            axes.plot(x, y, label=label, color=color, linestyle=style, marker=marker, markersize=3, linewidth=1.8)
    axes.set_ylabel(axis_title(metric))
    _by_epoch(axes, num_epochs)
    if axes.lines:
        axes.margins(y=0.08)
        columns = (len(axes.lines) + 1) // 2
        figure.legend(loc="outside upper left", ncols=columns, frameon=False, labelcolor=INK, fontsize=FONT_SIZE)
    return figure


def _by_epoch(axes: Axes, num_epochs: int) -> None:
    axes.set_xlabel("epoch")
    axes.set_xlim(0.4, num_epochs + 0.6)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
