"""FedAvg between the two parties (McMahan et al., AISTATS 2017): each trains for an epoch, then both average weights.

A baseline in plaintext: each party sees the other's weights after every epoch, and so much more of its data than soft
labels show.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from smule_crypten.config.run import RunConfig
from smule_crypten.party.inputs import build_party_model, load_party_inputs, party_seed, resolve_device
from smule_crypten.party.same_data import bundle_digest
from smule_crypten.training.evaluate import evaluate
from smule_crypten.training.trainer import Trainer

_FLOAT_BYTES = 4


def federated_averaging(run: RunConfig) -> dict[str, Any]:
    """Accuracy of the averaged network, over the epochs and at the end; both parties start from party a's weights.

    The bytes are those of the weights as float32 in both directions; nothing is sent here. Seconds are those of the
    slower party, since both would train at the same time.
    """
    torch.set_num_threads(run.launch.threads)
    device = resolve_device(run.device)
    configs = [run.party(rank, ".") for rank in (0, 1)]
    of_party_a = load_party_inputs(configs[0])
    bundle = of_party_a.bundle
    inputs = [of_party_a, load_party_inputs(configs[1], bundle_digest(bundle))]
    models = [build_party_model(configs[0], bundle) for _ in configs]
    trainers = [
        Trainer(model=model, train=own.train, config=run.training, seed=party_seed(config), device=device)
        for model, own, config in zip(models, inputs, configs, strict=True)
    ]
    share = len(inputs[0].train) / sum(len(own.train) for own in inputs)
    size = _FLOAT_BYTES * sum(value.numel() for value in models[0].state_dict().values() if value.is_floating_point())
    curve, num_bytes, seconds = [], 0, 0.0
    for epoch in range(1, run.training.epochs + 1):
        seconds += max(_timed(trainer.run_epoch) for trainer in trainers)
        average(models, share)
        num_bytes += 2 * size
        accuracy = evaluate(models[0], inputs[0].test, bundle.num_classes, device=device).accuracy
        curve.append({"epoch": epoch, "accuracy": accuracy, "bytes": num_bytes, "seconds": seconds})
    return {"accuracy": curve[-1]["accuracy"], "bytes_total": num_bytes, "seconds": seconds, "curve": curve}


def _timed(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def average(models: list[nn.Module], share: float) -> None:
    """Give both models share * first + (1 - share) * second; of what is no float, the first one's."""
    first, second = (model.state_dict() for model in models)
    mean = {
        name: share * value + (1 - share) * second[name] if value.is_floating_point() else value
        for name, value in first.items()
    }
    for model in models:
        model.load_state_dict(mean)
