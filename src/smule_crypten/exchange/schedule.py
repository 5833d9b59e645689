"""At which epochs the parties ask each other."""

from __future__ import annotations

from smule_crypten.config import ExchangeConfig


def is_exchange_epoch(epoch: int, config: ExchangeConfig, num_epochs: int) -> bool:
    """Whether an exchange happens at the start of this epoch, counted from 1. The same at both parties."""
    warmup = num_epochs // 2 if config.warmup_epochs is None else config.warmup_epochs
    first = warmup + 1
    return epoch >= first and (epoch - first) % config.every == 0


def exchange_follows(epoch: int, config: ExchangeConfig, num_epochs: int) -> bool:
    """Whether there is an exchange at the start of this epoch or a later one."""
    return any(is_exchange_epoch(later, config, num_epochs) for later in range(epoch, num_epochs + 1))
