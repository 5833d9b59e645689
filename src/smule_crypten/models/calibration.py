"""How large the values of a network become, measured by its owner in plaintext on its own data.

Fixed point has a range. A value beyond it wraps around without an error, and local truncation of a value z fails with
probability about |z| / 2^(64 - 2f) an element (f fractional bits), so the owner looks before it shares.
"""

from __future__ import annotations

import math

import torch

from smule_crypten.errors import DataError, UnshareableModelError
from smule_crypten.models.translate import TranslatedNetwork

MARGIN = 16.0
"""How much larger values may become on the other party's data than on the owner's own."""

_FAILURE_BITS = 20
"""At the edge of the range, truncation of an element fails with probability 2^-20."""


def largest_value(precision_bits: int) -> float:
    """The edge of the range: |z| below it is truncated correctly but for one element in 2^20."""
    return 2.0 ** (64 - _FAILURE_BITS - 2 * precision_bits)


CALIBRATION_SAMPLES = 256


def calibration_positions(num_images: int) -> torch.Tensor:
    """Which of its images an owner looks at: some, spread over all of them, since data often lies class by class."""
    count = min(num_images, CALIBRATION_SAMPLES)
    return torch.arange(count) * num_images // max(count, 1)


def calibrate(network: TranslatedNetwork, values: list[torch.Tensor], precision_bits: int) -> float:
    """Check every operation by its values on the owner's inputs; returns a public bound for |logit|, a power of two.

    Raises:
        UnshareableModelError: names the layer whose weights or values do not fit the range, and the remedy.
    """
    limit = largest_value(precision_bits)
    for name, (weight, bias) in network.parameters.items():
        for tensor in (weight, bias):
            if tensor is not None and not bool((tensor.abs() < limit).all()):
                raise _too_large(f"layer {name}", "a weight", float(tensor.abs().max()), limit)
    for op, value in zip(network.architecture.ops, values, strict=True):
        largest = float(value.abs().max())
        if not largest * MARGIN < limit:
            raise _too_large(f"layer {op.name}", "an output on this party's data", largest, limit / MARGIN)
    return 2.0 ** math.ceil(math.log2(max(float(values[-1].abs().max()), 1.0) * MARGIN))


def check_inputs(inputs_NX: torch.Tensor, sample_ids: torch.Tensor, limit: float) -> None:
    """Raises DataError, naming the sample, where an input is not finite or beyond the limit."""
    fits = (inputs_NX.abs() < limit).flatten(1).all(1)
    if not bool(fits.all()):
        first = int(sample_ids[~fits][0])
        raise DataError(
            f"sample {first} holds a value that is not finite or beyond {limit:g}; set data.mean and data.std so that "
            "inputs are of the order of 1"
        )


def _too_large(where: str, what: str, found: float, limit: float) -> UnshareableModelError:
    return UnshareableModelError(
        where,
        f"{what} of magnitude {found:g} does not fit fixed point, which allows {limit:g}",
        "lower scheme.precision_bits (each bit allows 4 times more), train with weight decay, or add BatchNorm",
    )
