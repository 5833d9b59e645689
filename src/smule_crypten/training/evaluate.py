"""Measuring a network on labelled data."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from smule_crypten.data.samples import Samples
from smule_crypten.errors import DataError, ModelError
from smule_crypten.models.modules import evaluation_mode

CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """accuracy in 0..1; accuracy_by_class is None for a class without samples; loss is the mean cross entropy, nats."""

    accuracy: float
    accuracy_by_class: list[float | None]
    loss: float


def evaluate(
    model: nn.Module,
    data: Samples,
    num_classes: int,
    batch_size: int = 512,
    *,
    device: torch.device = CPU,
) -> Evaluation:
    """Apply a network to all of data, in evaluation mode.

    Args:
        model: inputs (N, X) -> logits (N, num_classes).
        data: samples as the network takes them, normalised.
        num_classes: of the data.
        batch_size: samples at a time.
        device: where model lies.

    Returns:
        ``accuracy``, 0 to 1; ``accuracy_by_class``, a list with None for a class without samples; ``loss``, the mean
        cross entropy in nats.

    Raises:
        DataError: data is empty.
        ModelError: model does not give num_classes logits.

    Example:
        >>> import torch, smule_crypten as smule
        >>> samples = smule.Samples(torch.eye(2).view(2, 2, 1, 1), torch.tensor([0, 1]), torch.arange(2))
        >>> smule.evaluate(torch.nn.Flatten(), samples, num_classes=2).accuracy
        1.0
    """
    if len(data) == 0:
        raise DataError("there are no samples to evaluate on; raise data.max_test or give a data set with a test part")
    logits_NC = predict_logits(model, data.inputs, batch_size, device)
    if logits_NC.shape[1:] != (num_classes,):
        raise ModelError(
            f"the network gives outputs of shape {tuple(logits_NC.shape[1:])} a sample, the data has {num_classes} "
            f"classes; build the network with {num_classes} outputs"
        )
    labels_N = data.targets.cpu()
    hits_N = logits_NC.argmax(dim=1) == labels_N
    samples_C = torch.bincount(labels_N, minlength=num_classes).tolist()
    hits_C = torch.bincount(labels_N[hits_N], minlength=num_classes).tolist()
    return Evaluation(
        accuracy=hits_N.double().mean().item(),
        accuracy_by_class=[
            hits / samples if samples else None for hits, samples in zip(hits_C, samples_C, strict=True)
        ],
        loss=F.cross_entropy(logits_NC, labels_N).item(),
    )


def accuracy(scores_NC: torch.Tensor, labels_N: torch.Tensor) -> float:
    """Share of the samples whose highest score is that of their label."""
    return float((scores_NC.argmax(1) == labels_N).double().mean())


def predict_logits(model: nn.Module, inputs_NX: torch.Tensor, batch_size: int, device: torch.device) -> torch.Tensor:
    """Logits (N, C) on the CPU, computed in evaluation mode on device, where model lies; its modes are restored."""
    with evaluation_mode(model), torch.no_grad():  # unlike inference mode: the result may serve as soft labels
        return torch.cat([model(batch.to(device)).cpu() for batch in torch.split(inputs_NX, batch_size)])
