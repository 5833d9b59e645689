"""What tests of sweeps share: settings of short jobs, and the table of a sweep."""

from __future__ import annotations

import csv
from pathlib import Path

QUICK = ["training.epochs=2", "simulation={pooled:false,controls:[]}", "training.standalone=false"]


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "sweep_summary.csv").open(newline="") as file:
        return list(csv.DictReader(file))
