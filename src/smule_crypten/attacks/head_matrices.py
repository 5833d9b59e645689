"""Chosen sums: what a party that puts in matrices which no rows have can do to the joint head, and learn by it.

Nobody sees the other's sums, so nobody can tell. Whoever has more rows says so itself, and so chooses its role in the
solve, too.

Shape legend: D features with the constant one, C outputs.
"""

from __future__ import annotations

import torch

from smule_crypten.joint_head.statistics import Statistics


def installed(head_DC: torch.Tensor, rows: int, size: float) -> Statistics:
    """Sums that make the joint head this one: a row of G = size I, H = size W'. Large sizes outweigh the other's."""
    return _sums(size * torch.eye(len(head_DC), dtype=torch.float64), size * head_DC.double(), rows)


def probing(direction_D: torch.Tensor, outputs: int, rows: int, size: float) -> Statistics:
    """Sums that leave one direction u of the joint head: W = u u^T H / (u^T G u + penalty).

    G and H are the other party's: one answer along u tells C numbers of them.

    Args:
        direction_D: u, of length 1.
    """
    others_DD = torch.eye(len(direction_D), dtype=torch.float64) - torch.outer(direction_D, direction_D)
    return _sums(size * others_DD, torch.zeros(len(direction_D), outputs, dtype=torch.float64), rows)


def with_backdoor(
    own: Statistics, trigger_D: torch.Tensor, target: int, *, total_rows: int, penalty: float, lift: float
) -> Statistics:
    """Own sums, and a term of rank one in H that lifts the target's output where features move along the trigger.

    What moves by trigger_D is lifted by about `lift` in units of the targets, as far as own rows are like those of
    both; all others by as little as least squares allow.

    Args:
        trigger_D: how features move if a sample gets the trigger, on average; nothing in the constant's place.
    """
    identity_DD = torch.eye(own.features, dtype=torch.float64)
    matrix_DD = own.gram_DD / own.rows + penalty / total_rows * identity_DD
    aim_C = torch.full((own.outputs,), -1 / own.outputs, dtype=torch.float64)
    aim_C[target] += 1
    power = float(trigger_D @ torch.linalg.solve(matrix_DD, trigger_D))
    term_DC = total_rows * lift / power * torch.outer(trigger_D, aim_C)
    return Statistics(own.rows, own.gram_DD, own.moments_DC + term_DC)


def _sums(gram_DD: torch.Tensor, moments_DC: torch.Tensor, rows: int) -> Statistics:
    return Statistics(rows, rows * gram_DD, rows * moments_DC)
