"""Questions by which the joint head is recovered from fewest answers.

What a party makes of its answers is no attack: `joint_head/estimate.py` is the best guess of the head that was found,
and every party computes it. An attack is to ask about rows that no sample has. Nobody can see that.
"""

from __future__ import annotations

import torch

from smule_crypten.joint_head.statistics import Statistics


def widest_rows(own: Statistics, count: int, clip_norm: float) -> torch.Tensor:
    """Rows (count, D) along the axes in which own rows vary most, as long as the clipping norm allows.

    At most as many as there are axes, D - 1. D features with the constant one.
    """
    axes_FF = torch.linalg.eigh(own.gram_DD[:-1, :-1]).eigenvectors.flip(1)
    rows_QF = clip_norm * axes_FF[:, :count].T
    return torch.cat([rows_QF, rows_QF.new_ones(len(rows_QF), 1)], dim=1)
