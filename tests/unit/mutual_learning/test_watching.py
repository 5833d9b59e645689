from __future__ import annotations

import pytest
import torch
from torch import nn

from smule_crypten.config.sections import AlarmName, TrainingConfig
from smule_crypten.data.samples import Samples
from smule_crypten.mutual_learning.cache import SoftLabelCache
from smule_crypten.mutual_learning.watching import Watchman
from smule_crypten.tasks.alarm import PeerWatch
from smule_crypten.training.best import BestNetwork
from smule_crypten.training.teacher import Teacher
from smule_crypten.training.trainer import Trainer

CLASSES, SAMPLES = 4, 120
CONFIG = TrainingConfig(epochs=6, batch_size=40)


class Run:
    """A party with a linear network, and a peer that answers all its samples in each exchange."""

    def __init__(self, mode: AlarmName) -> None:
        generator = torch.Generator().manual_seed(0)
        self.train = Samples(
            torch.randn(SAMPLES, 1, 2, 2, generator=generator), torch.arange(SAMPLES) % CLASSES, torch.arange(SAMPLES)
        )
        self.cache = SoftLabelCache(self.train.sample_ids, CLASSES)
        self.model = nn.Sequential(nn.Flatten(), nn.Linear(4, CLASSES))
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.zero_()
        device = torch.device("cpu")
        teacher = Teacher(
            self.cache, train=self.train, pool=None, validation=None, own=None, config=CONFIG, seed=0, device=device
        )
        self.trainer = Trainer(
            model=self.model, train=self.train, config=CONFIG, seed=0, device=device, teacher=teacher
        )
        self.watchman = Watchman(mode, self.train, PeerWatch(CLASSES, num_exchanges=4))

    def exchange(self, number: int, epoch: int, said_N: torch.Tensor) -> bool:
        logits_NC = 8.0 * torch.eye(CLASSES)[said_N]
        self.cache.store(self.train.sample_ids, logits_NC, model_step=number)
        alarms = self.watchman.check(number, self.train.sample_ids, logits_NC)
        dropped = self.watchman.quarantine(number, epoch, alarms, self.cache.forget, self.trainer, BestNetwork())
        self.trainer.run_epoch()
        return dropped

    @property
    def weights(self) -> torch.Tensor:
        return nn.utils.parameters_to_vector(self.model.parameters()).detach().clone()


def alone(epochs: int) -> torch.Tensor:
    run = Run("off")
    for _ in range(epochs):
        run.trainer.run_epoch()
    return run.weights


def test_a_turncoat_teaches_nothing() -> None:
    """Quarantine: the bad exchange is dropped before anything is learned from it; report only says so."""
    honest_N = torch.arange(SAMPLES) % CLASSES
    run, reporting = Run("quarantine"), Run("report")
    assert not run.exchange(1, 1, honest_N)
    assert run.exchange(2, 2, (honest_N + 1) % CLASSES)
    assert run.cache.lookup(run.train.sample_ids) is None
    assert {alarm["test"] for alarm in run.watchman.alarms} >= {"drop"}
    for number, said_N in ((1, honest_N), (2, (honest_N + 1) % CLASSES)):
        assert not reporting.exchange(number, number, said_N)
    assert len(reporting.watchman.alarms) == len(run.watchman.alarms)
    assert reporting.cache.lookup(run.train.sample_ids) is not None


def test_what_was_learned_from_suspects_is_undone() -> None:
    """Confident nonsense that shows only in two exchanges together: the network becomes what it would be alone."""
    run = Run("quarantine")
    # 36 of 120 answers are right, the others spread evenly: three in ten, where chance gives a quarter.
    position_N = torch.arange(SAMPLES)
    wrong_N = (run.train.targets + 1 + position_N // CLASSES % 3) % CLASSES
    said_N = torch.where(position_N < 36, run.train.targets, wrong_N)
    assert [run.exchange(number, number, said_N) for number in (1, 2)] == [False, True]
    assert [alarm["suspects"] for alarm in run.watchman.alarms] == [[1, 2]]
    assert torch.equal(run.weights, alone(2))


def test_a_resumed_watchman_rolls_back_all_the_same() -> None:
    """The state before the first exchange survives an interruption."""
    run, resumed = Run("quarantine"), Run("quarantine")
    run.exchange(1, 1, torch.arange(SAMPLES) % CLASSES)
    resumed.watchman.load_state_dict(run.watchman.state_dict())
    assert resumed.watchman.state_dict().keys() == run.watchman.state_dict().keys()
    assert torch.equal(resumed.watchman.state_dict()["before"]["trainer"]["model"]["1.weight"], torch.zeros(CLASSES, 4))
    assert resumed.watchman.state_dict()["learned"] == [1]


@pytest.mark.parametrize("mode", ["off", "report"])
def test_modes_that_keep_everything(mode: AlarmName) -> None:
    """off looks at nothing; report drops nothing."""
    run = Run(mode)
    for number in (1, 2):
        assert not run.exchange(number, number, (run.train.targets + 1) % CLASSES)
    assert bool(run.watchman.alarms) is (mode == "report")
