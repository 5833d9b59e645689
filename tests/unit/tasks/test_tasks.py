"""Each task against an independent computation: scikit-learn, NumPy, the written formula."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, rel_entr
from sklearn import metrics as sk
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional as F

from smule_crypten.config.sections import TrainingConfig
from smule_crypten.data.samples import Samples
from smule_crypten.errors import ConfigError
from smule_crypten.tasks.alarm_labels import LabelWatch
from smule_crypten.tasks.by_name import task_of
from smule_crypten.tasks.classification import CLASSIFICATION
from smule_crypten.tasks.combination import LEAST_FOR_FIT, PRIOR_SAMPLES
from smule_crypten.tasks.multilabel import MULTILABEL
from smule_crypten.tasks.regression import Regression
from smule_crypten.tasks.task import LossTerms, Task
from smule_crypten.training.worth import worth

N, C = 40, 3
REGRESSION = Regression(mean=(10.0, 20.0, 30.0), std=(2.0, 3.0, 4.0))
TASKS: dict[str, Task] = {"classification": CLASSIFICATION, "multilabel": MULTILABEL, "regression": REGRESSION}


def outputs(seed: int, count: int = N, classes: int = C) -> torch.Tensor:
    return 2 * torch.randn(count, classes, generator=torch.Generator().manual_seed(seed))


def targets_of(task: Task, count: int = N, classes: int = C) -> torch.Tensor:
    generator = torch.Generator().manual_seed(9)
    if task.name == "classification":
        return torch.randint(classes, (count,), generator=generator)
    if task.name == "multilabel":
        return torch.randint(2, (count, classes), generator=generator).float()
    return torch.randn(count, classes, generator=generator)


def log_loss_of_labels(own: Any, true: Any) -> float:
    """Summed over the labels."""
    return sum(sk.log_loss(true[:, label], expit(own[:, label]), labels=[0, 1]) for label in range(C))


def squared_error(own: Any, true: Any) -> float:
    return float(sk.mean_squared_error(true, own, multioutput="raw_values").sum())


INDEPENDENT: dict[str, Callable[[Any, Any], float]] = {
    "classification": lambda own, true: sk.log_loss(true, torch.from_numpy(own).softmax(1), labels=range(C)),
    "multilabel": log_loss_of_labels,
    "regression": squared_error,
}


@pytest.mark.parametrize("name", TASKS)
def test_loss_is_that_of_scikit_learn(name: str) -> None:
    """In nats, summed over the labels or targets, mean over the samples."""
    own, true = outputs(0).double(), targets_of(TASKS[name])
    expected = INDEPENDENT[name](own.numpy(), true.numpy())
    assert float(TASKS[name].loss(own, true.double() if name != "classification" else true)) == pytest.approx(expected)


def divergence(name: str, own: Any, peer: Any, temperature: float) -> Any:
    """(N,) as written, by SciPy."""
    if name == "regression":
        return np.where(abs(own - peer) <= 2, (own - peer) ** 2, 4 * abs(own - peer) - 4).sum(1)
    if name == "multilabel":
        p, q = expit(peer / temperature), expit(own / temperature)
        return temperature**2 * (rel_entr(p, q) + rel_entr(1 - p, 1 - q)).sum(1)
    p, q = ((torch.from_numpy(each) / temperature).softmax(1).numpy() for each in (peer, own))
    return temperature**2 * rel_entr(p, q).sum(1)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("name", TASKS)
def test_distillation_is_the_written_formula(name: str, temperature: float) -> None:
    """Direction of the divergence, the T^2 and the weight of each sample; regression knows no temperature."""
    own, peer, weight = outputs(0).double(), outputs(1).double(), torch.linspace(0, 1, N).double()
    found = TASKS[name].distillation(own, peer, temperature, weight)
    expected = (weight.numpy() * divergence(name, own.numpy(), peer.numpy(), temperature)).mean()
    assert float(found) == pytest.approx(expected)


@pytest.mark.parametrize("name", TASKS)
def test_a_step_along_the_distillation_gradient_comes_nearer_to_the_peer(name: str) -> None:
    """Only the own outputs learn, and towards the peer's; from outputs that agree there is nothing to learn."""
    task, own, peer = TASKS[name], outputs(0).requires_grad_(), outputs(1).requires_grad_()
    before = task.distillation(own, peer, 2.0)
    (gradient,) = torch.autograd.grad(before, own)
    assert task.distillation(own - 0.5 * gradient, peer, 2.0) < before
    assert torch.autograd.grad(task.distillation(own, peer, 2.0), peer, allow_unused=True) == (None,)
    assert float(task.distillation(peer, peer, 2.0).detach()) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("name", ["classification", "multilabel"])
