"""How closely the secure logits match plaintext: a check that only a simulation can make.

It needs the model of one party and the inputs of the other in one place, so the parties of a simulation leave both in
a temporary folder after each exchange, and the parent compares and deletes them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from smule_crypten.config.run import RunConfig
from smule_crypten.data.samples import Samples
from smule_crypten.report.run_records import Fidelity, FidelityRecord
from smule_crypten.simulation.simulated_data import SimulatedData
from smule_crypten.tasks.by_name import task_of
from smule_crypten.training.evaluate import predict_logits
from smule_crypten.types import PARTY_NAMES, opened_logits


class FidelityCheck:
    """Collects the evidence of both parties and compares each exchange once both are there.

    Args:
        models: networks of the architectures that answer, of party a and party b; their weights do not matter.
        changed: samples, normalised, that an adversary has in place of those in data.
    """

    def __init__(self, run: RunConfig, data: SimulatedData, models: list[nn.Module], changed: Samples | None) -> None:
        self._run = run
        self._data = data
        self._train = data.bundle.train
        self._models = models
        self._changed = changed
        self._waiting: dict[int, dict[str, Path]] = {}
        self.results: list[FidelityRecord] = []

    def add(self, party: str, epoch: int, path: Path) -> None:
        """Take one party's evidence of the exchange before this epoch."""
        paths = self._waiting.setdefault(epoch, {})
        paths[party] = path
        if len(paths) == len(PARTY_NAMES):
            self._compare(epoch, [self._waiting[epoch][name] for name in PARTY_NAMES])
            del self._waiting[epoch]

    def _compare(self, epoch: int, paths: list[Path]) -> None:
        evidence = [torch.load(path, weights_only=True) for path in paths]
        for rank, model in enumerate(self._models):
            model.load_state_dict(evidence[rank]["state_dict"])
        for rank, name in enumerate(PARTY_NAMES):
            compared = self._compare_answers(evidence[rank], 1 - rank)
            self.results.append(FidelityRecord(epoch=epoch, data_owner=name, **vars(compared)))
        for path in paths:
            path.unlink()

    def _compare_answers(self, evidence: dict[str, Any], model_owner: int) -> Fidelity:
        secure_NC, inputs = evidence["logits_NC"], self._images(evidence["sample_ids"])
        if len(inputs) == 0:
            return Fidelity(num_samples=0, max_abs_logit_error=0.0, top1_agreement=1.0)
        logits_NC = predict_logits(self._models[model_owner], inputs, 512, torch.device("cpu"))
        plain_NC = opened_logits(logits_NC, self._run.opening)
        return Fidelity(
            num_samples=len(inputs),
            max_abs_logit_error=float((plain_NC - secure_NC).abs().max()),
            top1_agreement=task_of(self._run.task).agreement(plain_NC, secure_NC),
        )

    def _images(self, sample_ids: torch.Tensor) -> torch.Tensor:
        images = self._train.of_ids(sample_ids).in_memory()
        inputs_NX = images.normalized(self._run.data.mean, self._run.data.std).inputs
        if self._changed is not None:
            changed_N = torch.isin(sample_ids, self._changed.sample_ids)
            inputs_NX[changed_N] = self._changed.of_ids(sample_ids[changed_N]).inputs
        return inputs_NX
