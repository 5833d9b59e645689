"""The local controls of a party in a simulation: what it could reach without the other one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from smule_crypten.config.run import PartyConfig
from smule_crypten.config.sections import ControlName
from smule_crypten.party.events import ControlEnded, Emit, EpochEnded
from smule_crypten.party.learner import learner_of
from smule_crypten.party.ledger import epoch_record
from smule_crypten.party.run_folder import STANDALONE_FILE, party_folder
from smule_crypten.simulation.simulated_data import load_same_inputs
from smule_crypten.training.checkpoint import load_checkpoint
from smule_crypten.training.controls import local_control
from smule_crypten.training.evaluate import Outcome
from smule_crypten.training.kept_training import KeptTraining
from smule_crypten.training.learner import Learner
from smule_crypten.training.trainer import EpochResult


def run_controls(emit: Emit, config: PartyConfig, names: Sequence[ControlName], data_digest: str | None = None) -> None:
    """Train each control after the other, when the party itself is through.

    Args:
        emit: receives every epoch, as of the party's own trainings, and every control that is finished.
        data_digest: of the data set that the parent has loaded.

    Raises:
        SmuleError: training diverged, or the network that the party trained alone cannot be read.
    """
    torch.set_num_threads(config.launch.threads)
    learner = learner_of(config, load_same_inputs(config, data_digest))
    for name in names:
        emit(ControlEnded(config.name, name, _trained(emit, config, learner, name)))


def _trained(emit: Emit, config: PartyConfig, learner: Learner, name: ControlName) -> float | None:
    """The score of a control, whose best network is kept as that of the party's own trainings."""

    def on_epoch(result: EpochResult, tested: Outcome) -> None:
        emit(EpochEnded(epoch_record(config.name, name, result, tested)))

    finished = _standalone_network(config, learner) if name == "self_distillation" else None
    control = partial(local_control, name, learner, finished=finished)
    return KeptTraining(learner, control, name, on_epoch).run().tested.score


def _standalone_network(config: PartyConfig, learner: Learner) -> nn.Module:
    """The network that the party trained alone.

    Raises:
        DataError, ModelError: the file has been damaged since.
    """
    model = learner.network()
    model.load_state_dict(load_checkpoint(party_folder(config) / STANDALONE_FILE).state_dict)
    return model
