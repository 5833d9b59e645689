"""One party of a simulation: as between hosts, with what only a simulation does to it."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from smule_crypten.attacks.attack import Attack
from smule_crypten.config.run import PartyConfig
from smule_crypten.data.samples import DataBundle
from smule_crypten.mutual_learning.peer import Peer
from smule_crypten.mutual_learning.schedule import exchange_epochs
from smule_crypten.party.events import Emit
from smule_crypten.party.hooks import Hooks, Swap
from smule_crypten.party.inputs import PartyInputs, load_party_inputs
from smule_crypten.party.party import run_party
from smule_crypten.report.records import PartyRecord
from smule_crypten.simulation.adversary import LyingPeer, attack_of, poisoned
from smule_crypten.simulation.evidence import WitnessedPeer
from smule_crypten.simulation.same_data import comparing_data, require_same


def run_simulated_party(
    emit: Emit, config: PartyConfig, evidence_dir: str | None = None, data_digest: str | None = None
) -> PartyRecord:
    """As run_party, in a process of its own.

    Args:
        config: of the party, whose data are loaded here.
        evidence_dir: where to leave model and answers of each exchange, for the fidelity check; None for nowhere.
        data_digest: of the data set that the parent has loaded, if there is one.

    Raises:
        SmuleError: anything a user can cause.
    """
    return run_simulated_inputs(emit, load_party_inputs(config), evidence_dir, data_digest)


def run_simulated_inputs(
    emit: Emit, inputs: PartyInputs, evidence_dir: str | None = None, data_digest: str | None = None
) -> PartyRecord:
    """As run_simulated_party, with data that are loaded."""
    return run_party(emit, inputs, _Simulated(emit, inputs.config, evidence_dir, data_digest))


class _Simulated(Hooks):
    def __init__(self, emit: Emit, config: PartyConfig, evidence_dir: str | None, data_digest: str | None) -> None:
        self._emit = emit
        self._config = config
        self._evidence_dir = evidence_dir
        self._data_digest = data_digest
        self._attack = Attack()

    def inputs(self, inputs: PartyInputs) -> PartyInputs:
        """What an adversary trains on; the data must be those of the parent."""
        if self._data_digest is not None:
            require_same(inputs.bundle, self._data_digest, self._config.data)
        self._attack = attack_of(self._config, inputs)
        return poisoned(inputs, self._attack)

    def answering(self, model: nn.Module, exchange: int) -> nn.Module:
        return self._attack.answering(model, exchange)

    def peer(self, peer: Peer) -> Peer:
        """Evidence is of the network that answers, which is not always the party's own."""
        if self._evidence_dir is not None:
            due = exchange_epochs(self._config.exchange, self._config.training.epochs)
            peer = WitnessedPeer(peer, Path(self._evidence_dir), self._config.name, due, self._emit)
        return LyingPeer(peer, self.answering)

    def swap(self, bundle: DataBundle, swap: Swap) -> Swap:
        return comparing_data(self._config, bundle, swap)
