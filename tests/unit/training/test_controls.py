from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from smule_crypten.config.sections import AugmentationConfig, OptimizerConfig, TrainingConfig
from smule_crypten.data.samples import UNKNOWN, Samples
from smule_crypten.training.controls import LABEL_SMOOTHING, local_control
from smule_crypten.training.learner import Holding, Learner
from smule_crypten.training.self_mutual import SelfMutualTrainer
from smule_crypten.training.trainer import Trainer

MakeNetwork = Callable[[], nn.Module]
CPU = torch.device("cpu")
CONFIG = TrainingConfig(epochs=3, batch_size=16, augmentation=AugmentationConfig(crop=1, flip=True))
ONE_STEP = TrainingConfig(
    epochs=1,
    batch_size=50,
    temperature=3.0,
    distillation_weight=0.5,
    optimizer=OptimizerConfig(learning_rate=0.1, momentum=0.0, weight_decay=0.0, schedule="constant"),
)


def local(
    train: Samples,
    config: TrainingConfig,
    pool: Samples | None = None,
    copy: nn.Module | None = None,
) -> Learner:
    """copy: the second network of self mutual learning."""
    nothing = train.select(torch.arange(0))
    return Learner(
        name="a",
        holding=Holding(train=train, validation=nothing, pool=nothing if pool is None else pool, test=train),
        training=config,
        num_classes=3,
        build=lambda number: linear(1) if copy is None else copy,
        seed=7,
        device=CPU,
    )


def alone(model: nn.Module, train: Samples, config: TrainingConfig) -> Trainer:
    return Trainer(model=model, train=train, config=config, seed=7, device=CPU)


def linear(seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 3))


def same(one: nn.Module, other: nn.Module) -> bool:
    states = one.state_dict(), other.state_dict()
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def step_of(model: nn.Module, loss: torch.Tensor) -> list[torch.Tensor]:
    """The parameters after one step down loss, without changing model."""
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(loss, parameters, retain_graph=True)
    return [(p - 0.1 * g).detach() for p, g in zip(parameters, gradients, strict=True)]


def assert_parameters(model: nn.Module, expected: list[torch.Tensor]) -> None:
    for ours, theirs in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(ours.detach(), theirs, rtol=1e-5, atol=1e-6)


def test_label_smoothing_reaches_the_loss(blobs: Samples) -> None:
    """One step is that down the smoothed cross entropy, whatever smoothing the run itself has."""
    model = linear(0)
    loss = F.cross_entropy(model(blobs.inputs), blobs.targets, label_smoothing=LABEL_SMOOTHING)
    expected = step_of(model, loss)
    local_control("label_smoothing", local(blobs, ONE_STEP), model, None).run_epoch()
    assert_parameters(model, expected)


def test_copies_that_do_not_listen_train_as_alone(blobs: Samples, make_network: MakeNetwork) -> None:
    """With weight 0 the first copy ends bit for bit as the network alone: the second one disturbs nothing."""
    network, twin = make_network(), make_network()
    copy = make_network()
    nn.init.normal_(copy[1].weight)  # type: ignore[index, arg-type]
    mutual = SelfMutualTrainer(model=network, copy=copy, train=blobs, config=CONFIG, seed=7, device=CPU, weight=0.0)
    single = alone(twin, blobs, CONFIG)
    for _ in range(3):
        results = mutual.run_epoch(), single.run_epoch()
        assert results[0].loss == results[1].loss
    assert same(network, twin)


def test_both_copies_learn_from_what_the_other_said(blobs: Samples) -> None:
    """One step of each is that of deep mutual learning written out by hand, with the run's temperature and weight 1."""
    model, copy = linear(0), linear(1)
    logits = [network(blobs.inputs) for network in (model, copy)]
    expected = []
    for network, own, other in ((model, *logits), (copy, *reversed(logits))):
        target = F.softmax(other.detach() / 3.0, dim=1)
        divergence = (target * (target.log() - F.log_softmax(own / 3.0, dim=1))).sum(dim=1).mean()
        expected.append(step_of(network, F.cross_entropy(own, blobs.targets) + 9.0 * divergence))
    result = local_control("self_mutual", local(blobs, ONE_STEP, copy=copy), model, None).run_epoch()
    assert_parameters(model, expected[0])
    assert_parameters(copy, expected[1])
    assert (result.soft_label_fraction, result.peer_accuracy, result.peer_weight) == (0.0, None, None)


def test_self_mutual_learning_resumes_with_its_copy(blobs: Samples, make_network: MakeNetwork) -> None:
    """A saved state holds both copies."""

    def trainer(model: nn.Module) -> Trainer:
        return local_control("self_mutual", local(blobs, CONFIG), model, None)

    first, resumed = make_network(), make_network()
    undisturbed = trainer(first)
    undisturbed.run_epoch()
    state = undisturbed.state_dict()
    undisturbed.run_epoch()
    other = trainer(resumed)
    other.load_state_dict(state)
    other.run_epoch()
    assert same(first, resumed)


def test_self_distillation_on_labelled_samples(blobs: Samples) -> None:
    """One step is that with the finished network's soft labels on all labelled samples, at full weight of the run."""
    model, finished = linear(0), linear(1)
    logits_NC = model(blobs.inputs)
    target = F.softmax(finished(blobs.inputs).detach() / 3.0, dim=1)
    divergence = (target * (target.log() - F.log_softmax(logits_NC / 3.0, dim=1))).sum(dim=1).mean()
    expected = step_of(model, F.cross_entropy(logits_NC, blobs.targets) + 0.5 * 9.0 * divergence)
    # The settings of the run for its peer do not weaken the control.
    config = ONE_STEP.model_copy(update={"teacher": "peer", "trust": "adaptive"})
    local_control("self_distillation", local(blobs, config), model, finished).run_epoch()
    assert_parameters(model, expected)


@pytest.mark.parametrize("has_pool", [True, False])
def test_self_distillation_on_the_pool(blobs: Samples, make_network: MakeNetwork, has_pool: bool) -> None:
    """What the finished network knows of a class without labels is learned from the pool, and only from there."""
    finished = make_network()
    trainer = alone(finished, blobs, TrainingConfig(epochs=15, batch_size=16))
    for _ in range(15):
        trainer.run_epoch()
    labelled = blobs.select((blobs.targets < 2).nonzero().squeeze(1))
    pool = Samples(blobs.inputs, torch.full((50,), UNKNOWN), blobs.sample_ids + 1000)
    config = TrainingConfig(epochs=20, batch_size=16, distillation_weight=1.0)
    network = make_network()
    learner = local(labelled, config, pool if has_pool else None)
    control = local_control("self_distillation", learner, network, finished)
    for _ in range(20):
        control.run_epoch()
    third = blobs.select((blobs.targets == 2).nonzero().squeeze(1))
    found = float((network.eval()(third.inputs).argmax(1) == 2).float().mean())
    assert found > 0.8 if has_pool else found == 0.0


def test_each_does_as_many_steps_as_alone(blobs: Samples, make_network: MakeNetwork) -> None:
    """The comparison is fair."""
    training = local(blobs, CONFIG)
    trainers = [
        local_control("label_smoothing", training, make_network(), None),
        local_control("self_mutual", training, make_network(), None),
        local_control("self_distillation", training, make_network(), make_network()),
        alone(make_network(), blobs, CONFIG),
    ]
    for trainer in trainers:
        trainer.run_epoch()
    assert [trainer.model_step for trainer in trainers] == [4, 4, 4, 4]
