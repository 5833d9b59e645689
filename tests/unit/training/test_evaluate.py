from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from smule_crypten.data.samples import Samples
from smule_crypten.errors import DataError, ModelError
from smule_crypten.training.evaluate import evaluate, predict_logits

CPU = torch.device("cpu")


class PixelsAsLogits(nn.Module):
    """The pixels of an image are its logits, so that a test decides what is predicted."""

    def forward(self, inputs_NX: torch.Tensor) -> torch.Tensor:
        return inputs_NX.flatten(1)


def images_of_logits(logits_NC: list[list[float]], labels: list[int]) -> Samples:
    inputs_NX = torch.tensor(logits_NC).view(len(logits_NC), 1, 1, -1)
    return Samples(inputs_NX, torch.tensor(labels), torch.arange(len(labels)))


@pytest.mark.parametrize("batch_size", [1, 2, 512])
def test_counts_by_hand(batch_size: int) -> None:
    """Accuracy, accuracy by class (none where a class has no samples) and loss are right for any batch size."""
    data = images_of_logits([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [2.0, 0.0, 0.0]], [0, 0, 0])
    result = evaluate(PixelsAsLogits(), data, 3, batch_size, device=CPU)
    log_sum = math.log(math.exp(2.0) + 2)
    assert result.accuracy == pytest.approx(2 / 3)
    assert result.accuracy_by_class == [pytest.approx(2 / 3), None, None]
    assert result.loss == pytest.approx((2 * (log_sum - 2.0) + log_sum) / 3)


def test_classes_are_counted_apart() -> None:
    """A class is measured on its own samples, not on where it was predicted."""
    data = images_of_logits([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]], [0, 0, 1])
    assert evaluate(PixelsAsLogits(), data, 2, device=CPU).accuracy_by_class == [1.0, 0.0]


def test_modes_are_restored_module_by_module() -> None:
    """Evaluation runs without dropout, and a part that was frozen in evaluation mode stays frozen."""
    network = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm2d(1), PixelsAsLogits())
    network.train()
    network[1].eval()
    inputs_NX = torch.ones(8, 1, 2, 2)
    logits_NC = predict_logits(network, inputs_NX, 4, CPU)
    assert torch.allclose(logits_NC, torch.ones(8, 4), atol=1e-4)
    assert [module.training for module in network] == [True, False, True]


def test_modes_are_restored_after_an_error() -> None:
    """A failing evaluation does not leave the network in evaluation mode."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(3, 2))
    with pytest.raises(RuntimeError):
        predict_logits(network, torch.ones(1, 1, 2, 2), 4, CPU)
    assert all(module.training for module in network.modules())


def test_logits_can_serve_as_soft_labels() -> None:
    """Predicted logits carry no graph and may enter a loss that is differentiated."""
    logits_NC = predict_logits(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), torch.ones(2, 1, 2, 2), 4, CPU)
    weight_NC = torch.ones(2, 3, requires_grad=True)
    (weight_NC * logits_NC).sum().backward()  # type: ignore[no-untyped-call]
    assert not logits_NC.requires_grad
    assert torch.equal(weight_NC.grad, logits_NC)  # type: ignore[arg-type]


def test_no_samples_is_one_clear_line() -> None:
    """An empty test set is refused in place of an accuracy of NaN."""
    empty = Samples(torch.zeros(0, 1, 1, 3), torch.zeros(0, dtype=torch.int64), torch.arange(0))
    with pytest.raises(DataError, match=r"^there are no samples to evaluate on; .+$"):
        evaluate(PixelsAsLogits(), empty, 3, device=CPU)


def test_wrong_number_of_classes_is_one_clear_line() -> None:
    """A network with another number of outputs is refused."""
    data = images_of_logits([[1.0, 0.0]], [0])
    with pytest.raises(ModelError, match=r"^the network gives outputs of shape \(2,\) a sample, .+ 3 outputs$"):
        evaluate(PixelsAsLogits(), data, 3, device=CPU)
