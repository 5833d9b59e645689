"""Which penalty suits a joint head: accuracy of the exact head by `joint_head.penalty`, for features and rows.

Penalties are in units of one feature, so that 2 stands for joint_head.penalty = 2 D. With so many rows of both parties,
however they are divided: the exact head does not depend on that.

    scripts/bench joint_head_penalty --features trunk.npz --rows 3600,18000,45000 --output penalty.json

The file is that of joint_head_solves.py; without one, the pixels of digits. * marks what the solve without a dealer
raises to the least penalty that errors of its products allow.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
from figures_file import write_figures
from joint_head_solves import Rows, load, statistics_of
from rich.console import Console
from rich.table import Table

from smule_crypten.joint_head.lattice_products import least_ridge
from smule_crypten.joint_head.plan import SolvePlan
from smule_crypten.joint_head.statistics import with_constant

PENALTIES = (0.003, 0.01, 0.025, 0.05, 0.1, 0.3, 1.0, 2.0, 4.0, 10.0)


def figures(train: Rows, test: Rows, clip_norm: float, count: int, iterations: int) -> dict[str, Any]:
    """By one decomposition of the sums of the first `count` rows: the accuracy in percent under each penalty."""
    outputs = int(train.classes.max()) + 1
    sums = statistics_of(train.of(torch.arange(count)), outputs, clip_norm)
    sizes_D, directions_DD = torch.linalg.eigh(sums.gram_DD)
    along_DC = directions_DD.T @ sums.moments_DC
    rows_ND = with_constant(test.features, clip_norm) @ directions_DD
    plan = SolvePlan(rows=count, features=sums.features, outputs=outputs, ridge=1.0, iterations=iterations)
    found = {}
    for penalty in PENALTIES:
        weights_DC = along_DC / (sizes_D + penalty * sums.features).unsqueeze(1)
        named_N = (rows_ND @ weights_DC).argmax(dim=1)
        found[penalty] = 100 * float((named_N == test.classes).double().mean())
    least = least_ridge(plan) * count / sums.features
    return {"rows": count, "features": sums.features, "least": least, "accuracy": found}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path)
    parser.add_argument("--rows", default="300,1300", help="of both parties; the first ones in a random order")
    parser.add_argument("--iterations", type=int, default=14, help="of the solve: the least penalty follows from them")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    train, test, clip_norm = load(options.features)
    train = train.shuffled()
    found = [figures(train, test, clip_norm, count, options.iterations) for count in map(int, options.rows.split(","))]
    table = Table("Rows", *map(str, PENALTIES), "least", title=f"Accuracy, %, D = {found[0]['features']}")
    for one in found:
        marked = [f"{value:.2f}{'*' if penalty < one['least'] else ''}" for penalty, value in one["accuracy"].items()]
        table.add_row(f"{one['rows']:,}", *marked, f"{one['least']:.3f}")
    Console(width=160).print(table)
    if options.output:
        write_figures(options.output, "joint_head_penalty", options.threads, {"penalties": found})
    return 0


if __name__ == "__main__":
    sys.exit(main())
