"""From the ring elements of an output back to numbers, as far as they are opened."""

from __future__ import annotations

import torch

from smule_crypten.mpc.packing import signed
from smule_crypten.types import LogitOpening, centred


def decoded(elements_NC: torch.Tensor, ring: int, scale: int, opening: LogitOpening) -> torch.Tensor:
    """Logits (N, C), float64, of elements of Z_{2^ring} at scale 2^scale.

    With "differences" the elements of a sample may have any offset in common: the differences are taken in the ring,
    and centred. With "values" each stands for itself.
    """
    if opening == "values":
        return signed(elements_NC, ring).double() / 2.0**scale
    return centred(signed(elements_NC - elements_NC[:, :1], ring).double() / 2.0**scale)
