"""How closely the secure logits match plaintext: a check that only a simulation can make.

It needs the model of one party and the inputs of the other in one place, so the parties of a simulation leave both in
a temporary folder after each exchange, and the parent compares and deletes them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from smule_crypten.processes.inputs import SimulatedData, build_party_model
from smule_crypten.run_config import RunConfig
from smule_crypten.training.evaluate import predict_logits
from smule_crypten.types import PARTY_NAMES, centred


class FidelityCheck:
    """Collects the evidence of both parties and compares each exchange once both are there."""

    def __init__(self, run: RunConfig, data: SimulatedData) -> None:
        self._run = run
        self._data = data
        self._train = data.bundle.train
        self._models = [build_party_model(run.party(rank, "."), data.bundle) for rank in (0, 1)]
        self._waiting: dict[int, dict[str, Path]] = {}
        self.results: list[dict[str, Any]] = []

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
            result = self._compare_answers(evidence[rank], 1 - rank)
            self.results.append({"epoch": epoch, "data_owner": name, **result})
        for path in paths:
            path.unlink()

    def _compare_answers(self, evidence: dict[str, Any], model_owner: int) -> dict[str, Any]:
        secure_NC, views_NCHW = evidence["logits_NC"], evidence["views_NCHW"]
        sample_ids = evidence["sample_ids"][: len(secure_NC) - len(views_NCHW)]
        order = self._train.sample_ids_N.argsort()
        rows = order[torch.searchsorted(self._train.sample_ids_N[order], sample_ids)]
        plain = self._train.select(rows).normalized(self._run.data.mean, self._run.data.std).images_NCHW
        inputs = torch.cat([plain, views_NCHW])
        if len(inputs) == 0:
            return {"num_samples": 0, "max_abs_logit_error": 0.0, "top1_agreement": 1.0}
        plain_NC = centred(predict_logits(self._models[model_owner], inputs, 512, torch.device("cpu")))
        agreement = (plain_NC.argmax(1) == secure_NC.argmax(1)).double().mean()
        return {
            "num_samples": len(inputs),
            "max_abs_logit_error": float((plain_NC - secure_NC).abs().max()),
            "top1_agreement": float(agreement),
        }
