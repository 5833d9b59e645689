"""The configuration of a party, for tests that hardly look at it."""

from __future__ import annotations

from typing import Any

from smule_crypten.config.exchange import ExchangeConfig
from smule_crypten.config.run import PartyConfig
from smule_crypten.config.sections import DataConfig, ModelConfig, ProviderConfig, SchemeConfig, TrainingConfig


def party(**settings: Any) -> PartyConfig:
    defaults: dict[str, Any] = {
        "role": "a",
        "scheme": SchemeConfig(name="crypten"),
        "provider": ProviderConfig(),
        "data": DataConfig(name="digits"),
        "exchange": ExchangeConfig(),
        "training": TrainingConfig(),
        "model": ModelConfig(name="mlp"),
        "terms": "none",
        "output_dir": "out",
    }
    return PartyConfig(**(defaults | settings))
