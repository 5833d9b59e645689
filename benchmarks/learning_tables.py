"""Results of the learning benchmark as a table and as pictures."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from learning_cases import PARTIES, read
from rich.console import Console
from rich.table import Table

LOCAL = ("alone", "label_smoothing", "self_mutual")
"""The best of these is what a gain is counted from."""
ONCE = {"self_distillation": "self_distillation", "full_exchange": "full exchange", "pooled": "pooled"}
"""Methods that may have been run for the first seed only."""


def collect(folder: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Setting -> method -> accuracies of each seed, in percent, and bytes."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for path in sorted(folder.glob("*/*/*.json")):
        result = read(path)
        setting, seed, method = result["name"].split("/")
        found.setdefault(setting, {}).setdefault(method, {})[seed] = result
    return found


def rows_of(results: dict[str, dict[str, dict[str, Any]]], settings: Sequence[str]) -> list[dict[str, Any]]:
    """One row a setting and party, of settings that are through: means over the seeds that all methods have."""
    return [
        _row(setting, party, results[setting])
        for setting in settings
        if {*LOCAL, "smule"} <= set(results.get(setting, {}))
        for party in PARTIES
        if any(party in result for result in results[setting]["smule"].values())
    ]


def _row(setting: str, party: str, methods: dict[str, dict[str, Any]]) -> dict[str, Any]:
    seeds = sorted(set.intersection(*(set(methods[name]) for name in (*LOCAL, "smule"))))

    def values(method: str, key: str = party) -> list[float]:
        return [methods[method][seed][key] for seed in seeds]

    means = {name: statistics.mean(values(name)) for name in LOCAL}
    best = max(means, key=lambda name: means[name])
    gains = [own - control for own, control in zip(values("smule"), values(best), strict=True)]
    some = methods["smule"][seeds[0]]
    return {
        "setting": setting,
        "party": party,
        "seeds": len(seeds),
        **means,
        "best_control": best,
        "smule": statistics.mean(values("smule")),
        "gain": statistics.mean(gains),
        "gain_spread": statistics.stdev(gains) if len(gains) > 1 else None,
        "joint": statistics.mean(values("smule", f"joint_{party}")),
        **{key: _of_first(methods, name, "a" if key == "pooled" else party) for key, name in ONCE.items()},
        "queries": some["queries"][PARTIES.index(party)],
        "megabytes": some["all_bytes"] / 1e6,
        "online_megabytes": some["online_bytes"] / 1e6,
    }


def _of_first(methods: dict[str, dict[str, Any]], method: str, key: str) -> float | None:
    first = methods.get(method, {}).get("0", {})
    return float(first[key]) if key in first else None


def variants_of(results: dict[str, dict[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Single runs of SMuLe with other settings, beside those with the delivered ones."""
    return [
        {
            "setting": setting,
            "variant": method.removeprefix("smule").removeprefix(", ") or "as delivered",
            "seed": seed,
            **{key: result[key] for key in ("a", "b", "queries", "all_bytes") if key in result},
        }
        for setting, methods in results.items()
        if any(method.startswith("smule, ") for method in methods)
        for method in sorted(methods)
        if method.startswith("smule")
        for seed, result in methods[method].items()
    ]


HEADINGS = {
    "setting": "setting",
    "party": "",
    "seeds": "seeds",
    "alone": "alone",
    "label_smoothing": "label smoothing",
    "self_mutual": "self mutual",
    "smule": "SMuLe",
    "gain": "gain over the best",
    "joint": "joint prediction",
    "self_distillation": "self-distillation (seed 0)",
    "full_exchange": "all samples asked (seed 0)",
    "pooled": "pooled data (seed 0)",
    "queries": "queries an epoch",
    "megabytes": "MB an epoch",
}


def cells(row: dict[str, Any]) -> list[str]:
    """As text, accuracies in percent."""
    texts = []
    for key in HEADINGS:
        value = row[key]
        if key == "gain":
            spread = "" if row["gain_spread"] is None else f" ± {row['gain_spread']:.1f}"
            texts.append(f"{value:+.1f}{spread}")
        elif value is None:
            texts.append("-")
        else:
            texts.append(f"{value:.1f}" if isinstance(value, float) else str(value))
    return texts


def show(rows: Sequence[dict[str, Any]]) -> None:
    table = Table(*HEADINGS.values())
    for row in rows:
        table.add_row(*cells(row))
    Console(width=200).print(table)


def show_variants(variants: Sequence[dict[str, Any]]) -> None:
    table = Table("setting", "variant", "seed", "a", "b", "queries an epoch", "MB an epoch")
    for row in variants:
        accuracies = ["-" if party not in row else f"{row[party]:.1f}" for party in PARTIES]
        megabytes = f"{row['all_bytes'] / 1e6:.1f}"
        table.add_row(row["setting"], row["variant"], row["seed"], *accuracies, str(row["queries"]), megabytes)
    Console(width=200).print(table)


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    lines = ["| " + " | ".join(HEADINGS.values()) + " |", "|" + "---|" * len(HEADINGS)]
    return "\n".join([*lines, *("| " + " | ".join(cells(row)) + " |" for row in rows)]) + "\n"


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Gains over the best local control, as bars, to an SVG file."""
    labels = [f"{row['setting']}: {row['party']}" for row in rows]
    figure, axes = plt.subplots(figsize=(8, 0.32 * len(rows) + 1))
    positions = range(len(rows))
    for offset, (key, name) in ((-0.2, ("smule", "SMuLe")), (0.2, ("joint", "both networks at prediction time"))):
        gains = [row[key] - row[row["best_control"]] for row in rows]
        axes.barh([position + offset for position in positions], gains, height=0.38, label=name)
    axes.set_yticks(list(positions), labels)
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel("points of accuracy over the best local control")
    axes.legend()
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)


def draw_curves(variants: Sequence[dict[str, Any]], setting: str, path: Path) -> None:
    """Accuracy of party a against megabytes an epoch, one line for each way of asking, to an SVG file.

    A variant belongs to a line if its name ends with its budget: "pool, 20 MB".
    """
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in variants:
        name, _, budget = row["variant"].rpartition(", ")
        if row["setting"] == setting and budget.endswith(" MB"):
            lines.setdefault(name, []).append((row["all_bytes"] / 1e6, row["a"]))
    figure, axes = plt.subplots(figsize=(7, 4))
    for name, points in lines.items():
        axes.plot(*zip(*sorted(points), strict=True), marker="o", label=name)
    axes.set_xscale("log")
    megabytes = sorted({round(x) for points in lines.values() for x, _ in points})
    axes.set_xticks(megabytes, [str(x) for x in megabytes])
    axes.minorticks_off()
    axes.set_xlabel("MB an epoch, both parties and dealer")
    axes.set_ylabel("accuracy of party a, %")
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
