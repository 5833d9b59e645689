"""At which epochs the parties ask each other."""

from __future__ import annotations

from smule_crypten.config import ExchangeConfig


def is_exchange_epoch(epoch: int, config: ExchangeConfig) -> bool:
    """Whether an exchange happens at the start of this epoch, counted from 1. The same at both parties."""
    first = config.warmup_epochs + 1
    return epoch >= first and (epoch - first) % config.every == 0
