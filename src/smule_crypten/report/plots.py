"""The figures of a run as SVG text.

Colors are Okabe and Ito's, which color-blind readers can tell apart; line styles and labels repeat what they say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from smule_crypten.report.evaluation_records import MetricRecord
from smule_crypten.report.formatting import CONTROL_TITLES, byte_unit
from smule_crypten.report.metric_text import is_share, metric_title
from smule_crypten.report.records import EpochRecord
from smule_crypten.report.run_records import RunSummary
from smule_crypten.report.svg import FONT_SIZE, INK, new_figure, to_inline_svg

PARTY_COLORS = {"a": "#0072b2", "b": "#d55e00"}
LineStyle: TypeAlias = str | tuple[int, tuple[int, int]]

CONTROL_STYLES: dict[str, tuple[str, LineStyle]] = {
    "label_smoothing": ("#e69f00", "-."),
    "self_mutual": ("#cc79a7", (0, (5, 1))),
    "self_distillation": ("#56b4e9", (0, (1, 1))),
}
POOLED_COLOR = "#009e73"
_BAR_COLOR = "#56b4e9"

MAX_LAYERS = 25
MAX_MARKED_EPOCHS = 40
"""Beyond this number, marks would hide the line styles."""


def curves_svg(epochs: Sequence[EpochRecord], party: str, metric: str) -> str:
    """The run's metric over the epochs: one party alone, its controls and with SMuLe, beside the pooled reference."""
    figure, axes = new_figure(width=4.6, height=3.0)
    color = PARTY_COLORS[party]
    scale = 100 if is_share(metric) else 1
    points = [
        (epoch.party, epoch.phase, epoch.epoch, scale * epoch.test_figure)
        for epoch in epochs
        if epoch.test_figure is not None
    ]
    _curve(axes, points, ("pooled", "pooled"), label="pooled data", color=POOLED_COLOR, linestyle=":")
    for control, (control_color, style) in CONTROL_STYLES.items():
        title = f"{party} {CONTROL_TITLES[control]}"
        _curve(axes, points, (party, control), label=title, color=control_color, linestyle=style)
    _curve(axes, points, (party, "standalone"), label=f"{party} alone", color=color, linestyle="--")
    _curve(axes, points, (party, "smule"), label=f"{party} SMuLe", color=color, linestyle="-")
    axes.set_xlabel("epoch")
    axes.set_ylabel(_axis_title(metric))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if axes.lines:
        axes.set_ylim(*_limits([value for *_, value in points]))
        axes.legend(loc="best", frameon=False, labelcolor=INK, fontsize=FONT_SIZE)
    return to_inline_svg(figure, f"curves-{party}")


def bytes_per_epoch_svg(bytes_per_epoch: Sequence[int]) -> str:
    """Bytes on the link between the parties, both directions, of each SMuLe epoch."""
    figure, axes = new_figure(width=4.6, height=2.6)
    size, unit = byte_unit(max(bytes_per_epoch, default=0))
    epochs = range(1, len(bytes_per_epoch) + 1)
    axes.bar(epochs, [num_bytes / size for num_bytes in bytes_per_epoch], color=_BAR_COLOR, width=0.7)
    axes.set_xlabel("epoch")
    axes.set_ylabel(f"{unit} an epoch, both directions")
    axes.set_xlim(0.4, len(bytes_per_epoch) + 0.6)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return to_inline_svg(figure, "bytes-per-epoch")


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


def sweep_figure(jobs: Sequence[tuple[str, RunSummary | None]], metric: str) -> Figure:
    """A metric of every job: an open mark for a party alone, a full one with SMuLe, and a line between them.

    Args:
        jobs: label and summary of each; None where there is none.
    """
    lines_a_label = max((label.count("\n") + 1 for label, _ in jobs), default=1)
    figure, axes = new_figure(width=7.0, height=1.2 + (0.2 + 0.17 * lines_a_label) * len(jobs), grid_axis="x")
    for row, (_, summary) in enumerate(jobs):
        if summary is not None:
            for name, offset in (("a", -0.14), ("b", 0.14)):
                party = summary.parties[name]
                alone, smule = (_scaled(metric, party.figure(network, metric)) for network in ("standalone", "smule"))
                _gain(axes, row + offset, alone, smule, name)
            pooled = _scaled(metric, summary.pooled_figure(metric))
            if pooled is not None:
                axes.plot(pooled, row, marker="|", markersize=18, color=POOLED_COLOR)
        status = "failed" if summary is None else summary.status
        if status != "completed":
            axes.text(0.01, row, status, va="center", fontsize=FONT_SIZE, transform=axes.get_yaxis_transform())
    axes.set_yticks(range(len(jobs)), [plain(label) for label, _ in jobs])
    axes.set_ylim(max(len(jobs), 1) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(_axis_title(metric))
    figure.legend(handles=_sweep_legend(axes), loc="outside upper center", ncols=5, frameon=False, fontsize=FONT_SIZE)
    return figure


def _axis_title(metric: str) -> str:
    return f"test {metric_title(metric)}" + (" (%)" if is_share(metric) else "")


def _scaled(metric: str, figure: MetricRecord | None) -> float | None:
    """In percent, where it is a share."""
    if figure is None or figure.value is None:
        return None
    return 100 * figure.value if is_share(metric) else figure.value


def _curve(
    axes: Axes,
    points: Sequence[tuple[str, str, int, float]],
    task: tuple[str, str],
    *,
    label: str,
    color: str,
    linestyle: LineStyle,
) -> None:
    shown = sorted((epoch, value) for party, phase, epoch, value in points if (party, phase) == task)
    if shown:
        x, y = zip(*shown, strict=True)
        marker = "o" if len(shown) <= MAX_MARKED_EPOCHS else ""
        axes.plot(x, y, label=label, color=color, linestyle=linestyle, marker=marker, markersize=3, linewidth=1.8)


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """The same limits for every party, so that its figures can be compared."""
    margin = 0.02 * max(map(abs, values)) + 0.05 * (max(values) - min(values))
    return min(values) - margin, max(values) + margin


def _gain(axes: Axes, y: float, alone: float | None, smule: float | None, party: str) -> None:
    color = PARTY_COLORS[party]
    if alone is not None and smule is not None:
        axes.plot([alone, smule], [y, y], color=color, linewidth=1.5)
    if alone is not None:
        axes.plot(alone, y, marker="o", color=color, markerfacecolor="white", markersize=6)
    if smule is not None:
        axes.plot(smule, y, marker="o", color=color, markersize=6)


def _sweep_legend(axes: Axes) -> list[Line2D]:
    handles = []
    for party, color in PARTY_COLORS.items():
        handles += axes.plot([], [], "o", color=color, markerfacecolor="white", label=f"{party} alone")
        handles += axes.plot([], [], "o", color=color, label=f"{party} SMuLe")
    handles += axes.plot([], [], "|", color=POOLED_COLOR, markersize=10, label="pooled data")
    return handles


def plain(label: str) -> str:
    """Keep matplotlib from reading dollar signs in a name as mathematics."""
    return label.replace("$", r"\$")
