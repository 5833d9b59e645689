from __future__ import annotations

import pytest

from smule_crypten.config.sections import TrainingConfig
from smule_crypten.training.schedules import distillation_weight, temperature


def test_constant_by_default() -> None:
    """Without a schedule both are what the user set, in every epoch."""
    config = TrainingConfig(epochs=3, distillation_weight=0.7, temperature=3.0)
    for epoch in (1, 2, 3):
        assert (distillation_weight(config, epoch), temperature(config, epoch)) == (0.7, 3.0)


def test_weights_rise_and_fall() -> None:
    """From nothing to the full weight, or from it to nothing."""
    rising = TrainingConfig(epochs=3, distillation_weight=0.8, weight_schedule="rising")
    falling = TrainingConfig(epochs=3, distillation_weight=0.8, weight_schedule="falling")
    assert [distillation_weight(rising, epoch) for epoch in (1, 2, 3)] == [0.0, 0.4, 0.8]
    assert [distillation_weight(falling, epoch) for epoch in (1, 2, 3)] == [0.8, 0.4, 0.0]


def test_the_temperature_moves_by_equal_ratios() -> None:
    """From 4 to 1 over three epochs by way of 2; a single epoch has the last one."""
    assert [
        temperature(TrainingConfig(epochs=3, temperature=4.0, final_temperature=1.0), epoch) for epoch in (1, 2, 3)
    ] == pytest.approx([4.0, 2.0, 1.0])
    assert temperature(TrainingConfig(epochs=1, temperature=4.0, final_temperature=1.0), 1) == 1.0
