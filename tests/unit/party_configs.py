"""The configuration of a party, for tests that hardly look at it."""

from __future__ import annotations

from typing import Any

from smule_crypten.config import DataConfig, ModelConfig, ProviderConfig, SchemeConfig, TrainingConfig
from smule_crypten.exchange_config import ExchangeConfig
from smule_crypten.run_config import PartyConfig


def party(**settings: Any) -> PartyConfig:
    defaults: dict[str, Any] = {
        "role": "a",
        "scheme": SchemeConfig(name="crypten"),
        "provider": ProviderConfig(name="dealer"),
        "data": DataConfig(name="digits"),
        "exchange": ExchangeConfig(),
        "training": TrainingConfig(),
        "model": ModelConfig(name="mlp"),
        "output_dir": "out",
    }
    return PartyConfig(**(defaults | settings))