def test_sure_and_wrong_outputs_stay_finite(name: str) -> None:
    """A very sure peer gives a large loss, not infinity or NaN."""
    sure = torch.tensor([[1e4, -1e4]])
    assert TASKS[name].distillation(sure, -sure, 1.0).isfinite()


@settings(max_examples=25, deadline=None)
@given(name=st.sampled_from(sorted(TASKS)), count=st.integers(1, 70), classes=st.integers(1, 5), seed=st.integers(0, 9))
def test_shapes_of_any_size(name: str, count: int, classes: int, seed: int) -> None:
    """One sample, one output or many: scalars are scalars, predictions (N, C), and joint ones, too."""
    task = task_of(name) if name != "regression" else Regression(mean=(1.0,), std=(2.0,))
    own, peer, true = outputs(seed, count, classes), outputs(seed + 1, count, classes), targets_of(task, count, classes)
    assert task.loss(own, true).shape == task.distillation(own, peer, 2.0).shape == task.hits(own, true).shape == ()
    assert task.predictions(own).shape == (count, classes)
    assert len(task.decided(task.predictions(own))) == count
    assert task.fit(own, peer, true).predictions(own, peer).shape == (count, classes)
    assert task.merit(task.predictions(own), true).shape[0] == count
    assert len(task.class_counts(true, classes)) == (0 if name == "regression" else classes)


def test_class_weights_are_those_of_scikit_learn() -> None:
    """Inverse frequency, of mean 1 over the samples; a class without any gives nothing to learn from."""
    labels = torch.tensor([0] * 30 + [1] * 9 + [3])
    terms = CLASSIFICATION.terms(TrainingConfig(class_weights="balanced"), labels, 4)
    assert terms.class_weight_C is not None
    known = compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=labels.numpy())
    assert terms.class_weight_C[[0, 1, 3]].tolist() == pytest.approx(known.tolist())
    weight_N = terms.class_weight_C[labels]
    own = outputs(0, len(labels), 4).double()
    expected = sk.log_loss(labels, own.softmax(1), sample_weight=weight_N, labels=range(4))
    assert float(CLASSIFICATION.loss(own, labels, terms)) == pytest.approx(expected)


def test_weights_of_labels_make_both_sides_count_the_same() -> None:
    """Samples with a label weigh together what those without weigh; a label that all have, or none, has weight 1."""
    true = torch.zeros(40, 3)
    true[:4, 0] = 1
    true[:, 1] = 1
    terms = MULTILABEL.terms(TrainingConfig(class_weights="balanced"), true, 3)
    assert terms.class_weight_C is not None
    assert terms.class_weight_C.tolist() == [9.0, 1.0, 1.0]
    weights = [*np.where(true[:, 0] == 1, 9.0, 1.0)]
    own = outputs(0, 40)
    by_hand = sk.log_loss(true[:, 0], own[:, 0].sigmoid(), sample_weight=weights) * sum(weights) / 40
    alone = LossTerms(class_weight_C=terms.class_weight_C[:1])
    assert float(MULTILABEL.loss(own[:, :1], true[:, :1], alone)) == pytest.approx(by_hand, rel=1e-5)


def test_smoothed_labels_ask_for_a_part_of_either_answer() -> None:
    """Share s of 1/2 in each label: the loss is least at probability 1 - s / 2."""
    true, terms = torch.ones(1, 1), LossTerms(label_smoothing=0.2)
    logit = torch.logit(torch.tensor([[0.9]])).requires_grad_()
    (gradient,) = torch.autograd.grad(MULTILABEL.loss(logit, true, terms), logit)
    assert float(gradient) == pytest.approx(0.0, abs=1e-6)


