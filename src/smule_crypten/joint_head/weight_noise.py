"""Each party's noise on the weights of the joint head, drawn once a solve.

At the end of a solve each party adds normal noise E of its own to its share of W. So whatever is opened later, answers
or all weights, is of W + E_a + E_b, and a party, which takes its own part off, learns W under the other one's noise and
nothing else: asked twice, a row gets the same answer. A row of the norm sqrt(D), which standardised features have near
enough, has an output under noise of sqrt(D) times a weight's. A longer row has more, as its output is more.

E is drawn afresh for each solve: on two heads the same noise would vanish from their difference.
"""

from __future__ import annotations

import torch

from smule_crypten.joint_head.plan import VALUE_BITS
from smule_crypten.mpc.streams import Stream

LEAST = 2.0**-12
"""Deviation on each weight of which anything is opened, at least: 256 units of the last digit, far above what rounding
tells of shares."""


def drawn_noise(shape: tuple[int, ...], deviation: float, local: Stream) -> torch.Tensor:
    """E, int64, of VALUE_BITS binary digits; local is known to nobody else."""
    return (local.normal(shape) * (deviation * (1 << VALUE_BITS))).round().long()
