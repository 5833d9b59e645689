"""Views of own samples, each kept beside the answer to it: a sample id would not tell which view was asked about."""

from __future__ import annotations

from typing import Any

import torch

from smule_crypten.types import AnsweredImages


class ViewReplay:
    """An AnsweredImagesSource over the latest answers.

    Args:
        capacity: the most views that are kept; the oldest are forgotten first.
        max_age: exchanges after which an answer is forgotten; None keeps it until there is no room.
    """

    def __init__(self, image_shape: tuple[int, ...], num_classes: int, capacity: int, max_age: int | None) -> None:
        self._capacity = capacity
        self._max_age = max_age
        self._num_exchanges = 0
        self._images_MCHW = torch.empty(0, *image_shape)
        self._logits_MC = torch.empty(0, num_classes)
        self._model_step_M = torch.empty(0, dtype=torch.int64)
        self._exchange_M = torch.empty(0, dtype=torch.int64)

    def store(self, images_MCHW: torch.Tensor, logits_MC: torch.Tensor, model_step: int) -> None:
        """Keep the answers of one exchange, by the peer's model_step; there may be none."""
        self._num_exchanges += 1
        count = len(images_MCHW)
        exchange_M = torch.cat([self._exchange_M, torch.full((count,), self._num_exchanges)])
        first = max(0, len(exchange_M) - self._capacity)
        if self._max_age is not None:
            first = max(first, int((exchange_M <= self._num_exchanges - self._max_age).sum()))
        self._exchange_M = exchange_M[first:]
        self._images_MCHW = torch.cat([self._images_MCHW, images_MCHW])[first:]
        self._logits_MC = torch.cat([self._logits_MC, logits_MC])[first:]
        self._model_step_M = torch.cat([self._model_step_M, torch.full((count,), model_step)])[first:]

    def forget(self, exchange: int) -> None:
        """Drop the answers of an exchange, counted from 1."""
        kept_M = self._exchange_M != exchange
        self._images_MCHW, self._logits_MC = self._images_MCHW[kept_M], self._logits_MC[kept_M]
        self._model_step_M, self._exchange_M = self._model_step_M[kept_M], self._exchange_M[kept_M]

    def answered(self) -> AnsweredImages | None:
        if len(self._images_MCHW) == 0:
            return None
        return AnsweredImages(images_MCHW=self._images_MCHW, logits_MC=self._logits_MC, model_step_M=self._model_step_M)

    def state_dict(self) -> dict[str, Any]:
        return {
            "num_exchanges": self._num_exchanges,
            "images_MCHW": self._images_MCHW.clone(),
            "logits_MC": self._logits_MC.clone(),
            "model_step_M": self._model_step_M.clone(),
            "exchange_M": self._exchange_M.clone(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._num_exchanges = state["num_exchanges"]
        self._images_MCHW, self._logits_MC = state["images_MCHW"], state["logits_MC"]
        self._model_step_M, self._exchange_M = state["model_step_M"], state["exchange_M"]