def test_values_are_standardised_once_and_come_back_in_their_own_units() -> None:
    """What a network gives is (value - mean) / std; predictions and metrics undo that."""
    true = torch.tensor([[12.0, 20.0, 26.0], [10.0, 26.0, 30.0]])
    taken = REGRESSION.taken(Samples(torch.zeros(2, 1), true, torch.arange(2)))
    assert taken.targets.tolist() == [[1.0, 0.0, -1.0], [0.0, 2.0, 0.0]]
    torch.testing.assert_close(REGRESSION.predictions(taken.targets), true)
    off = taken.targets + torch.tensor([1.0, 0.0, 0.0])
    expected = sk.root_mean_squared_error(true, true + torch.tensor([2.0, 0.0, 0.0]))
    assert REGRESSION.value(off, taken.targets) == pytest.approx(expected)


def test_constants_must_be_one_or_one_a_target() -> None:
    """In one line that names the key."""
    samples = Samples(torch.zeros(2, 1), torch.zeros(2, 2), torch.arange(2))
    with pytest.raises(ConfigError, match=r"data\.target_mean: 3 values for 2 target\(s\)"):
        REGRESSION.taken(samples)


@pytest.mark.parametrize(
    ("task", "metric"),
    [
        *((CLASSIFICATION.name, metric) for metric in ("auroc", "auprc", "log_loss", "macro_f1")),
        *((MULTILABEL.name, metric) for metric in (None, "hamming_loss")),
        *((REGRESSION.name, metric) for metric in (None, "r2", "mae")),
    ],
)
def test_what_is_kept_is_judged_by_the_metric(task: str, metric: str | None) -> None:
    """Better outputs are judged higher whatever the direction of the metric, with an error that repeats."""
    task_ = task_of(task, metric)  # type: ignore[arg-type]
    true, noise = targets_of(task_, 200), outputs(3, 200)
    right = {
        "classification": lambda: 4 * F.one_hot(true, C),
        "multilabel": lambda: 4 * true - 2,
        "regression": lambda: true,
    }[task]()
    good, error = task_.judged(right + (0.9 if task != "regression" else 0.1) * noise, true)
    bad, _ = task_.judged(noise, true)
    assert good > bad
    assert 0 < error < good - bad
    assert task_.judged(noise, true) == task_.judged(noise, true)


def test_a_metric_that_is_not_defined_is_worst_without_an_error() -> None:
    """An AUROC of labels that no held-out sample has decides nothing."""
    assert MULTILABEL.judged(outputs(0), torch.zeros(N, C)) == (-float("inf"), 0.0)


def test_the_joint_answer_of_labels_leans_on_the_better_network() -> None:
    """A weighted mean of calibrated sigmoids; a network that is sure and wrong becomes flat."""
    true = targets_of(MULTILABEL, 300)
    good, bad = 4 * true - 2 + 0.5 * outputs(1, 300), 20 * outputs(2, 300)
    found = MULTILABEL.fit(good, bad, true)
    assert 0.5 < found.own_weight <= 0.5 + 0.5 * 300 / (300 + PRIOR_SAMPLES)
    assert found.peer_temperature > 5
    expected = found.own_weight * (good / found.own_temperature).sigmoid()
    expected += (1 - found.own_weight) * (bad / found.peer_temperature).sigmoid()
    torch.testing.assert_close(found.predictions(good, bad), expected)
    few = LEAST_FOR_FIT - 1
    assert MULTILABEL.fit(good[:few], bad[:few], true[:few]).own_weight == 0.5


def test_the_joint_answer_of_values_has_the_least_squared_error() -> None:
    """The weight is that of NumPy's least squares, drawn towards one half."""
    true = targets_of(REGRESSION, 400)
    own, peer = true + 0.2 * outputs(1, 400), true + 0.1 * outputs(2, 400)
    found = REGRESSION.fit(own, peer, true, prior_samples=0)
    (best,), *_ = np.linalg.lstsq((own - peer).reshape(-1, 1).numpy(), (true - peer).reshape(-1).numpy(), rcond=None)
    assert found.own_weight == pytest.approx(float(best), abs=1e-5)
    assert 0.1 < found.own_weight < 0.3
    drawn = REGRESSION.fit(own, peer, true).own_weight
    assert drawn == pytest.approx((400 * best + PRIOR_SAMPLES / 2) / (400 + PRIOR_SAMPLES), abs=1e-5)
    joint = REGRESSION.predictions(drawn * own + (1 - drawn) * peer)
    torch.testing.assert_close(REGRESSION.fit(own, peer, true).predictions(own, peer), joint)
    assert set(found.as_plain()) == {"own_weight", "own_temperature", "peer_temperature", "num_known"}


