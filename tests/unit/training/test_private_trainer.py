from __future__ import annotations

import copy
import hashlib
from typing import Any

import pytest
import torch
from dictionary_peer import CPU, DictionarySource, MakeNetwork, make_teacher, same, weights
from torch import nn
from torch.nn import functional as F

from smule_crypten.config.sections import DpConfig, OptimizerConfig, TrainingConfig
from smule_crypten.data.samples import Samples
from smule_crypten.errors import ConfigError, ModelError
from smule_crypten.training.private_trainer import PrivateTrainer, sample_rate
from smule_crypten.training.teacher import Teacher
from smule_crypten.training.trainer import Trainer

BOUND, RATE = 0.5, 0.1
CONFIG = TrainingConfig(
    epochs=3,
    batch_size=10,
    trust="none",
    teacher="peer",
    label_smoothing=0.1,
    optimizer=OptimizerConfig(schedule="constant", learning_rate=RATE, momentum=0.0, weight_decay=0.0),
    dp=DpConfig(target_epsilon=1.0, max_gradient_norm=BOUND),
)


class PlainStream:
    """A stream whose normal values are all one."""

    def __init__(self, key: bytes) -> None:
        self._generator = torch.Generator().manual_seed(int.from_bytes(key[:7], "big"))

    def bits(self, size: tuple[int, ...], bitlength: int) -> torch.Tensor:
        return torch.randint(2**bitlength, size, generator=self._generator)

    def normal(self, size: tuple[int, ...]) -> torch.Tensor:
        return torch.ones(size)


class DrawsNobody(PlainStream):
    def bits(self, size: tuple[int, ...], bitlength: int) -> torch.Tensor:
        return torch.full(size, 2**bitlength - 1)


def network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 3))


def trainer(model: nn.Module, train: Samples, **options: Any) -> PrivateTrainer:
    values = {"config": CONFIG, "noise_multiplier": 0.0, "key": bytes(32), "stream": PlainStream} | options
    return PrivateTrainer(model=model, train=train, device=CPU, **values)


def peer(train: Samples, logits_by_position: dict[int, list[float]]) -> Teacher:
    ids = train.sample_ids.tolist()
    source = DictionarySource({ids[position]: logits for position, logits in logits_by_position.items()})
    return make_teacher(source, train, CONFIG)


def test_is_the_plain_loop_that_it_claims_to_be(blobs: Samples) -> None:
    """Protects: each sample's gradient, soft label included, is shortened on its own before they are summed."""
    model, oracle = network(), network()
    soft = {position: [4.0, -position / 10, 1.0] for position in range(0, 50, 3)}
    teacher = peer(blobs, soft)
    private = trainer(model, blobs, config=CONFIG.model_copy(update={"epochs": 1}), teacher=teacher)
    drawn = copy.deepcopy(private)._draw_batches()
    assert len({len(batch) for batch in drawn}) > 1
    private.run_epoch()
    for batch in drawn:
        sums = [torch.zeros_like(parameter) for parameter in oracle.parameters()]
        for position in batch.tolist():
            logits = oracle(blobs.inputs[position : position + 1])
            loss = F.cross_entropy(logits, blobs.targets[position : position + 1], label_smoothing=0.1)
            if position in soft:
                target = (torch.tensor(soft[position]) / 2).softmax(0)
                loss = loss + 4 * F.kl_div((logits[0] / 2).log_softmax(0), target, reduction="sum")
            gradients = torch.autograd.grad(loss, list(oracle.parameters()))
            norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
            for total, gradient in zip(sums, gradients, strict=True):
                total += gradient * min(1.0, BOUND / float(norm))
        with torch.no_grad():
            for parameter, total in zip(oracle.parameters(), sums, strict=True):
                parameter -= RATE * total / CONFIG.batch_size
    for found, expected in zip(model.parameters(), oracle.parameters(), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("shape", [(9,), (2, 12)], ids=["vectors", "series"])
def test_vectors_and_series(shape: tuple[int, ...]) -> None:
    """Protects: gradients of single samples of any rank; each is within the bound, so that one step is, too."""
    samples = Samples(torch.randn(50, *shape), torch.arange(50) % 3, torch.arange(50))
    layers = [nn.Linear(9, 3)] if len(shape) == 1 else [nn.Conv1d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(30, 3)]
    model = nn.Sequential(*layers)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    config = CONFIG.model_copy(update={"steps_per_epoch": 1})
    private = trainer(model, samples, config=config)
    (batch,) = private._draw_batches()
    private.run_epoch()
    moved = torch.cat([(new.detach() - old).flatten() for new, old in zip(model.parameters(), before, strict=True)])
    assert 0 < float(moved.norm()) <= RATE * len(batch) * BOUND / CONFIG.batch_size + 1e-6


def test_a_step_without_a_sample_is_noise_of_the_stated_size(blobs: Samples) -> None:
    """Protects: an empty batch is a step like any other, and noise has noise_multiplier times the bound."""
    model, before = network(), network()
    private = trainer(model, blobs, noise_multiplier=3.0, stream=DrawsNobody)
    result = private.run_epoch()
    steps = private.model_step
    assert (steps, result.loss, result.soft_label_fraction) == (5, 0.0, 0.0)
    for found, old in zip(model.parameters(), before.parameters(), strict=True):
        torch.testing.assert_close(found, old - steps * RATE * 3.0 * BOUND / CONFIG.batch_size)


def test_each_sample_is_drawn_on_its_own(blobs: Samples) -> None:
    """Protects: the subsampling that the accountant counts on: every sample with the same probability in every step."""
    config = CONFIG.model_copy(update={"steps_per_epoch": 4000})
    assert sample_rate(config, 50) == 10 / 50
    drawn = trainer(network(), blobs, config=config)._draw_batches()
    counts = torch.bincount(torch.cat(drawn), minlength=50) / 4000
    assert (counts - 0.2).abs().max() < 5 * (0.2 * 0.8 / 4000) ** 0.5
    sizes = torch.tensor([len(batch) for batch in drawn]).double()
    assert abs(float(sizes.var()) / (50 * 0.2 * 0.8) - 1) < 0.15


def test_goes_on_bit_for_bit_with_its_own_key(blobs: Samples) -> None:
    """Protects: steps that are repeated after a crash add the same noise, so that nothing new is told."""
    whole, model = network(), network()
    key = hashlib.sha256(b"first").digest()
    private = trainer(whole, blobs, key=key)
    private.run_epoch()
    state = private.state_dict()
    private.run_epoch()
    resumed = trainer(model, blobs, key=bytes(32))
    resumed.load_state_dict(state)
    resumed.run_epoch()
    assert same(weights(whole), weights(model))
    other = network()
    differently = trainer(other, blobs, key=bytes(32))
    differently.load_state_dict({**state, "key": torch.zeros(32, dtype=torch.uint8)})
    differently.run_epoch()
    assert not same(weights(whole), weights(other))


def test_what_cannot_be_private_is_refused(blobs: Samples, make_network: MakeNetwork) -> None:
    """Protects: no training silently ignores training.dp, and none that mixes samples claims to keep it."""
    with pytest.raises(ModelError, match=r"training\.dp: 2 \(BatchNorm1d\) mixes the samples"):
        trainer(make_network(), blobs)
    with pytest.raises(ConfigError, match=r"training\.dp: this training is not private"):
        Trainer(model=network(), train=blobs, config=CONFIG, seed=0, device=CPU)
