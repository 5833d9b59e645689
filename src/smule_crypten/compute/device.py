"""The device that a party computes on."""

from __future__ import annotations

import torch

from smule_crypten.errors import ConfigError


def resolve_device(name: str) -> torch.device:
    """The device to train on.

    Raises:
        ConfigError: no such device here.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device={name} cannot be used here ({reason}); set device=cpu") from None
    return device
