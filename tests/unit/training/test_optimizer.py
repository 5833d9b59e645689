from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW

from smule_crypten.config.sections import OptimizerConfig
from smule_crypten.training.optimizer import build_optimizer


def learning_rates(config: OptimizerConfig, total_steps: int) -> list[float]:
    """The learning rate that each step was done with."""
    optimizer, scheduler = build_optimizer(nn.Linear(2, 2), config, total_steps)
    rates = []
    for _ in range(total_steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_one_cycle_peaks_at_the_learning_rate() -> None:
    """one_cycle rises to learning_rate once and ends near zero, within exactly the given steps."""
    rates = learning_rates(OptimizerConfig(schedule="one_cycle", learning_rate=0.2), 50)
    peak = rates.index(max(rates))
    assert max(rates) == pytest.approx(0.2)
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] < 1e-4


def test_cosine_falls_from_the_learning_rate_to_zero() -> None:
    """cosine starts at learning_rate, is at half of it midway, and falls all the time."""
    rates = learning_rates(OptimizerConfig(schedule="cosine", learning_rate=0.2), 50)
    assert rates[0] == pytest.approx(0.2)
    assert rates[25] == pytest.approx(0.1)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 1e-3


def test_constant_does_not_move() -> None:
    """constant is the learning rate at every step."""
    assert learning_rates(OptimizerConfig(schedule="constant", learning_rate=0.2), 5) == [0.2] * 5


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "constant"])
def test_a_single_step_is_possible(schedule: str) -> None:
    """The smallest run, one epoch of one batch, has a schedule too."""
    assert len(learning_rates(OptimizerConfig(schedule=schedule), 1)) == 1  # type: ignore[arg-type]


def test_sgd_takes_all_its_settings() -> None:
    """Nesterov momentum and weight decay arrive, and one_cycle does not replace the momentum."""
    optimizer, _ = build_optimizer(
        nn.Linear(2, 2), OptimizerConfig(momentum=0.7, weight_decay=0.01, schedule="one_cycle"), 10
    )
    assert isinstance(optimizer, SGD)
    group = optimizer.param_groups[0]
    assert (group["momentum"], group["nesterov"], group["weight_decay"]) == (0.7, True, 0.01)


def test_sgd_without_momentum_is_plain() -> None:
    """momentum 0 is a valid setting, although PyTorch refuses Nesterov with it."""
    optimizer, _ = build_optimizer(nn.Linear(2, 2), OptimizerConfig(momentum=0.0), 10)
    assert optimizer.param_groups[0]["nesterov"] is False


def test_adamw_takes_momentum_as_first_decay_rate() -> None:
    """No setting is without effect: momentum and weight decay reach AdamW, one_cycle keeps the momentum."""
    optimizer, _ = build_optimizer(
        nn.Linear(2, 2), OptimizerConfig(name="adamw", learning_rate=1e-3, momentum=0.8, weight_decay=0.02), 10
    )
    assert isinstance(optimizer, AdamW)
    assert optimizer.param_groups[0]["betas"] == (0.8, 0.999)
    assert optimizer.param_groups[0]["weight_decay"] == 0.02


def test_sgd_step_is_the_nesterov_formula() -> None:
    """Two steps on a constant gradient of 1 move a weight by lr * (1 + m) and lr * (1 + m + m^2)."""
    weight = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(weight.weight)
    config = OptimizerConfig(learning_rate=0.1, momentum=0.5, weight_decay=0.0, schedule="constant")
    optimizer, _ = build_optimizer(weight, config, 2)
    for _ in range(2):
        weight.weight.grad = torch.ones(1, 1)
        optimizer.step()
    assert float(weight.weight.detach()) == pytest.approx(-0.1 * (1.5 + 1.75))
