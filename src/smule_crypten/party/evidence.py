"""What a party of a simulation leaves for the fidelity check: its model and the answers it got, at each exchange."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from smule_crypten.files import write_atomic
from smule_crypten.models.state import plain_state
from smule_crypten.party.launcher import Emit
from smule_crypten.types import PeerPrediction


class Evidence:
    """Writes into a temporary folder that the parent reads (simulation/fidelity.py) and deletes."""

    def __init__(self, folder: Path, party: str, emit: Emit) -> None:
        self._folder = folder
        self._party = party
        self._emit = emit

    def keep(self, epoch: int, model: nn.Module, prediction: PeerPrediction, views_NCHW: torch.Tensor) -> None:
        """views_NCHW are the images of the last answers; those of the others are found by their sample ids."""
        path = self._folder / f"{self._party}_{epoch}.pt"
        evidence = {
            "sample_ids": prediction.sample_ids,
            "views_NCHW": views_NCHW,
            "logits_NC": prediction.logits_NC,
            "state_dict": plain_state(model.state_dict()),
        }
        write_atomic(path, lambda file: torch.save(evidence, file))
        self._emit({"kind": "evidence", "epoch": epoch, "path": str(path)})
