"""The local controls of a party in a simulation: what it could reach without the other one."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from smule_crypten.config.run import PartyConfig
from smule_crypten.config.sections import ControlName
from smule_crypten.data.images import LabelledImages
from smule_crypten.models.fusion import fused
from smule_crypten.party.answering import standalone_network
from smule_crypten.party.inputs import (
    PartyInputs,
    build_party_model,
    load_party_inputs,
    party_seed,
    resolve_device,
)
from smule_crypten.party.launcher import Emit
from smule_crypten.party.ledger import epoch_event
from smule_crypten.training.best import BestNetwork
from smule_crypten.training.controls import LocalTraining
from smule_crypten.training.evaluate import Evaluation, evaluate
from smule_crypten.training.trainer import Trainer


def run_controls(emit: Emit, config: PartyConfig, names: Sequence[ControlName], data_digest: str | None = None) -> None:
    """Train each control after the other, when the party itself is through.

    Args:
        emit: receives an event for every epoch, as of the party's own trainings, and one of kind "control" with party,
            name and test_accuracy for every control that is finished.
        data_digest: of the data set that the parent has loaded.

    Raises:
        SmuleError: training diverged, or the network that the party trained alone cannot be read.
    """
    torch.set_num_threads(config.launch.threads)
    inputs = load_party_inputs(config, data_digest)
    for name in names:
        accuracy = _Control(emit, config, inputs, name).run()
        emit({"kind": "control", "party": config.name, "name": name, "test_accuracy": accuracy})


class _Control:
    def __init__(self, emit: Emit, config: PartyConfig, inputs: PartyInputs, name: ControlName) -> None:
        self._emit = emit
        self._config = config
        self._inputs = inputs
        self._name: ControlName = name
        self._device = resolve_device(config.device)
        self._model = build_party_model(config, inputs.bundle)

    def run(self) -> float:
        """Train; returns the test accuracy, measured as that of the party's own networks."""
        trainer, best, accuracy = self._trainer(), BestNetwork(), 0.0
        for _ in range(self._config.training.epochs):
            result = trainer.run_epoch()
            accuracy = self._evaluate(self._inputs.test).accuracy
            self._offer(best, trainer.model_step)
            self._emit({"kind": "epoch", **epoch_event(self._config.name, self._name, result, accuracy)})
        if best.name:
            best.restore(self._model)
            accuracy = self._evaluate(self._inputs.test).accuracy
        return accuracy

    def _trainer(self) -> Trainer:
        training = LocalTraining(
            train=self._inputs.train,
            pool=self._inputs.pool,
            config=self._config.training,
            seed=party_seed(self._config),
            device=self._device,
        )
        match self._name:
            case "label_smoothing":
                return training.label_smoothing(self._model)
            case "self_mutual":
                return training.self_mutual(self._model, build_party_model(self._config, self._inputs.bundle, copy=1))
            case "self_distillation":
                finished = standalone_network(self._config, self._inputs.bundle).model
                return training.self_distillation(self._model, finished)

    def _evaluate(self, images: LabelledImages) -> Evaluation:
        return evaluate(fused(self._model), images, self._inputs.bundle.num_classes, device=self._device)

    def _offer(self, best: BestNetwork, model_step: int) -> None:
        """As the party does with its own networks."""
        validation = self._inputs.validation
        if self._config.training.keep == "best" and len(validation) > 0:
            class_counts = validation.class_counts(self._inputs.bundle.num_classes)
            best.offer(self._model, self._evaluate(validation), class_counts, self._name, model_step)
