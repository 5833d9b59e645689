"""How a party judges its networks, keeps the best one and writes it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from smule_crypten.config.run import PartyConfig
from smule_crypten.models.fusion import fused
from smule_crypten.party.inputs import PartyInputs, resolve_device
from smule_crypten.party.run_folder import party_folder
from smule_crypten.training.best import BestNetwork
from smule_crypten.training.checkpoint import Checkpoint, save_checkpoint
from smule_crypten.training.evaluate import Evaluation, evaluate


@dataclass(frozen=True)
class Keeping:
    """By the party's own test samples, and by its validation part where it keeps the best network."""

    config: PartyConfig
    inputs: PartyInputs

    def test_accuracy(self, model: nn.Module) -> float:
        device = resolve_device(self.config.device)
        return evaluate(fused(model), self.inputs.test, self.inputs.bundle.num_classes, device=device).accuracy

    def judged(self, model: nn.Module) -> tuple[Evaluation, torch.Tensor]:
        """What model does on the validation part, and the samples of each class there."""
        device, num_classes = resolve_device(self.config.device), self.inputs.bundle.num_classes
        result = evaluate(fused(model), self.inputs.validation, num_classes, device=device)
        return result, self.inputs.validation.class_counts(num_classes)

    def offer(self, model: nn.Module, model_step: int, name: str, *keepers: BestNetwork) -> None:
        """Let the keepers judge model by the validation part."""
        if self.config.training.keep == "best" and len(self.inputs.validation) > 0:
            judged = self.judged(model)
            for keeper in keepers:
                keeper.offer(model, *judged, name, model_step)

    def restored(self, keeper: BestNetwork, model: nn.Module, accuracy: float) -> float:
        """Put the best weights back; returns the test accuracy, which is `accuracy` where nothing was kept."""
        if not keeper.name:
            return accuracy
        keeper.restore(model)
        return self.test_accuracy(model)

    def save(self, name: str, model: nn.Module, model_step: int) -> None:
        """Write model into the party's folder.

        Raises:
            OutputError: the folder cannot be written.
        """
        bundle = self.inputs.bundle
        checkpoint = Checkpoint(
            model=self.config.model,
            input_shape=bundle.input_shape,
            num_classes=bundle.num_classes,
            class_names=bundle.class_names,
            mean=self.config.data.mean,
            std=self.config.data.std,
            model_step=model_step,
            state_dict=model.state_dict(),
        )
        save_checkpoint(party_folder(self.config) / name, checkpoint)
