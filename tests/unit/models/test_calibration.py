from __future__ import annotations

import pytest
import torch
from torch import nn

from smule_crypten.errors import DataError, UnshareableModelError
from smule_crypten.models.calibration import (
    CALIBRATION_SAMPLES,
    MARGIN,
    calibrate,
    calibration_positions,
    check_inputs,
    largest_value,
)
from smule_crypten.models.translate import TranslatedNetwork, translate


def network(scale: float) -> TranslatedNetwork:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False), nn.ReLU(), nn.Linear(2, 2, bias=False))
    for layer in (model[1], model[3]):
        nn.init.constant_(layer.weight, scale)
    return translate(model, (1, 2, 2))


INPUTS = torch.ones(3, 1, 2, 2)


def bound(network: TranslatedNetwork, precision_bits: int) -> float:
    return calibrate(network, network.values(INPUTS.double()), precision_bits)


def test_range_follows_the_fractional_bits() -> None:
    """Each fractional bit less allows four times more: truncation divides a product at twice the precision."""
    assert largest_value(16) == 2.0**12
    assert largest_value(15) == 4 * largest_value(16)


def test_bound_is_a_power_of_two_above_the_margin() -> None:
    """The bound is public, so it tells no more of the model than a magnitude. Logits here are 2 * (4 * 1) = 8."""
    assert bound(network(1.0), 16) == 8 * MARGIN


def test_layer_beyond_the_range_is_named() -> None:
    """The second linear layer reaches 2 * 16 * (4 * 16) = 2048; 4096 / 16 leaves room for larger data elsewhere."""
    with pytest.raises(UnshareableModelError, match=r"layer _3 .*magnitude 2048 .*allows 256; lower scheme.precision_"):
        bound(network(16.0), 16)
    assert bound(network(16.0), 12) == 2048 * MARGIN


@pytest.mark.parametrize("value", [1e9, float("nan"), float("inf")])
def test_weights_beyond_the_range_are_named(value: float) -> None:
    """A weight that is not finite would be encoded as an arbitrary number."""
    translated = network(1.0)
    translated.parameters["_1"][0][0, 0] = value
    with pytest.raises(UnshareableModelError, match=r"layer _1 .*a weight of magnitude"):
        bound(translated, 16)


@pytest.mark.parametrize("value", [1e9, float("nan"), float("-inf")])
def test_inputs_beyond_the_range_are_named(value: float) -> None:
    """The sample is named by its id, since its owner can look it up."""
    inputs = INPUTS.clone()
    inputs[1, 0, 0, 0] = value
    with pytest.raises(DataError, match="sample 17 holds a value"):
        check_inputs(inputs, torch.tensor([3, 17, 5]), 16)
    check_inputs(INPUTS, torch.tensor([3, 17, 5]), 16)


@pytest.mark.parametrize("count", [0, 1, 100, CALIBRATION_SAMPLES, 1000])
def test_calibration_looks_at_images_from_all_over_the_data(count: int) -> None:
    """Data often lies class by class: the first images would all be of one class, and its range too small."""
    chosen = calibration_positions(count)
    assert len(chosen.unique()) == len(chosen) == min(count, CALIBRATION_SAMPLES)
    if count > CALIBRATION_SAMPLES:
        assert (chosen[1:] - chosen[:-1]).max() <= 4
        assert chosen[-1] >= count - 4
