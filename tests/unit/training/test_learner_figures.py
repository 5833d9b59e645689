"""A party's network on its test samples, by every task: probabilities, units and thresholds are those of the task."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from torch import nn

from smule_crypten.config.sections import TrainingConfig
from smule_crypten.data.samples import Samples
from smule_crypten.metric_names import metrics_of
from smule_crypten.tasks.classification import CLASSIFICATION
from smule_crypten.tasks.multilabel import MultiLabel
from smule_crypten.tasks.regression import Regression
from smule_crypten.tasks.task import Task
from smule_crypten.training.learner import Holding, Learner

RNG = torch.Generator().manual_seed(11)


def _samples(outputs_NC: torch.Tensor, targets: torch.Tensor) -> Samples:
    """Whose inputs are what the network is to say."""
    return Samples(outputs_NC[:, :, None, None], targets, torch.arange(len(targets)))


def _learner(task: Task, test: Samples, validation: Samples) -> Learner:
    none = test.select(torch.empty(0, dtype=torch.int64))
    return Learner(
        name="a",
        holding=Holding(train=none, validation=validation, pool=none, test=test),
        training=TrainingConfig(),
        num_classes=test.inputs.shape[1],
        build=lambda copy: nn.Flatten(),
        seed=0,
        device=torch.device("cpu"),
        task=task,
    )


def _of_two(num_samples: int) -> tuple[torch.Tensor, torch.Tensor]:
    targets_N = torch.randint(2, (num_samples,), generator=RNG)
    outputs_NC = torch.randn(num_samples, 2, generator=RNG)
    outputs_NC[:, 1] += 2 * targets_N - 2.5
    return outputs_NC, targets_N


def test_two_classes() -> None:
    """Probabilities by softmax, and the threshold of the validation part."""
    (outputs_NC, targets_N), (known_NC, known_N) = _of_two(80), _of_two(60)
    test, validation = _samples(outputs_NC, targets_N), _samples(known_NC, known_N)
    found = _learner(CLASSIFICATION, test, validation).evaluated(nn.Flatten())
    assert list(found.metrics) == metrics_of("classification")
    said_N, there_N = softmax(outputs_NC.double().numpy(), axis=1)[:, 1], targets_N.numpy() == 1
    assert found.metrics["log_loss"].value == pytest.approx(
        -np.log(np.where(there_N, said_N, 1 - said_N)).mean(), rel=1e-5
    )
    assert found.thresholds is not None
    known_said_N = softmax(known_NC.double().numpy(), axis=1)[:, 1]
    assert np.isclose(known_said_N, found.thresholds[1], rtol=1e-5).any(), "one of the validation part"
    assert found.metrics["sensitivity"].value == pytest.approx((said_N[there_N] >= found.thresholds[1] - 1e-6).mean())


def test_without_a_validation_part() -> None:
    """Thresholds are 0.5."""
    outputs_NC, targets_N = _of_two(50)
    test = _samples(outputs_NC, targets_N)
    none = test.select(torch.empty(0, dtype=torch.int64))
    assert _learner(CLASSIFICATION, test, none).evaluated(nn.Flatten()).thresholds == [0.5, 0.5]


def test_several_labels() -> None:
    """A sigmoid for each label."""
    targets_NC = (torch.rand(90, 3, generator=RNG) < 0.3).float()
    outputs_NC = torch.randn(90, 3, generator=RNG) + targets_NC
    test = _samples(outputs_NC, targets_NC)
    found = _learner(MultiLabel(), test, test.select(torch.arange(40))).evaluated(nn.Flatten())
    assert list(found.metrics) == metrics_of("multilabel")
    said_NC, there_NC = expit(outputs_NC.double().numpy()), targets_NC.numpy() == 1
    expected = -np.log(np.where(there_NC, said_NC, 1 - said_NC)).mean()
    assert found.metrics["log_loss"].value == pytest.approx(expected, rel=1e-5)
    assert found.thresholds is not None
    assert len(found.thresholds) == 3


def test_values_are_in_their_own_units() -> None:
    """Errors are those of the data, not of the standardised targets that the network learns."""
    task = Regression(mean=(100.0,), std=(20.0,))
    true_NC = 100 + 20 * torch.randn(70, 1, generator=RNG)
    outputs_NC = torch.randn(70, 1, generator=RNG)
    test = task.taken(_samples(outputs_NC, true_NC))
    found = _learner(task, test, test.select(torch.arange(10))).evaluated(nn.Flatten())
    assert list(found.metrics) == metrics_of("regression")
    expected = (100 + 20 * outputs_NC - true_NC).square().mean().sqrt().item()
    assert found.metrics["rmse"].value == pytest.approx(expected, rel=1e-5)
    assert found.thresholds is None
