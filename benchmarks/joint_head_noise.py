"""What noise of the joint head hides most of who was among a party's rows: as built, and two that are not built.

All three make the same noise on an output, in the mean over party a's rows: 0.2 * 0.214. Party b's noise is

- on each weight alike (as built);
- on the weights, with the covariance of A^-1, A the matrix that the head solves;
- on b's own moments H_b before the solve, with the covariance of G_b + penalty I: as if each label of its rows had
  noise, and a little more. Nobody needs to know A for that.

Party a has its rows' sums and all weights under that noise, and tells rows of b from rows of nobody by the likelihood
ratio (attacks/head_membership.py). In the clear.

    scripts/bench joint_head_noise --features trunk.npz --others 500,2000,20000

The file is that of joint_head_solves.py; without one, the pixels of digits.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
from figures_file import write_figures
from joint_head_solves import Rows, accuracy, head_sizes, load, statistics_of
from rich.console import Console

from smule_crypten.attacks.head_membership import Knowledge, scores_by_answers
from smule_crypten.attacks.membership import membership_risk
from smule_crypten.config.joint_head import DEVIATION
from smule_crypten.joint_head.solve_in_clear import exact_head
from smule_crypten.joint_head.statistics import one_hot_targets, with_constant

_MOST_CANDIDATES = 2000
"""Of members, and of strangers."""
BOUND = 32.0
"""Of a solve: no penalty follows from it."""


def figures(
    train: Rows, test: Rows, clip_norm: float, own_rows: int, others: int, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Of each noise: what the head is worth under it, and how well rows of b are told."""
    outputs = int(train.classes.max()) + 1
    few = min(others, _MOST_CANDIDATES, len(train.classes) - own_rows - others)
    own_part, members, strangers = (
        train.of(torch.arange(first, first + count))
        for first, count in ((0, own_rows), (own_rows, others), (own_rows + others, few))
    )
    own, theirs = (statistics_of(part, outputs, clip_norm) for part in (own_part, members))
    rows = own.rows + theirs.rows
    penalty = head_sizes(own.features, outputs, options.penalty, BOUND, options.iterations).penalty(rows)
    head_DC = exact_head(own + theirs, penalty)
    known = Knowledge(own, rows, penalty)
    candidates = Rows(
        torch.cat([members.features[:few], strangers.features]),
        torch.cat([members.classes[:few], strangers.classes]),
    )
    rows_ND = with_constant(candidates.features, clip_norm)
    targets_NC = one_hot_targets(candidates.classes, outputs)
    identity_DD = torch.eye(own.features, dtype=torch.float64)
    whole_DD = own.gram_DD + theirs.gram_DD + penalty * identity_DD
    generator = torch.Generator().manual_seed(1)
    normal_DC = torch.randn(head_DC.shape, generator=generator, dtype=torch.float64)
    # What party a takes b's sums for: those of as many rows like its own.
    assumed = _roots(others / own.rows * own.gram_DD, known.matrix_DD, penalty)
    exact = accuracy(head_DC, test, clip_norm)
    found = []
    for name, root_DD in _roots(theirs.gram_DD, whole_DD, penalty).items():
        variance = float(((own.gram_DD @ root_DD) * root_DD).sum() / own.rows)
        scale = 0.2 * DEVIATION / variance**0.5
        told_DC = head_DC + scale * root_DD @ normal_DC
        axes_DD = torch.linalg.solve(assumed[name], identity_DD)
        scores_N = scores_by_answers(known, axes_DD, axes_DD @ told_DC, rows_ND, targets_NC, noise=scale)
        risk = membership_risk(scores_N[:few], scores_N[few:])
        worth = {"exact": exact, "noisy": accuracy(told_DC, test, clip_norm)}
        found.append({"others": others, "noise": name, "scale": scale, **worth, "auc": risk.auc})
    return found


def _roots(theirs_DD: torch.Tensor, whole_DD: torch.Tensor, penalty: float) -> dict[str, torch.Tensor]:
    """A root of the covariance of each noise on the weights, up to a factor."""
    identity_DD = torch.eye(len(whole_DD), dtype=torch.float64)
    lower_DD = torch.linalg.cholesky(whole_DD)
    moments_DD = torch.linalg.cholesky(theirs_DD + penalty * identity_DD)
    return {
        "on each weight alike": identity_DD,
        "as A^-1": torch.linalg.solve_triangular(lower_DD.T, identity_DD, upper=True),
        "on own moments": torch.cholesky_solve(moments_DD, lower_DD),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path)
    parser.add_argument("--own", type=int, help="rows of party a; 20,000, or 600 of digits")
    parser.add_argument("--others", help="rows of party b; 500,2000, or 100,300 of digits")
    parser.add_argument("--penalty", type=float, default=2.0, help="of a feature")
    parser.add_argument("--iterations", type=int, default=14, help="of the solve: the least penalty follows from them")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    train, test, clip_norm = load(options.features)
    train = train.shuffled()
    own, others_by_default = (600, "100,300") if options.features is None else (20_000, "500,2000")
    own = options.own or own
    found = []
    for others in map(int, (options.others or others_by_default).split(",")):
        found += figures(train, test, clip_norm, own, others, options)
        Console().print(*found[-3:], sep="\n")
    if options.output:
        write_figures(options.output, "joint_head_noise", options.threads, {"noises": found})
    return 0


if __name__ == "__main__":
    sys.exit(main())
