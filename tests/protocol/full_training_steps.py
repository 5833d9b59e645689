"""What party processes do in the tests of full training."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from smule_crypten.config.sections import ModelConfig
from smule_crypten.models.architecture import Architecture, lifted, num_elements, parameter_shapes
from smule_crypten.models.module_handlers import Parameters
from smule_crypten.models.trainable import translate_trainable
from smule_crypten.models.zoo import build_model
from smule_crypten.mpc.dealing import RING_BYTES
from smule_crypten.mpc.full_training import FullTraining, SgdSettings, share_batch
from smule_crypten.mpc.network import SharedTensor
from smule_crypten.mpc.provider import Dealt
from smule_crypten.mpc.session import Session
from smule_crypten.mpc.training_plan import NAME, cost_of_step, step_plan
from smule_crypten.testing import RecordingChannel
from smule_crypten.types import Cost

Shape = tuple[int, ...]
Batch = tuple[torch.Tensor, torch.Tensor]

NUM_CLASSES = 5
LEARNING_RATE = 0.1
OPTIMIZER = SgdSettings(momentum=0.9, weight_decay=5e-4)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """error: largest distance of a weight from plaintext SGD; moved: the largest distance that plaintext SGD went."""

    measured: Cost
    predicted: Cost
    error: float
    moved: float


class OddNetwork(nn.Module):
    """Everything that the zoo lacks: strides that leave a rest, groups, dilation, overlapping and padded pools."""

    def __init__(self, input_shape: Shape, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(input_shape[0], 4, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(4, 8, (3, 2), padding=(2, 1), dilation=(2, 1), groups=2, bias=False)
        self.conv3 = nn.Conv2d(8, 4, 1)
        self.shortcut = nn.Conv2d(4, 4, (1, 2), padding=(0, 1))
        self.max_pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.average = nn.AvgPool2d(2, stride=1, padding=1, count_include_pad=False)
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.classifier = nn.Linear(16, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv3(self.conv2(x)) + self.shortcut(x))
        x = self.average(self.max_pool(x))
        logits: torch.Tensor = self.classifier(self.pool(x).flatten(1))
        return logits


class OverTime(nn.Module):
    """Convolutions over time with stride, padding, dilation and groups, and both kinds of pooling."""

    def __init__(self, input_shape: Shape, num_classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(input_shape[0], 4, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv1d(4, 4, 2, dilation=2, groups=2),
            nn.MaxPool1d(3, stride=1, padding=1),
            nn.AvgPool1d(2),
            nn.Flatten(),
            nn.Linear(8, num_classes),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.layers(x)
        return logits


def trained_on_shares(
    session: Session, config: ModelConfig, shape: Shape, parts: tuple[int, int], steps: int
) -> Outcome:
    """The same steps on shares and in plaintext; the batches and initial weights are known to this test alone."""
    model = build_model(config, shape, NUM_CLASSES, seed=3)
    architecture = translate_trainable(model, shape).architecture
    initial = translate_trainable(model, shape).parameters
    batches = random_batches(sum(parts), shape, steps)
    before = session.meter.total()
    training = begin(session, model, shape, sum(parts), steps)
    keys = session.meter.total() - before
    for images, labels in batches:
        training.step(*shared_batch(session, images, labels, parts), learning_rate=LEARNING_RATE)
    opened = training.open()
    step = cost_of_step(architecture, sum(parts), dealt=isinstance(session.provider, Dealt) and session.rank == 0)
    expected = trained_in_plaintext(model, batches, shape)
    return Outcome(
        measured=session.meter.total() - before - keys,
        predicted=sum([step] * steps, Cost()) + cost_of_opening(architecture),
        error=largest_distance(opened, expected),
        moved=largest_distance(initial, expected),
    )


def cost_of_opening(architecture: Architecture) -> Cost:
    """What it costs each party to learn the trained weights."""
    shapes = [parameter_shapes(op) for op in architecture.ops]
    sizes = [num_elements(shape) for pair in shapes if pair is not None for shape in pair if shape is not None]
    num_bytes = RING_BYTES * sum(sizes)
    return Cost(rounds=1, bytes_sent=num_bytes, bytes_received=num_bytes)


def received_in_a_step(
    session: Session, config: ModelConfig, shape: Shape
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """What this party received before the opening, and the other party's secrets."""
    model = build_model(config, shape, NUM_CLASSES, seed=3)
    ((images, labels),) = random_batches(4, shape, 1)
    training = begin(session, model, shape, 4, 1)
    training.step(*shared_batch(session, images, labels, (2, 2)), learning_rate=LEARNING_RATE)
    assert isinstance(session.channel, RecordingChannel)
    secrets = [images[2:] if session.rank == 0 else images[:2]]
    if session.rank == 1:
        secrets += [weight for weight, _ in translate_trainable(model, shape).parameters.values()]
    return session.channel.received, secrets


def begin(session: Session, model: nn.Module, shape: Shape, batch: int, steps: int) -> FullTraining:
    """Party a's network, shared; the dealer corrects party a."""
    network = translate_trainable(model, shape)
    architecture = network.architecture
    session.provider.agree(
        {
            "architectures": [architecture.to_json()] * 2,
            "scheme": {"name": NAME, "precision_bits": 16, "micro_batch": batch},
            "randomness": session.randomness,
            "seed": session.seed,
        }
    )
    session.begin_exchange(1, (0, batch * steps))
    session.provider.begin_direction(0, (request for _ in range(steps) for request in step_plan(architecture, batch)))
    own = network.parameters if session.rank == 0 else None
    return FullTraining(session, architecture, own, 0, OPTIMIZER)


def random_batches(batch: int, shape: Shape, steps: int) -> list[Batch]:
    generator = torch.Generator().manual_seed(5)
    return [
        (torch.randn(batch, *shape, generator=generator), torch.randint(NUM_CLASSES, (batch,), generator=generator))
        for _ in range(steps)
    ]


def shared_batch(
    session: Session, images: torch.Tensor, labels: torch.Tensor, parts: tuple[int, int]
) -> tuple[SharedTensor, SharedTensor]:
    shared = []
    for tensor in (lifted(images), F.one_hot(labels, NUM_CLASSES).float()):
        own = [part if rank == session.rank else None for rank, part in enumerate(torch.split(tensor, list(parts)))]
        shared.append(share_batch((own[0], own[1]), [(count, *tensor.shape[1:]) for count in parts]))
    return shared[0], shared[1]


def trained_in_plaintext(model: nn.Module, batches: list[Batch], shape: Shape) -> Parameters:
    """PyTorch's own SGD in float64."""
    model = model.double()
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=LEARNING_RATE,
        momentum=OPTIMIZER.momentum,
        nesterov=True,
        weight_decay=OPTIMIZER.weight_decay,
    )
    for images, labels in batches:
        optimizer.zero_grad()
        F.cross_entropy(model(images.double()), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return translate_trainable(model.float(), shape).parameters


def largest_distance(first: Parameters, second: Parameters) -> float:
    return max(
        float((one - other).abs().max())
        for name in first
        for one, other in zip(first[name], second[name], strict=True)
        if one is not None and other is not None
    )
