"""The peer's answers, kept by sample id until they are asked again."""

from __future__ import annotations

from typing import Any

import torch

from smule_crypten.errors import ProtocolError
from smule_crypten.types import SoftLabels

_NEVER = -1


class SoftLabelCache:
    """A PredictionSource over the latest answer for each sample.

    Args:
        sample_ids: (N,) int64, all ids that can ever be asked.
    """

    def __init__(self, sample_ids: torch.Tensor, num_classes: int) -> None:
        self._sample_ids = sample_ids.sort().values
        self._num_exchanges = 0
        self._logits_NC = torch.zeros(len(sample_ids), num_classes)
        self._model_step = torch.full((len(sample_ids),), _NEVER)
        self._exchange = torch.full((len(sample_ids),), _NEVER)

    def store(self, sample_ids: torch.Tensor, logits_NC: torch.Tensor, model_step: int) -> None:
        """Keep the answers of one exchange: logits_NC (M, C) for sample_ids (M,), by the peer's model_step."""
        rows = self._rows(sample_ids)
        self._num_exchanges += 1
        self._logits_NC[rows] = logits_NC
        self._model_step[rows] = model_step
        self._exchange[rows] = self._num_exchanges

    def lookup(self, sample_ids: torch.Tensor) -> SoftLabels | None:
        """The answers known for sample_ids (N,), or None where there is none."""
        rows = self._rows(sample_ids)
        known = self._exchange[rows] != _NEVER
        if not known.any():
            return None
        positions = known.nonzero().squeeze(1)
        rows = rows[positions]
        return SoftLabels(positions=positions, logits_NC=self._logits_NC[rows], model_step=self._model_step[rows])

    def forget(self, exchange: int) -> None:
        """Drop the answers of an exchange, counted from 1. What they had replaced does not come back."""
        self._exchange[self._exchange == exchange] = _NEVER

    def state_dict(self) -> dict[str, torch.Tensor | int]:
        return {
            "num_exchanges": self._num_exchanges,
            "logits_NC": self._logits_NC.clone(),
            "model_step": self._model_step.clone(),
            "exchange": self._exchange.clone(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._num_exchanges = state["num_exchanges"]
        self._logits_NC.copy_(state["logits_NC"])
        self._model_step.copy_(state["model_step"])
        self._exchange.copy_(state["exchange"])

    def _rows(self, sample_ids: torch.Tensor) -> torch.Tensor:
        rows = torch.searchsorted(self._sample_ids, sample_ids).clamp_(max=len(self._sample_ids) - 1)
        unknown = self._sample_ids[rows] != sample_ids
        if unknown.any():
            raise ProtocolError(f"sample id {int(sample_ids[unknown][0])} is not among this party's samples")
        return rows
