"""What a network says, without a protocol: of public samples, and where both parties are in one process."""

from __future__ import annotations

import torch
from torch import nn

from smule_crypten.models.modules import device_of
from smule_crypten.models.translate import translate

_BATCH = 512


def plain_logits(model: nn.Module, inputs_NX: torch.Tensor) -> torch.Tensor:
    """Logits (N, C) in float32 on the CPU: the translated network, by plain torch in float64 on its device."""
    network, device = translate(model, tuple(inputs_NX.shape[1:])), device_of(model)
    batches = [network.values(batch.to(device).double())[-1].float().cpu() for batch in torch.split(inputs_NX, _BATCH)]
    return torch.cat([torch.empty(0, *network.architecture.output_shape), *batches])
