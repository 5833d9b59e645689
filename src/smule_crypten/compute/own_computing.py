"""Training steps in this process alone, with reduced precision or compiled."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim import Optimizer

from smule_crypten.compute.compiled import compiled, explained
from smule_crypten.compute.library import require_fabric
from smule_crypten.config.compute import ComputeConfig
from smule_crypten.training.computing import Computing, Forward

if TYPE_CHECKING:
    from lightning_fabric.plugins.precision import MixedPrecision


def own_computing(config: ComputeConfig, device: torch.device) -> Computing:
    """For one trainer of this process, as config says of precision and compiling.

    Raises:
        ConfigError: the extra that this needs is not installed.
    """
    if config.precision == 32 and not config.compile:
        return Computing()
    return OwnComputing(config, device)


class OwnComputing(Computing):
    """Autocast and the scaling of losses are those of Lightning Fabric; weights stay float32."""

    def __init__(self, config: ComputeConfig, device: torch.device) -> None:
        self._config, self._device = config, device
        self._precision = _mixed_precision(config, device)

    def another(self) -> Computing:
        return OwnComputing(self._config, self._device)

    def forward(self, network: nn.Module) -> Forward:
        call, precision = compiled(network) if self._config.compile else network, self._precision
        if precision is None:
            return call

        def forward(inputs_NX: torch.Tensor) -> torch.Tensor:
            with precision.forward_context():
                outputs_NC = call(inputs_NX)
            return outputs_NC.float()

        return forward

    def backward(self, loss: torch.Tensor, optimizer: Optimizer) -> None:
        """Gradients are unscaled, so that they can be clipped; where they overflowed, `step` leaves the step out."""
        with explained() if self._config.compile else nullcontext():
            if self._precision is None:
                loss.backward()  # type: ignore[no-untyped-call]
            else:
                self._precision.backward(loss, None)
        self._gathered(optimizer)
        if self._precision is not None:
            self._precision.unscale_gradients(optimizer)

    def step(self, optimizer: Optimizer) -> None:
        if self._precision is None:
            optimizer.step()
        else:
            self._precision.optimizer_step(optimizer)

    def state_dict(self) -> dict[str, Any]:
        state = {} if self._precision is None else self._precision.state_dict()
        return {"scaler": state} if state else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self._precision is not None and "scaler" in state:
            self._precision.load_state_dict(state["scaler"])

    def _gathered(self, optimizer: Optimizer) -> None:
        """Between the backward pass and the clipping of its gradients."""


def _mixed_precision(config: ComputeConfig, device: torch.device) -> MixedPrecision | None:
    if config.precision == 32:
        return None
    require_fabric(f"compute.precision={config.precision}")
    from lightning_fabric.plugins.precision import MixedPrecision

    # Made here, since Fabric itself would take bfloat16 in place of float16 on a CPU.
    return MixedPrecision(config.precision, device.type)
