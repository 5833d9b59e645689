"""How the distillation weight and the temperature change over a training."""

from __future__ import annotations

from collections.abc import Callable

from smule_crypten.config.sections import TrainingConfig

_WEIGHTS: dict[str, Callable[[float], float]] = {
    "constant": lambda progress: 1.0,
    "rising": lambda progress: progress,
    "falling": lambda progress: 1.0 - progress,
}


def distillation_weight(config: TrainingConfig, epoch: int) -> float:
    """The weight in an epoch, counted from 1: as configured, rising from zero to it, or falling from it to zero."""
    return config.distillation_weight * _WEIGHTS[config.weight_schedule](_progress(config, epoch))


def temperature(config: TrainingConfig, epoch: int) -> float:
    """From training.temperature to training.final_temperature, by equal ratios."""
    if config.final_temperature is None:
        return config.temperature
    ratio = config.final_temperature / config.temperature
    return float(config.temperature * ratio ** _progress(config, epoch))


def _progress(config: TrainingConfig, epoch: int) -> float:
    """0 in the first epoch, 1 in the last one."""
    return (epoch - 1) / (config.epochs - 1) if config.epochs > 1 else 1.0
