"""What a machine lacks is said before anybody is met."""

from __future__ import annotations

import pytest

from smule_crypten.compute import library
from smule_crypten.config.compute import ComputeConfig
from smule_crypten.errors import ConfigError


def test_the_extra_is_asked_for_where_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The defaults, and compiling, work without it."""
    monkeypatch.setattr(library, "find_spec", lambda name: None)
    for compute in (ComputeConfig(), ComputeConfig(compile=True)):
        library.require_hardware(compute, "cpu")
    for setting, values in (("precision=bf16-mixed", {"precision": "bf16-mixed"}), ("devices=2", {"devices": 2})):
        with pytest.raises(ConfigError, match=rf"^compute\.{setting} needs Lightning Fabric, which is not installed"):
            library.require_hardware(ComputeConfig.model_validate(values), "cpu")


def test_missing_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process takes a GPU of its own."""
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(ConfigError, match=r"^compute\.devices=2: this machine has 1 GPUs; lower it to that"):
        library.require_hardware(ComputeConfig(devices=2), "cuda")
