from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from smule_crypten.tasks.classification import CLASSIFICATION
from smule_crypten.training.losses import mutual_loss
from smule_crypten.types import SoftLabels


@pytest.fixture
def own_logits_NC() -> torch.Tensor:
    return 3 * torch.randn(6, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def labels_N() -> torch.Tensor:
    return torch.tensor([0, 1, 2, 3, 0, 1])


def soft_labels(positions: list[int]) -> SoftLabels:
    logits_NC = 3 * torch.randn(len(positions), 4, generator=torch.Generator().manual_seed(1))
    return SoftLabels(
        positions=torch.tensor(positions, dtype=torch.int64),
        logits_NC=logits_NC,
        model_step=torch.zeros(len(positions), dtype=torch.int64),
    )


def divergence_by_hand(own_C: torch.Tensor, peer_C: torch.Tensor, temperature: float) -> float:
    own, peer = (own_C / temperature).exp(), (peer_C / temperature).exp()
    own, peer = own / own.sum(), peer / peer.sum()
    return temperature**2 * sum(float(p * (p / q).log()) for p, q in zip(peer, own, strict=True))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_distillation_is_the_written_formula(own_logits_NC: torch.Tensor, temperature: float) -> None:
    """Direction of the divergence, the T^2 and the mean over the batch are as published."""
    peer_logits_NC = soft_labels(list(range(6))).logits_NC
    expected = sum(
        divergence_by_hand(own_C, peer_C, temperature)
        for own_C, peer_C in zip(own_logits_NC, peer_logits_NC, strict=True)
    )
    assert float(CLASSIFICATION.distillation(own_logits_NC, peer_logits_NC, temperature)) == pytest.approx(
        expected / 6, rel=1e-5
    )


def test_equal_logits_cost_nothing(own_logits_NC: torch.Tensor) -> None:
    """A peer that agrees, up to a shift that softmax ignores, adds no loss."""
    assert float(CLASSIFICATION.distillation(own_logits_NC, own_logits_NC + 5.0, 2.0)) == pytest.approx(0.0, abs=1e-6)


def test_extreme_logits_stay_finite() -> None:
    """A very sure and wrong peer gives a large loss, not infinity or NaN."""
    sure_NC = torch.tensor([[1e4, 0.0]])
    assert float(CLASSIFICATION.distillation(sure_NC, sure_NC.flip(1), 1.0)) == pytest.approx(1e4)


def test_no_gradient_flows_into_the_peer(own_logits_NC: torch.Tensor) -> None:
    """Peer logits are targets: only the own logits learn."""
    own_logits_NC.requires_grad_()
    peer_logits_NC = torch.zeros(6, 4, requires_grad=True)
    CLASSIFICATION.distillation(own_logits_NC, peer_logits_NC, 2.0).backward()  # type: ignore[no-untyped-call]
    assert peer_logits_NC.grad is None
    assert own_logits_NC.grad is not None
    assert own_logits_NC.grad.abs().sum() > 0


def test_partial_soft_labels_are_divided_by_the_batch(own_logits_NC: torch.Tensor, labels_N: torch.Tensor) -> None:
    """Two soft labels in a batch of six weigh two sixths, at the positions that they name."""
    soft = soft_labels([4, 1])
    expected = sum(
        divergence_by_hand(own_logits_NC[position], peer_C, 2.0)
        for position, peer_C in zip([4, 1], soft.logits_NC, strict=True)
    )
    loss, distillation = mutual_loss(own_logits_NC, labels_N, soft, temperature=2.0, distillation_weight=0.7)
    assert float(distillation) == pytest.approx(expected / 6, rel=1e-5)
    assert float(loss) == pytest.approx(float(F.cross_entropy(own_logits_NC, labels_N)) + 0.7 * expected / 6, rel=1e-5)


@pytest.mark.parametrize("soft", [None, soft_labels([])])
def test_without_soft_labels_only_cross_entropy_is_left(
    own_logits_NC: torch.Tensor, labels_N: torch.Tensor, soft: SoftLabels | None
) -> None:
    """No answer and an empty answer are the same: plain training, no division by zero."""
    loss, distillation = mutual_loss(own_logits_NC, labels_N, soft, temperature=2.0, distillation_weight=1.0)
    assert torch.equal(loss, F.cross_entropy(own_logits_NC, labels_N))
    assert float(distillation) == 0.0


def test_weight_zero_trains_alone_but_still_reports(own_logits_NC: torch.Tensor, labels_N: torch.Tensor) -> None:
    """distillation_weight 0 leaves value and gradient of cross entropy, while the distillation part is shown."""
    own_logits_NC.requires_grad_()
    loss, distillation = mutual_loss(
        own_logits_NC, labels_N, soft_labels([0, 2]), temperature=2.0, distillation_weight=0.0
    )
    (gradient_NC,) = torch.autograd.grad(loss, own_logits_NC)
    cross_entropy = F.cross_entropy(own_logits_NC, labels_N)
    assert torch.equal(loss, cross_entropy)
    assert torch.equal(gradient_NC, torch.autograd.grad(cross_entropy, own_logits_NC)[0])
    assert float(distillation) > 0
    assert not distillation.requires_grad


def test_balanced_softmax_explains_labels_by_their_frequency() -> None:
    """Logits of zero and the true shares of the classes explain the labels as well as anything can."""
    labels = torch.tensor([0, 0, 0, 1])
    log_prior = torch.tensor([0.75, 0.25]).log()
    loss, _ = mutual_loss(
        torch.zeros(4, 2), labels, None, temperature=1.0, distillation_weight=0.0, log_prior_C=log_prior
    )
    entropy = -(0.75 * torch.tensor(0.75).log() + 0.25 * torch.tensor(0.25).log())
    torch.testing.assert_close(loss, entropy)


def test_label_smoothing_reaches_the_labels() -> None:
    """A quarter of the weight moves to the other class, which is 2 nats less likely."""
    logits, labels = torch.tensor([[2.0, 0.0]]), torch.tensor([0])
    plain, _ = mutual_loss(logits, labels, None, temperature=1.0, distillation_weight=0.0)
    smoothed, _ = mutual_loss(logits, labels, None, temperature=1.0, distillation_weight=0.0, label_smoothing=0.5)
    torch.testing.assert_close(smoothed - plain, torch.tensor(0.5))


def test_smoothing_asks_for_no_class_that_does_not_occur() -> None:
    """With balanced softmax, equal logits stay the best answer to labels that tell nothing, however rare a class is."""
    log_prior = torch.tensor([0.5, 0.4999, 0.0001]).log()
    logits = torch.zeros(2, 3, requires_grad=True)
    loss, _ = mutual_loss(
        logits,
        torch.tensor([0, 1]),
        None,
        temperature=1.0,
        distillation_weight=0.0,
        label_smoothing=0.5,
        log_prior_C=log_prior,
    )
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.sum(0).abs().max() < 1e-3
