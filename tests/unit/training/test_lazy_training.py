"""Training on samples that are read as they are needed: the same weights, to the bit, as on samples in memory."""

from __future__ import annotations

import copy
import multiprocessing as mp
from pathlib import Path

import pytest
import torch
from dictionary_peer import CONFIG, CPU, DictionarySource, make_trainer, same, weights
from image_folders import load, write_folder
from test_private_trainer import PlainStream
from torch import nn

from smule_crypten.config.sections import DpConfig, TrainingConfig
from smule_crypten.data.samples import Samples
from smule_crypten.training.evaluate import evaluate
from smule_crypten.training.private_trainer import PrivateTrainer
from smule_crypten.training.self_mutual import SelfMutualTrainer
from smule_crypten.training.trainer import Trainer

EPOCHS = CONFIG.epochs


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("photographs"), 60, 12)


def samples(root: Path, *, in_memory: bool, workers: int = 0) -> Samples:
    return load(root, in_memory=in_memory, workers=workers).train.normalized([0.5], [0.25])


def network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(320, 3))


def with_pool(every: Samples, model: nn.Module) -> Trainer:
    """Labelled samples, a pool, and a peer that speaks of half of both."""
    train, pool = every.select(torch.arange(40)), every.select(torch.arange(40, 60)).without_labels()
    source = DictionarySource({number: [1.0, number / 60, 0.0] for number in range(0, 60, 2)})
    return make_trainer(model, train, CONFIG.model_copy(update={"pool_batch": 8}), source=source, pool=pool)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_training_with_peer_and_pool_is_the_same(photographs: Path, workers: int) -> None:
    """Order, crops, flips, dropout and soft labels do not depend on where inputs lie, nor on who reads them."""
    made, children = [], mp.active_children()
    for in_memory in (True, False):
        model = network()
        trainer = with_pool(samples(photographs, in_memory=in_memory, workers=0 if in_memory else workers), model)
        results = [trainer.run_epoch() for _ in range(2)]
        assert mp.active_children() == children  # who has read ahead has ended
        made.append((weights(model), [result.loss for result in results]))
    assert same(made[0][0], made[1][0])
    assert made[0][1] == made[1][1]


def test_a_training_goes_on_where_it_was_cut_off(photographs: Path) -> None:
    """Which files come next follows from the state that was saved, as in memory."""
    every = samples(photographs, in_memory=False)
    whole, first, second = network(), network(), network()
    undisturbed = with_pool(every, whole)
    for _ in range(EPOCHS):
        undisturbed.run_epoch()
    before = with_pool(every, first)
    before.run_epoch()
    state = copy.deepcopy(before.state_dict())
    before.run_epoch()  # lost
    after = with_pool(samples(photographs, in_memory=False), second)
    after.load_state_dict(state)
    for _ in range(EPOCHS - 1):
        after.run_epoch()
    assert same(weights(whole), weights(second))


def test_two_networks_that_teach_each_other_read_once(photographs: Path) -> None:
    """Both learn from the same batches."""
    made = []
    for in_memory in (True, False):
        model = network()
        train = samples(photographs, in_memory=in_memory)
        trainer = SelfMutualTrainer(model=model, copy=network(), train=train, config=CONFIG, seed=7, device=CPU)
        trainer.run_epoch()
        made.append(weights(model))
    assert same(made[0], made[1])


def test_a_private_training_skips_empty_batches(photographs: Path) -> None:
    """It draws each sample on its own, so that some batches are empty and nobody reads them."""
    dp = DpConfig(target_epsilon=8.0)
    config = TrainingConfig(epochs=1, batch_size=1, steps_per_epoch=30, dp=dp)
    made = []
    for in_memory in (True, False):
        model, train = network(), samples(photographs, in_memory=in_memory)
        trainer = PrivateTrainer(
            model=model,
            train=train,
            config=config,
            device=CPU,
            noise_multiplier=0.5,
            key=bytes(32),
            stream=PlainStream,
        )
        assert {0, 1} <= {len(batch) for batch in copy.deepcopy(trainer)._draw_batches()}
        trainer.run_epoch()
        made.append(weights(model))
    assert same(made[0], made[1])


def test_a_network_is_judged_alike(photographs: Path) -> None:
    """Evaluation goes through all samples, some at a time."""
    model = network()
    held, lazily = (evaluate(model, samples(photographs, in_memory=way), 3, 16) for way in (True, False))
    assert held == lazily
