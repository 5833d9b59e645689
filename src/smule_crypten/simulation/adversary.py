"""The adversary of a simulation: what it changes at its own side, and what the parent can measure of its success."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from smule_crypten.attacks.attack import Attack
from smule_crypten.attacks.table import make_attack
from smule_crypten.config.run import PartyConfig, RunConfig
from smule_crypten.data.samples import Samples
from smule_crypten.mutual_learning.peer import AnsweringNetwork, ForwardingPeer, Peer
from smule_crypten.party.inputs import PartyInputs, party_seed
from smule_crypten.party.run_folder import MODEL_FILE, STANDALONE_FILE, party_folder
from smule_crypten.simulation.simulated_data import SimulatedData
from smule_crypten.training.checkpoint import load_model
from smule_crypten.training.evaluate import predict_logits
from smule_crypten.types import PARTY_NAMES

_CPU = torch.device("cpu")


def attack_of(config: PartyConfig, inputs: PartyInputs) -> Attack:
    """What this party does; an honest one does nothing.

    Raises:
        ConfigError: an option of the attack cannot be used.
    """
    return make_attack(config.attack, inputs.train, inputs.bundle.num_classes, party_seed(config))


def poisoned(inputs: PartyInputs, attack: Attack) -> PartyInputs:
    """`inputs` with what the adversary trains on in place of its samples."""
    return dataclasses.replace(inputs, train=attack.poisoned(inputs.train))


class LyingPeer(ForwardingPeer):
    """The peer of an adversary, which answers it with another network than its own.

    Args:
        answering: from the party's own network and the number of the exchange to what answers; as Attack.answering.
    """

    def __init__(self, peer: Peer, answering: Callable[[nn.Module, int], nn.Module]) -> None:
        super().__init__(peer)
        self._answering = answering

    def ask(self, question: Samples, answering: AnsweringNetwork, losses: Sequence[float] | None = None) -> None:
        model = self._answering(answering.model, self.next_number)
        super().ask(question, dataclasses.replace(answering, model=model), losses)


class SimulatedAttack:
    """The attack as the parent of a simulation sees it. data is what both parties hold, poisoned.

    Raises:
        ConfigError: as attack_of.
        DataError: inputs are not in memory.
    """

    def __init__(self, run: RunConfig, data: SimulatedData) -> None:
        self._adversary = PARTY_NAMES.index(run.attack.party)
        self._run = run
        if run.attack.name != "none":
            _ = data.test.inputs  # its success is measured on them: refused now rather than after the training
        self.attack = attack_of(run.party(self._adversary, "."), data.parties[self._adversary])
        parties = [
            poisoned(inputs, self.attack) if rank == self._adversary else inputs
            for rank, inputs in enumerate(data.parties)
        ]
        self.data = dataclasses.replace(data, parties=(parties[0], parties[1]))

    @property
    def train(self) -> Samples:
        """What the adversary trains on."""
        return self.data.parties[self._adversary].train

    def answering(self, models: list[nn.Module]) -> list[nn.Module]:
        """The networks that answer for party a and party b, whose own ones are models."""
        return [
            self.attack.answering(model, 1) if rank == self._adversary else model for rank, model in enumerate(models)
        ]

    def successes(self, run_dir: Path, test: Samples, pooled: nn.Module | None) -> dict[str, float | None]:
        """How often the networks of the honest party do what the attack aims at; None for mere harm."""
        honest = self._run.party(1 - self._adversary, str(run_dir))
        files = {"alone": STANDALONE_FILE, "smule": MODEL_FILE}
        if not self._run.training.standalone:
            del files["alone"]
        networks = {
            name: load_model(party_folder(honest) / file, allow_target=True).network for name, file in files.items()
        }
        if pooled is not None:
            networks["pooled"] = pooled.cpu()
        return {name: self._success(network, test) for name, network in networks.items()}

    def _success(self, network: nn.Module, test: Samples) -> float | None:
        return self.attack.success(lambda inputs_NX: predict_logits(network, inputs_NX, 512, _CPU), test)
