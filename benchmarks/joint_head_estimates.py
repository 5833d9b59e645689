"""How well a party guesses the joint head by own sums and a few noisy answers (`joint_head/estimate.py`).

For splits of the classes between two parties, answers and noise: accuracy of the guess, beside that of the exact head,
of own rows alone, and of the least change of the own head that explains the answers (least squares).

    python benchmarks/joint_head_estimates.py --features features.npz --output estimates.json

The file is that of joint_head_solves.py; without one, the pixels of digits.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
from figures_file import write_figures
from joint_head_solves import Rows, accuracy, load, split, statistics_of
from rich.console import Console

from smule_crypten.config.joint_head import DEVIATION
from smule_crypten.joint_head.asking import FLOODING
from smule_crypten.joint_head.estimate import chosen_questions, estimated_head
from smule_crypten.joint_head.solve_in_clear import exact_head
from smule_crypten.joint_head.statistics import with_constant
from smule_crypten.types import centred

PENALTY = 2.0
"""Of a feature."""


def figures(train: Rows, test: Rows, clip_norm: float, alpha: float, seed: int, noises: list[float]) -> dict[str, Any]:
    """Of both parties, in this order."""
    outputs = int(train.classes.max()) + 1
    is_a = split(train.classes, alpha, seed)
    parts = [train.of(part) for part in (is_a, ~is_a)]
    sums = [statistics_of(part, outputs, clip_norm) for part in parts]
    joint = sums[0] + sums[1]
    penalty = PENALTY * joint.features
    exact = exact_head(joint, penalty)
    found: dict[str, Any] = {"alpha": alpha, "seed": seed, "rows": [one.rows for one in sums], "guesses": []}
    found["exact"] = accuracy(exact, test, clip_norm)
    found["own"] = [accuracy(exact_head(one, penalty), test, clip_norm) for one in sums]
    for parted, own in zip(parts, sums, strict=True):
        generator = torch.Generator().manual_seed(seed)
        candidates_ND = with_constant(parted.features[: 4 * joint.features], clip_norm)
        for divisor in (8, 4, 2, 1):
            count = joint.features // divisor
            rows_ND = candidates_ND[chosen_questions(len(candidates_ND), count, generator)]
            for noise in noises:
                deviation = noise * DEVIATION / joint.features**0.5
                told = exact + deviation * torch.randn(exact.shape, generator=generator, dtype=torch.float64)
                fresh_NC = torch.randn(count, outputs, generator=generator, dtype=torch.float64)
                answers_NC = centred(rows_ND @ told + FLOODING * fresh_NC)
                guess = estimated_head(
                    own,
                    rows_ND,
                    answers_NC,
                    noise=FLOODING,
                    weight_noise=deviation,
                    penalty=penalty,
                    opening="differences",
                )
                start = exact_head(own, penalty)
                least = start + torch.linalg.lstsq(rows_ND, answers_NC - rows_ND @ start, driver="gelsd").solution
                found["guesses"].append(
                    {
                        "answers": f"d/{divisor}",
                        "noise": noise,
                        "guess": accuracy(guess, test, clip_norm),
                        "least_squares": accuracy(least, test, clip_norm),
                    }
                )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path)
    parser.add_argument("--alphas", default="0.1,0.5", help="of the Dirichlet distributions of classes")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=20_000, help="of both parties; the first ones in a random order")
    parser.add_argument("--noises", default="0,0.05,0.2", help="in units of joint_head.noise")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    train, test, clip_norm = load(options.features)
    train = train.shuffled().of(torch.arange(min(options.rows, len(train.classes))))
    noises = [float(noise) for noise in options.noises.split(",")]
    found = []
    for alpha in map(float, options.alphas.split(",")):
        for seed in range(options.seeds):
            found.append(figures(train, test, clip_norm, alpha, seed, noises))
            Console().print(found[-1])
    if options.output:
        write_figures(options.output, "joint_head_estimates", options.threads, {"estimates": found})
    return 0


if __name__ == "__main__":
    sys.exit(main())
