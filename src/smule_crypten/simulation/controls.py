"""The local controls of a party in a simulation: what it could reach without the other one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from smule_crypten.config.run import PartyConfig
from smule_crypten.config.simulation import ControlName
from smule_crypten.party.events import ControlEnded, Emit, EpochEnded
from smule_crypten.party.figures import evaluation_record, gain_records
from smule_crypten.party.learner import learner_of
from smule_crypten.party.ledger import epoch_record
from smule_crypten.party.run_folder import MODEL_FILE, STANDALONE_FILE, party_folder
from smule_crypten.simulation.joint_head import own_head_answers
from smule_crypten.simulation.simulated_data import load_same_inputs
from smule_crypten.training.checkpoint import load_checkpoint
from smule_crypten.training.controls import local_control
from smule_crypten.training.ensemble import OwnAnswers
from smule_crypten.training.evaluate import Outcome
from smule_crypten.training.kept_training import Finished, KeptTraining
from smule_crypten.training.learner import Learner
from smule_crypten.training.trainer import EpochResult


def run_controls(emit: Emit, config: PartyConfig, names: Sequence[ControlName], data_digest: str | None = None) -> None:
    """Train each control after the other, when the party itself is through.

    Args:
        emit: receives every epoch, as of the party's own trainings, and every control that is finished.
        data_digest: of the data set that the parent has loaded.

    Raises:
        SmuleError: training diverged, or a network of the party cannot be read.
    """
    torch.set_num_threads(config.launch.threads)
    inputs = load_same_inputs(config, data_digest)
    config = inputs.config
    learner = learner_of(config, inputs)
    smule = learner.evaluated(_kept_network(config, learner, MODEL_FILE))
    for name in names:
        own_head = own_head_answers(config, inputs.bundle, learner) if name == "own_head" else None
        control = _trained(emit, config, learner, name, own_head)
        found = learner.evaluated(control.model)
        short = evaluation_record(found, inputs.bundle.class_names).in_short
        emit(ControlEnded(config.name, name, control.tested.score, short, gain_records(smule, found)))


def _trained(
    emit: Emit, config: PartyConfig, learner: Learner, name: ControlName, own_head: OwnAnswers | None
) -> Finished:
    """A control, whose best network is kept as that of the party's own trainings."""

    def on_epoch(result: EpochResult, tested: Outcome) -> None:
        emit(EpochEnded(epoch_record(config.name, name, result, tested)))

    is_taught = name in ("self_distillation", "own_head")
    finished = _kept_network(config, learner, STANDALONE_FILE) if is_taught else None
    control = partial(local_control, name, learner, finished=finished, own_head=own_head)
    return KeptTraining(learner, control, name, on_epoch).run()


def _kept_network(config: PartyConfig, learner: Learner, file: str) -> nn.Module:
    """A network that the party has left in its folder.

    Raises:
        DataError, ModelError: the file has been damaged since.
    """
    model = learner.network()
    model.load_state_dict(load_checkpoint(party_folder(config) / file).state_dict)
    return model