def test_the_worth_of_a_peer_for_labels_and_values() -> None:
    """Shares of right labels, and mean absolute errors in own units, of each output; a smaller error is a gain."""
    true = targets_of(MULTILABEL, 200)
    own, peer = 2 * true - 1 + outputs(1, 200), 4 * true - 2 + outputs(2, 200)
    found = worth(own, peer, true, task=MULTILABEL)
    right = [((answers > 0) == (true == 1)).double().numpy() for answers in (own, peer)]
    assert (found.measure, found.own, found.peer) == ("share of labels right", right[0].mean(), right[1].mean())
    assert found.by_class[1] == (200, right[0][:, 1].mean(), right[1][:, 1].mean())
    assert found.agreement == ((own > 0) == (peer > 0)).double().mean()
    assert found.gain == pytest.approx(found.combined - found.own)
    true = targets_of(REGRESSION, 200)
    own, peer = true + outputs(1, 200), true + 0.1 * outputs(2, 200)
    found = worth(own, peer, true, task=REGRESSION)
    values = [REGRESSION.predictions(outputs_NC).numpy() for outputs_NC in (true, own)]
    assert found.own == pytest.approx(sk.mean_absolute_error(*values), rel=1e-5)
    assert found.gain == pytest.approx(found.own - found.combined)
    assert 0 < found.interval[0] < found.gain < found.interval[1]
    assert found.agreement is None


def honest(true: torch.Tensor, seed: int, right: float) -> torch.Tensor:
    """Logits that find each label with this probability."""
    is_right = torch.rand(true.shape, generator=torch.Generator().manual_seed(seed)) < right
    return 3 * torch.where(is_right, 2 * true - 1, 1 - 2 * true)


def test_an_alarm_of_labels_finds_one_that_is_turned_round() -> None:
    """Fisher's exact test of one label; of honest networks, weak ones with them, there is no alarm."""
    true = targets_of(MULTILABEL, 150)
    for right in (0.55, 0.75, 0.95):
        watch = LabelWatch(C, num_exchanges=4)
        assert [watch.check(number, honest(true, number, right), true) for number in range(1, 5)] == [[]] * 4
    turned = honest(true, 0, 0.9)
    turned[:, 1] *= -1
    watch = LabelWatch(C, num_exchanges=4)
    (alarm,) = watch.check(1, turned, true)
    assert (alarm.test, alarm.suspects) == ("contradiction", (1,))
    assert alarm.evidence.startswith("label 1: ")
    again = LabelWatch(C, num_exchanges=4)
    again.load_state_dict(watch.state_dict())
    assert again.check(2, turned, true) == watch.check(2, turned, true)


def test_values_have_no_alarm() -> None:
    """An honest network may be off by any amount."""
    assert REGRESSION.watch(1, 4) is None


def test_one_wild_value_does_not_outweigh_a_batch() -> None:
    """A squared error would give a single answer of 60 nearly all of the gradient; near its own values it is one."""
    own = torch.linspace(-1, 1, 32)[:, None].requires_grad_()
    peer = own.detach() + torch.linspace(-1, 1, 32)[:, None].flip(0)
    (near,) = torch.autograd.grad(REGRESSION.distillation(own, peer, 1.0), own)
    assert torch.allclose(near, 2 * (own.detach() - peer) / 32)
    peer[0] = 60.0
    (gradient,) = torch.autograd.grad(REGRESSION.distillation(own, peer, 1.0), own)
    share = float(gradient[0].abs() / gradient.abs().sum())
    assert share < 0.15
    squared = (own.detach() - peer).abs()
    assert float(squared[0] / squared.sum()) > 0.75


def test_values_far_from_the_own_targets_cannot_be() -> None:
    """Three times the range of the own targets, of each by itself; ten standard deviations where none is known."""
    targets = torch.tensor([[-1.0, 0.0], [3.0, 0.1], [torch.nan, torch.nan]])
    values = torch.tensor([[-5.0, 0.0], [7.0, 1.1], [-5.1, 0.0], [7.1, 0.0], [0.0, -1.1], [0.0, float("nan")]])
    assert REGRESSION.plausible(values, targets).tolist() == [True, True, False, False, False, False]
    assert REGRESSION.plausible(torch.tensor([[9.9], [-10.1]]), targets[:0, :1]).tolist() == [True, False]
    assert TASKS["classification"].plausible(values * 1e6, torch.tensor([0, 1])).all()
