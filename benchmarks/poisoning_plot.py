"""Accuracy and attack success of the honest party by attack and method, as bars."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """To an SVG file. Cases that were not measured have no bar."""
    attacks, methods = (list(dict.fromkeys(row[key] for row in rows)) for key in ("attack", "method"))
    height = 0.8 / len(methods)
    figure, panels = plt.subplots(1, 2, figsize=(10, 0.2 * len(attacks) * len(methods) + 1.5), sharey=True)
    for axes, key, title in zip(panels, ("accuracy", "success"), ("accuracy, %", "attack success, %"), strict=True):
        for number, method in enumerate(methods):
            bars = [(row["attack"], row[key]) for row in rows if row["method"] == method and row[key] is not None]
            places = [attacks.index(attack) + (number - (len(methods) - 1) / 2) * height for attack, _ in bars]
            axes.barh(places, [100 * value for _, value in bars], height=height, label=method)
        axes.set_xlabel(title)
    panels[0].set_yticks(range(len(attacks)), attacks)
    panels[0].invert_yaxis()
    panels[1].legend(fontsize="small")
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
