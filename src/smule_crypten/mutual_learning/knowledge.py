"""What a party knows of its own samples, as the rules of selection.py want it: labels, own network, answers so far."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from smule_crypten.data.images import LabelledImages
from smule_crypten.models.modules import device_of
from smule_crypten.mutual_learning.cache import SoftLabelCache
from smule_crypten.training.evaluate import predict_logits
from smule_crypten.types import SoftLabels

_BATCH = 512


class OwnKnowledge:
    """Evaluates the own network on demand, in batches, where it lies.

    Args:
        samples: from ids to the samples, normalised.
        cache: the peer's answers.
    """

    def __init__(
        self, model: nn.Module, samples: Callable[[torch.Tensor], LabelledImages], cache: SoftLabelCache
    ) -> None:
        self._model = model
        self._samples = samples
        self._cache = cache

    def labels(self, sample_ids: torch.Tensor) -> torch.Tensor:
        return self._samples(sample_ids).labels_N

    def logits(self, sample_ids: torch.Tensor) -> torch.Tensor:
        return predict_logits(self._model, self._samples(sample_ids).images_NCHW, _BATCH, device_of(self._model))

    def features(self, sample_ids: torch.Tensor) -> torch.Tensor:
        """The inputs of the last linear layer; of a network without one, its probabilities."""
        return torch.cat(
            [self._features(batch) for batch in torch.split(self._samples(sample_ids).images_NCHW, _BATCH)]
        )

    def _features(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        seen: list[torch.Tensor] = []

        def see(module: nn.Module, arguments: tuple[Any, ...]) -> None:
            seen.append(arguments[0].detach().flatten(1).cpu())

        linear = [module for module in self._model.modules() if isinstance(module, nn.Linear)]
        handles = [module.register_forward_pre_hook(see) for module in linear]
        try:
            logits_NC = predict_logits(self._model, images_NCHW, _BATCH, device_of(self._model))
        finally:
            for handle in handles:
                handle.remove()
        return seen[-1] if seen else logits_NC.softmax(1)

    def answers(self, sample_ids: torch.Tensor) -> SoftLabels | None:
        return self._cache.lookup(sample_ids)
