"""What other settings than the defaults need: the library of the extra `compute`, and devices."""

from __future__ import annotations

from importlib.util import find_spec

import torch

from smule_crypten.config.compute import ComputeConfig
from smule_crypten.errors import ConfigError


def require_hardware(compute: ComputeConfig, device: str) -> None:
    """Raise ConfigError where this machine lacks what compute asks for."""
    if compute.precision != 32:
        require_fabric(f"compute.precision={compute.precision}")
    if compute.processes > 1:
        require_fabric(f"compute.devices={compute.devices}")
        if device == "cuda" and (count := torch.cuda.device_count()) < compute.devices:
            raise ConfigError(f"compute.devices={compute.devices}: this machine has {count} GPUs; lower it to that")


def require_fabric(setting: str) -> None:
    """Raise ConfigError where Lightning Fabric is not installed, which this setting needs."""
    if find_spec("lightning_fabric") is None:
        raise ConfigError(
            f"{setting} needs Lightning Fabric, which is not installed: pip install -c constraints.txt -e '.[compute]'"
        )
