"""Draw the pictures of the front page from committed results: python scripts/figures.py

docs/images/headline.svg comes from benchmarks/results/accuracy_by_megabytes.json, which
benchmarks/accuracy_by_megabytes.py writes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

ROOT = Path(__file__).parents[1]
DATA = ROOT / "benchmarks" / "results" / "accuracy_by_megabytes.json"
HEADLINE = ROOT / "docs" / "images" / "headline.svg"
_REPEATABLE = {"Date": None, "Creator": None}
_SMULE, _FEDAVG, _GREY = "#2563eb", "#c2410c", "#475569"


def draw(results: dict[str, Any], path: Path) -> None:
    """One panel a setting: accuracy of the party that needs help, in %, over megabytes of the whole run."""
    settings = results["settings"]
    plt.rcParams.update({"svg.hashsalt": "smule", "svg.fonttype": "none", "font.size": 11})
    figure, panels = plt.subplots(1, len(settings), figsize=(9, 3.9), sharex=True, layout="constrained")
    for axes, setting in zip(panels, settings, strict=True):
        _panel(axes, setting)
    panels[0].set_ylabel("test accuracy, %")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=10)
    figure.savefig(path, metadata=_REPEATABLE)
    plt.close(figure)


def _panel(axes: Axes, setting: dict[str, Any]) -> None:
    points = sorted(setting["smule"], key=lambda point: point["megabytes"])
    megabytes = [point["megabytes"] for point in points]
    for key, label, style in (("trained", "SMuLe", "-o"), ("together", "both networks together", "--o")):
        axes.plot(megabytes, [100 * point[key] for point in points], style, color=_SMULE, label=label, markersize=5)
    (head,) = setting["with_head"]
    axes.plot(
        head["megabytes"], 100 * head["trained"], "*", color=_SMULE, label="SMuLe with a joint head", markersize=13
    )
    fedavg = setting["fedavg"]
    axes.plot(fedavg["megabytes"], 100 * fedavg["accuracy"], "D", color=_FEDAVG, label="FedAvg (shows weights)")
    axes.axhline(100 * setting["pooled"], color=_GREY, linestyle=":", label="pooled data")
    axes.axhline(100 * setting["alone"], color=_GREY, linestyle="-", linewidth=1, label="alone")
    axes.set_xscale("log")
    axes.set_xlabel("MB between the parties, whole run")
    axes.set_title(setting["title"], fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    draw(json.loads(DATA.read_text(encoding="utf-8")), HEADLINE)
    print(f"wrote {HEADLINE}")
