"""Back from residues modulo q to whole units: each party rounds its own share, without a message.

z, in whole multiples of Delta = q / 2^k with f bits below a unit, becomes z / 2^f modulo 2^w, w = k - f; D's share
keeps t bits below its units.

1. M adds rho, fresh and uniform in Z_{q / 2^w}, to its share modulo q and keeps the top w bits: v_M.
2. D keeps the top w + t bits of its share, rounded to the nearest: v_D.

2^t v_M + v_D = (2^t / 2^f) (z + error) + (M's rounding) + (D's rounding) modulo 2^(w + t). M's rounding has mean zero
whatever the shares are, since rho is uniform and D knows nothing of it. D's, at most half of 2^-t units, D knows:
what t is for. Nothing is sent, nothing is opened, and nothing wraps while |z| <= `largest`: 2^(k-1) less (2 + 8 d) 2^f,
where d is Plan.deviation of the error (beyond 8 of it with a probability below 2^-49 a value).
"""

from __future__ import annotations

import math

import torch

from smule_crypten.lattice.ring import rounded
from smule_crypten.mpc.packing import signed
from smule_crypten.mpc.streams import Stream


def largest(ring: int, fraction: int, deviation: float) -> int:
    """Of |z|: the range of a ring of k = `ring` bits less the error, at 8 deviations, and both roundings."""
    return (1 << (ring - 1)) - math.ceil((2 + 8 * deviation) * 2.0**fraction)


def model_owner_share(share: torch.Tensor, modulus_bits: int, width: int, local: Stream) -> torch.Tensor:
    """Step 1: int64 modulo 2^width, in two's complement.

    Args:
        local: a stream that nobody else knows.
    """
    dropped = modulus_bits - width
    if not dropped:
        return signed(share, width)
    rho = local.packed(share.numel(), dropped).view(share.shape)
    return signed((share + rho) >> dropped, width)


def data_owner_share(share: torch.Tensor, modulus_bits: int, width: int, guard_bits: int) -> torch.Tensor:
    """Step 2: int64 modulo 2^(width + guard_bits), in two's complement."""
    return rounded(share, modulus_bits, width + guard_bits)
