"""Networks without anything to train, and batches of a single sample."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from dictionary_peer import CONFIG, CPU, DictionarySource, MakeNetwork, make_trainer, same, trained, weights
from seeded_stream import SeededStream
from torch import nn

from smule_crypten.config.sections import DpConfig, TrainingConfig
from smule_crypten.data.samples import Samples
from smule_crypten.errors import ConfigError, ModelError
from smule_crypten.training.lookahead import distillation_harms
from smule_crypten.training.private_trainer import PrivateTrainer
from smule_crypten.training.self_mutual import SelfMutualTrainer
from smule_crypten.training.steps import feasible_steps


def frozen(model: nn.Module) -> nn.Module:
    return model.requires_grad_(False)


def without_parameters() -> nn.Module:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    for name in ("weight", "bias"):
        value = model[1].get_parameter(name).detach()
        delattr(model[1], name)
        model[1].register_buffer(name, value)
    return model


@pytest.mark.parametrize("kind", ["frozen", "without parameters"])
def test_a_finished_network_stays_as_it_is(blobs: Samples, make_network: MakeNetwork, kind: str) -> None:
    """Its epochs measure it, statistics of BatchNorm included; its answers do not age; its state goes on."""
    model = frozen(make_network()) if kind == "frozen" else without_parameters()
    before = weights(model)
    trainer = make_trainer(model, blobs, source=DictionarySource({100: [1.0, 0.0, 0.0]}))
    first, second = trainer.run_epoch(), trainer.run_epoch()
    assert same(before, weights(model))
    assert trainer.model_step == 0
    assert 0 <= first.train_accuracy <= 1
    resumed = make_trainer(copy.deepcopy(model), blobs, source=DictionarySource({100: [1.0, 0.0, 0.0]}))
    resumed.load_state_dict(trainer.state_dict())
    assert resumed.run_epoch().epoch == second.epoch + 1


def test_two_finished_copies(blobs: Samples, make_network: MakeNetwork) -> None:
    """Self mutual learning of finished networks is no error either."""
    model, other = frozen(make_network()), frozen(make_network())
    trainer = SelfMutualTrainer(model=model, copy=other, train=blobs, config=CONFIG, seed=1, device=CPU)
    assert trainer.run_epoch().epoch == 1


def test_frozen_layers_stay_as_they_are(blobs: Samples) -> None:
    """A party that trains its last layer only keeps the others, also under training.dp, where noise would move them."""
    config = TrainingConfig(
        epochs=2, batch_size=10, trust="none", teacher="peer", dp=DpConfig(target_epsilon=1.0, max_gradient_norm=0.5)
    )

    def private(model: nn.Module) -> PrivateTrainer:
        return PrivateTrainer(
            model=model,
            train=blobs,
            config=config,
            device=CPU,
            noise_multiplier=1.0,
            key=bytes(32),
            stream=SeededStream,
        )

    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 3))
    frozen(model[1])
    before = weights(model)
    private(model).run_epoch()
    after = weights(model)
    assert torch.equal(after["1.weight"], before["1.weight"])
    assert not torch.equal(after["3.weight"], before["3.weight"])
    with pytest.raises(ModelError, match=r"no parameter of the network can be trained; set training\.dp=null"):
        private(frozen(model))


def test_a_last_batch_of_one_joins_another(blobs: Samples, make_network: MakeNetwork) -> None:
    """BatchNorm cannot learn from one sample: 49 samples in batches of 2 are 24 batches, one of them of 3."""
    odd = blobs.select(torch.arange(49))
    source = DictionarySource({})
    trainer = make_trainer(make_network(), odd, config=CONFIG.model_copy(update={"batch_size": 2}), source=source)
    trainer.run_epoch()
    assert trainer.model_step == 24
    assert sorted(len(ids) for ids in source.asked if len(ids) < 49) == [2] * 23 + [3]


@pytest.mark.parametrize(("size", "batch_size", "steps"), [(50, 2, 25), (49, 16, 4), (49, 48, 2), (3, 2, 1), (2, 2, 1)])
def test_steps_of_ordinary_sizes(
    blobs: Samples, make_network: MakeNetwork, size: int, batch_size: int, steps: int
) -> None:
    """Only a batch of one changes the division, and only of a network that normalizes over the batch."""
    config = CONFIG.model_copy(update={"batch_size": batch_size})
    assert feasible_steps(make_network(), blobs.select(torch.arange(size)), config) == steps


def test_a_network_without_batchnorm_keeps_batches_of_one(blobs: Samples) -> None:
    """What worked before is divided as before."""
    model, odd = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), blobs.select(torch.arange(49))
    assert feasible_steps(model, odd, CONFIG.model_copy(update={"batch_size": 2})) == 25
    assert feasible_steps(model, odd, CONFIG.model_copy(update={"batch_size": 1})) == 49


@pytest.mark.parametrize("convolution", [False, True])
def test_batches_of_one_everywhere(blobs: Samples, make_network: MakeNetwork, convolution: bool) -> None:
    """One line with the remedy. A convolution with more than one pixel can normalize a single sample."""
    config = CONFIG.model_copy(update={"batch_size": 1})
    if convolution:
        model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))
        make_trainer(model, blobs, config=config).run_epoch()
    else:
        with pytest.raises(
            ConfigError, match=r"^training.batch_size=1: .+BatchNorm.+; set training.batch_size to 2 or"
        ):
            make_trainer(make_network(), blobs, config=config)


@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated:FutureWarning")
def test_computed_weights_train(blobs: Samples) -> None:
    """weight_norm computes the weight in a hook: the convolution before a pooling learns with it, and resumes."""

    def network() -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            convolution = nn.utils.weight_norm(nn.Conv2d(1, 4, 3, padding=1))
            return nn.Sequential(convolution, nn.AvgPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))

    model = network()
    before = weights(model)
    trained(model, blobs)
    assert not torch.equal(model.state_dict()["0.weight_v"], before["0.weight_v"])


def test_a_head_that_only_training_reads(blobs: Samples) -> None:
    """An auxiliary head has no part in the answers, so looking ahead finds no gradient for it, and that is no error."""

    class WithHead(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = nn.Linear(16, 3), nn.Linear(16, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.body(x.flatten(1))
            return logits

    images, labels = blobs.inputs, blobs.targets
    answered = images[25:], torch.randn(25, 3), torch.ones(25)
    assert distillation_harms(WithHead(), (images[:25], labels[:25]), answered, 2.0) in (True, False)
    assert not distillation_harms(frozen(WithHead()), (images[:25], labels[:25]), answered, 2.0)
    make_trainer(WithHead(), dataclasses.replace(blobs)).run_epoch()
