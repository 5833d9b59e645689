"""CIFAR-10, and networks trained on it, kept in a folder so that only the first benchmark makes them.

What a scheme gets wrong can be judged on a trained network only: one with random weights has small logits, which
hardly differ between images.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from torch import nn

from smule_crypten.config.sections import DataConfig, ModelConfig, TrainingConfig
from smule_crypten.data.datasets import load_data
from smule_crypten.data.samples import Samples
from smule_crypten.files import write_atomic
from smule_crypten.models.fusion import fused
from smule_crypten.models.zoo import build_model
from smule_crypten.training.evaluate import accuracy, predict_logits
from smule_crypten.training.trainer import Trainer
from smule_crypten.types import centred

INPUT_SHAPE, NUM_CLASSES = (3, 32, 32), 10
CONF = Path(__file__).parents[1] / "conf"
CPU = torch.device("cpu")
SEED = 0
UNTRAINED_STRIDE = 20
"""Every so many test images tell what an untrained network is worth."""


@dataclass(frozen=True)
class Images:
    """Normalized images; those of a folder in its order: class by class."""

    train: Samples
    test: Samples

    def some_train(self, count: int) -> torch.Tensor:
        """Images of all classes, always the same ones; fewer are among more."""
        return _some(self.train, count)

    def some_test(self, count: int) -> torch.Tensor:
        return _some(self.test, count)


def _some(images: Samples, count: int) -> torch.Tensor:
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(SEED))
    return images.inputs[order[:count]]


@dataclass(frozen=True)
class Subject:
    """A network to be measured, in evaluation mode, and what it is worth. largest_logit is of centred logits."""

    network: nn.Module
    epochs: int
    test_accuracy: float
    largest_logit: float


def load_cifar10(folder: Path, work: Path) -> Images:
    """Image files as folder/train/<class>/<file> and folder/test/<class>/<file>; decoded once, then kept in work."""
    kept = work / "cifar10.pt"
    settings = yaml.safe_load((CONF / "data" / "image_folder.yaml").read_text())
    config = DataConfig.model_validate(settings | {"path": str(folder)})
    if not kept.exists():
        bundle = load_data(config)
        parts = [(part.inputs, part.targets) for part in (bundle.train, bundle.test)]
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(kept, lambda file: torch.save(parts, file))
    train, test = (
        Samples(inputs_NX, labels_N, torch.arange(len(labels_N)))
        for inputs_NX, labels_N in torch.load(kept, weights_only=True)
    )
    return Images(train.normalized(config.mean, config.std), test.normalized(config.mean, config.std))


def trained(model: ModelConfig, epochs: int, images: Images, work: Path, seed: int = SEED) -> Subject:
    """The network after so many epochs of the delivered settings for photographs.

    With 0 epochs the weights are as initialised, and BatchNorm holds the statistics of training images.
    """
    name = "_".join([model.name, *map(str, model.options.values())])
    kept = work / (f"{name}_{epochs}" + (f"_seed_{seed}" if seed != SEED else "") + ".pt")
    network = build_model(model, INPUT_SHAPE, NUM_CLASSES, seed=seed)
    if kept.exists():
        network.load_state_dict(torch.load(kept, weights_only=True))
    else:
        if epochs:
            _train(network, epochs, images, seed)
        else:
            _take_statistics(network, images)
        write_atomic(kept, lambda file: torch.save(network.state_dict(), file))
    network.eval()
    test = images.test if epochs else images.test.select(torch.arange(0, len(images.test), UNTRAINED_STRIDE))
    logits_NC = predict_logits(fused(network), test.inputs, 500, CPU)
    return Subject(network, epochs, accuracy(logits_NC, test.targets), float(centred(logits_NC).abs().max()))


def _train(network: nn.Module, epochs: int, images: Images, seed: int) -> None:
    settings = yaml.safe_load((CONF / "training" / "images.yaml").read_text())
    config = TrainingConfig.model_validate(settings | {"epochs": epochs})
    trainer = Trainer(model=network, train=images.train, config=config, seed=seed, device=CPU)
    for _ in range(epochs):
        result = trainer.run_epoch()
        print(f"epoch {result.epoch}: loss {result.loss:.3f}, accuracy {result.train_accuracy:.3f}", flush=True)


def _take_statistics(network: nn.Module, images: Images) -> None:
    network.train()
    with torch.no_grad():
        for batch in torch.split(images.some_train(2000), 200):
            network(batch)
