"""What a party of a simulation leaves for the fidelity check: its model and the answers it got, at each exchange."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from smule_crypten.data.samples import Samples
from smule_crypten.files import write_atomic
from smule_crypten.models.state import plain_state
from smule_crypten.mutual_learning.peer import AnsweringNetwork, Answers, ForwardingPeer, Peer
from smule_crypten.party.events import Emit, EvidenceLeft
from smule_crypten.types import PeerPrediction


class WitnessedPeer(ForwardingPeer):
    """Writes into a temporary folder that the parent reads (simulation/fidelity.py) and deletes.

    Args:
        party: this party, not the peer.
        due: the epochs that begin with an exchange.
    """

    def __init__(self, peer: Peer, folder: Path, party: str, due: Sequence[int], emit: Emit) -> None:
        super().__init__(peer)
        self._folder = folder
        self._party = party
        self._due = due
        self._emit = emit

    def ask(self, question: Samples, answering: AnsweringNetwork, losses: Sequence[float] | None = None) -> None:
        self._model = answering.model
        super().ask(question, answering, losses)

    def answers(self) -> Answers:
        answers = super().answers()
        self._keep(self._due[answers.prediction.query_id - 1], self._model, answers.prediction)
        return answers

    def _keep(self, epoch: int, model: nn.Module, prediction: PeerPrediction) -> None:
        path = self._folder / f"{self._party}_{epoch}.pt"
        evidence = {
            "sample_ids": prediction.sample_ids,
            "logits_NC": prediction.logits_NC,
            "state_dict": plain_state(model.state_dict()),
        }
        write_atomic(path, lambda file: torch.save(evidence, file))
        self._emit(EvidenceLeft(self._party, epoch, path))
