"""sweep_summary.svg: what each job of a sweep came to."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from smule_crypten.report.evaluation_records import MetricRecord
from smule_crypten.report.metric_text import axis_title, on_axis
from smule_crypten.report.run_records import RunSummary
from smule_crypten.report.svg import FONT_SIZE, PARTY_COLORS, POOLED_COLOR, new_figure, plain


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
    axes.set_xlabel(axis_title(metric))
    figure.legend(handles=_sweep_legend(axes), loc="outside upper center", ncols=5, frameon=False, fontsize=FONT_SIZE)
    return figure


def _scaled(metric: str, figure: MetricRecord | None) -> float | None:
    """In percent, where it is a share."""
    if figure is None or figure.value is None:
        return None
    return on_axis(metric, figure.value)


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
