"""Two processes of a party train as one does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from seeded_stream import SeededStream
from torch import nn
from two_processes import Peer, convnet, learner, two_processes, without_batch_norm

from smule_crypten.compute.helpers import Helpers
from smule_crypten.data.arrays import as_inputs
from smule_crypten.data.lazy_samples import LazySamples
from smule_crypten.errors import ConfigError
from smule_crypten.sources.lazy_inputs import LazyInputs
from smule_crypten.sources.mapped_array import MappedArray, map_array, stamp_of
from smule_crypten.training.learner import Learner
from smule_crypten.training.private_trainer import PrivateTrainer
from smule_crypten.training.trainer import EpochResult, Trainer


@pytest.fixture(scope="module")
def helpers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Helpers]:
    """One other process, for all trainings here."""
    with two_processes(tmp_path_factory.mktemp("group")) as other:
        yield other


def _trained(party: Learner) -> tuple[nn.Module, list[EpochResult]]:
    """Alone first, and then with a peer and the finished network as teachers, as a party does."""
    finished, network, epochs = party.network(), party.network(), range(party.training.epochs)
    alone = party.trainer(finished)
    results = [alone.run_epoch() for _ in epochs]
    taught = party.taught_trainer(network, Peer(), finished, lambda: None)
    return network, results + [taught.run_epoch() for _ in epochs]


def _largest_difference(first: nn.Module, second: nn.Module) -> float:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return max(float((one.double() - other.double()).abs().max()) for one, other in pairs)


@pytest.mark.parametrize(
    ("build", "training"),
    [
        (convnet, {"augmentation": {"crop": 1, "flip": True}}),
        (convnet, {"self_mutual": True, "teacher": "peer"}),
        (without_batch_norm, {"steps_per_epoch": 5, "class_weights": "balanced", "optimizer": {"name": "adamw"}}),
    ],
    ids=["augmented", "self mutual", "steps"],
)
def test_two_processes_train_as_one(helpers: Helpers, build: Callable[[int], nn.Module], training: Any) -> None:
    """Same samples in the same order, with the same crops, soft labels and statistics of batches: weights and what an
    epoch reports are those of one process, but for the order of additions."""
    party = learner(build, **training)
    one, results = _trained(party)
    two, spread = _trained(helpers.spread(party))
    assert _largest_difference(one, party.network()) > 0.05
    assert _largest_difference(one, two) < 1e-4
    for name in ("loss", "distillation_loss", "train_accuracy", "soft_label_fraction", "peer_weight"):
        expected = [getattr(result, name) for result in results]
        assert [getattr(result, name) for result in spread] == pytest.approx(expected, abs=1e-4), name
    assert any(result.soft_label_fraction for result in results)


def test_mapped_inputs_are_read_by_each_process(helpers: Helpers, tmp_path: Path) -> None:
    """Of a file that does not fit into memory the other process hears the path, and trains on the same values."""
    party = learner(without_batch_norm, num_train=40)
    held = party.holding
    path = tmp_path / "x_train.npy"
    np.save(path, held.train.inputs.numpy())
    source = MappedArray(map_array(path), partial(as_inputs, what="train", layout="NCHW"), stamp_of(path), path)
    mapped = LazySamples(LazyInputs(source, torch.arange(40)), held.train.targets, held.train.sample_ids)
    lazy = replace(party, holding=replace(held, train=mapped))
    one, two = (_trained(some)[0] for some in (party, helpers.spread(lazy)))
    assert _largest_difference(one, party.network()) > 0.05
    assert _largest_difference(one, two) < 1e-4


def test_a_training_goes_on_with_another_number_of_processes(helpers: Helpers) -> None:
    """Process 0 holds all that is kept: an epoch by two processes, one by one, and one by two again."""
    party = learner(convnet, augmentation={"crop": 1, "flip": True})
    expected, _ = _trained_with_peer([party])
    network, trainers = _trained_with_peer([helpers.spread(party), party, helpers.spread(party)])
    assert trainers[-1].model_step == 9
    assert _largest_difference(expected, network) < 1e-4


def _trained_with_peer(parties: list[Learner]) -> tuple[nn.Module, list[Trainer]]:
    """Three epochs, divided evenly among them, each going on from the state of the one before."""
    trainers: list[Trainer] = []
    for party in parties:
        network = party.network()
        trainer = party.taught_trainer(network, Peer(), None, lambda: None)
        if trainers:
            trainer.load_state_dict(trainers[-1].state_dict())
        for _ in range(3 // len(parties)):
            trainer.run_epoch()
        trainers.append(trainer)
    return network, trainers


def _private(party: Learner, key: bytes, **options: Any) -> PrivateTrainer:
    train, config = party.holding.train, party.training
    return PrivateTrainer(train=train, config=config, noise_multiplier=1.0, key=key, stream=SeededStream, **options)


def test_private_noise_is_added_once(helpers: Helpers) -> None:
    """Gradients are clipped at each process, summed, and then disturbed as in one process: noise in both would be twice
    as much. Batches of this seed are down to one sample, of which the other process has none."""
    training = {"dp": {"target_epsilon": 1.0}, "trust": "none", "teacher": "peer", "batch_size": 2, "epochs": 1}
    party = learner(without_batch_norm, **training)
    party = Learner(**{**vars(party), "private": partial(_private, party, bytes(32))})
    trained = []
    for some in (party, helpers.spread(party)):
        network = some.network()
        trainer = some.trainer(network)
        sizes = [len(positions_B) for positions_B in trainer._draw_batches()]
        trainer.run_epoch()
        trained.append(network)
    assert 1 in sizes
    assert max(sizes) > 2
    assert _largest_difference(trained[0], party.network()) > 0.05
    assert _largest_difference(*trained) < 1e-4


def test_a_batch_with_nothing_for_a_process_is_refused(helpers: Helpers) -> None:
    """Before anything is trained."""
    party = helpers.spread(learner(without_batch_norm, batch_size=1))
    with pytest.raises(ConfigError, match=r"a batch of 1 samples has none for some of the 2 processes"):
        party.trainer(party.network())
