"""Accuracy against megabytes, from folders of `smule-benchmark suite=learning_joint_head` with different budgets.

    python benchmarks/accuracy_by_megabytes.py --output FILE --references FOLDER FOLDER...

Each folder is one budget without a joint head, seeds 0 to 2; --references is the one with a joint head that has
training alone, FedAvg and pooled data, too. `scripts/figures.py` draws what this writes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from figures_file import write_figures

MB = 1e6
SHOWN = {
    "trunk_few": ("a", "2,000 labels beside 20,000"),
    "trunk_dirichlet_0.1": ("b", "skewed classes (Dirichlet 0.1)"),
}
"""Setting -> the party that needs help, and the title."""
HEAD_BYTES = (1280 * 128 + 128 + 128 * 10 + 10) * 4
"""Weights of the network 1280-128-10 as floats, which FedAvg sends both ways in each epoch."""
EPOCHS = 8


def results_of(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return loaded


def rows_of(results: dict[str, Any], setting: str, party: str) -> list[dict[str, Any]]:
    """The row of one party, none where the budget pays for no question of it.

    A row that lacks seeds would be a mean of something else.
    """
    rows = [row for row in results["tables"][0]["rows"] if (row["setting"], row["party"]) == (setting, party)]
    if any(row["seeds"] != 3 for row in rows):
        raise SystemExit(f"{setting}, party {party}: want three seeds, found {rows}")
    return rows


def run_bytes(results: dict[str, Any], setting: str) -> int:
    """Of all exchanges and the set-up, both directions."""
    curve = next(curve for curve in results["curves"] if curve["label"] == setting)
    return int(curve["points"][-1]["bytes"])


def points_of(results: dict[str, Any], setting: str, party: str) -> list[dict[str, float]]:
    return [
        {
            "megabytes": (run_bytes(results, setting) + row.get("head_bytes", 0)) / MB,
            "trained": row["smule_accuracy"],
            "together": row["joint_accuracy"],
        }
        for row in rows_of(results, setting, party)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--references", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    references = results_of(options.references)
    settings = []
    for setting, (party, title) in SHOWN.items():
        (row,) = rows_of(references, setting, party)
        settings.append(
            {
                "title": title,
                "alone": row["alone_accuracy"],
                "pooled": row["pooled_accuracy"],
                "fedavg": {"megabytes": 2 * EPOCHS * HEAD_BYTES / MB, "accuracy": row["fedavg_accuracy"]},
                "smule": [
                    point for folder in options.folders for point in points_of(results_of(folder), setting, party)
                ],
                "with_head": points_of(references, setting, party),
            }
        )
    write_figures(options.output, "accuracy_by_megabytes", 1, {"settings": settings})


if __name__ == "__main__":
    main()
