"""Whose weights are sought, and what is asked: small trained networks, and queries about one sample or many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from smule_crypten.config.sections import DataConfig, ModelConfig
from smule_crypten.data.datasets import load_data
from smule_crypten.models.zoo import build_model

BATCH = 250
"""Queries that are answered together."""
VARIED, STEPS, STEP = 12, 4, 2.0**-10
"""Distinct queries change so many values of a sample, each by up to so many steps: small enough for the network to be
linear, and whole units of every encoding."""
CALIBRATION = 256


@dataclass(frozen=True)
class _Network:
    """large: what makes the network's inputs (N, C, H, W) of digits (N, 1, 8, 8)."""

    model: ModelConfig
    large: Callable[[torch.Tensor], torch.Tensor]
    epochs: int


def _as_photographs(digits_NX: torch.Tensor) -> torch.Tensor:
    scaled = F.interpolate(digits_NX, size=(32, 32), mode="bilinear", align_corners=False)
    return torch.cat([scaled, 0.8 * scaled, 0.6 * scaled], dim=1)


NETWORKS = {
    "mlp": _Network(ModelConfig(name="mlp", options={"hidden": [32]}), lambda digits: digits, 30),
    "small_convnet": _Network(ModelConfig(name="small_convnet"), _as_photographs, 2),
}


@dataclass(frozen=True)
class Queries:
    """batches: the inputs of all queries. changes_QK: how the samples differ, where the network is linear in it."""

    batches: list[torch.Tensor]
    changes_QK: torch.Tensor | None = None


@dataclass(frozen=True)
class Subject:
    """A trained network, images that its owner calibrates with, and digits (N, 1, 8, 8) of the other party."""

    model: nn.Module
    accuracy: float
    calibration_NX: torch.Tensor
    digits_NX: torch.Tensor
    large: Callable[[torch.Tensor], torch.Tensor]
    seed: int

    @property
    def last_layer(self) -> nn.Linear:
        last = [layer for layer in self.model.modules() if isinstance(layer, nn.Linear)][-1]
        return last

    def queries(self, kind: str, count: int) -> Queries:
        generator = torch.Generator().manual_seed(1000 + self.seed)
        sizes = [len(part) for part in torch.split(torch.arange(count), BATCH)]
        if kind == "images":
            return self._images(sizes, generator)
        base = self._base(generator)
        if kind == "repeated":
            return Queries([base.expand(size, *base.shape[1:]) for size in sizes])
        places = torch.randperm(base.numel(), generator=generator)[:VARIED]
        changes_QK = torch.randint(-STEPS, STEPS + 1, (count, VARIED), generator=generator)
        batches = []
        for changes in torch.split(changes_QK, BATCH):
            flat = base.flatten().repeat(len(changes), 1)
            flat[:, places] += changes * STEP
            batches.append(flat.view(-1, *base.shape[1:]))
        return Queries(batches, changes_QK.float())

    def active_units(self, batches: list[torch.Tensor]) -> torch.Tensor:
        """Units of the last hidden layer that are positive in more than half of (up to BATCH of) the queries."""
        seen: list[torch.Tensor] = []
        handle = self.last_layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        with torch.no_grad():
            self.model(batches[0])
        handle.remove()
        return (seen[0] > 0).float().mean(0) > 0.5

    def _base(self, generator: torch.Generator) -> torch.Tensor:
        chosen = torch.randint(len(self.digits_NX), (1,), generator=generator)
        return (self.large(self.digits_NX[chosen]) / STEP).round() * STEP

    def _images(self, sizes: list[int], generator: torch.Generator) -> Queries:
        """Truly different images: mixed pairs of digits with a little noise."""
        batches, changes = [], []
        for size in sizes:
            first, second = (self.digits_NX[_some(self.digits_NX, size, generator)] for _ in range(2))
            share = torch.rand(size, 1, 1, 1, generator=generator)
            digits = share * first + (1 - share) * second + 0.1 * torch.randn(first.shape, generator=generator)
            changes.append(digits.flatten(1))
            batches.append(self.large(digits))
        return Queries(batches, torch.cat(changes))


def load_subject(name: str, seed: int) -> Subject:
    """Network number `seed`, trained on three quarters of scikit-learn's digits for a few seconds."""
    config = DataConfig(name="digits", mean=(0.305,), std=(0.376,))
    bundle = load_data(config)
    train, test = (part.normalized(config.mean, config.std) for part in (bundle.train, bundle.test))
    network = NETWORKS[name]
    inputs_NX = network.large(train.inputs)
    channels, height, width = inputs_NX.shape[1:]
    model = build_model(network.model, (channels, height, width), 10, seed)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(network.epochs):
        for chosen in torch.split(torch.randperm(len(inputs_NX), generator=generator), 64):
            loss = F.cross_entropy(model(inputs_NX[chosen]), train.targets[chosen])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    model.eval()
    with torch.no_grad():
        right = model(network.large(test.inputs)).argmax(1) == test.targets
    return Subject(
        model=model,
        accuracy=float(right.double().mean()),
        calibration_NX=inputs_NX[:CALIBRATION],
        digits_NX=test.inputs,
        large=network.large,
        seed=seed,
    )


def _some(images: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    return torch.randint(len(images), (count,), generator=generator)
