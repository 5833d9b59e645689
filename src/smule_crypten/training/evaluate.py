"""Measuring a network on labelled data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from smule_crypten.data.samples import Samples
from smule_crypten.errors import DataError, ModelError
from smule_crypten.metric_names import TaskName
from smule_crypten.models.modules import evaluation_mode
from smule_crypten.tasks.by_name import as_task
from smule_crypten.tasks.classification import CLASSIFICATION
from smule_crypten.tasks.task import Task

CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a network does on samples of known label.

    Attributes:
        accuracy: 0 to 1, of several labels the share that is right; None in regression.
        accuracy_by_class: of each class or label; None for a class without samples.
        loss: that of the task, of classes and labels in nats.
        score: the primary metric, in the targets' own units; None where it is not defined.
    """

    accuracy: float | None
    accuracy_by_class: list[float | None]
    loss: float
    score: float | None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a network does on test samples; both as in Evaluation."""

    accuracy: float | None = None
    score: float | None = None


def evaluate(
    model: nn.Module,
    data: Samples,
    num_classes: int,
    batch_size: int = 512,
    *,
    device: torch.device = CPU,
    task: Task | TaskName = CLASSIFICATION,
) -> Evaluation:
    """Apply a network to all of data, in evaluation mode.

    Args:
        model: inputs (N, X) -> outputs (N, num_classes), logits of a classification.
        data: samples as the network takes them, normalised.
        num_classes: of the data; how many labels or targets, of another task.
        batch_size: samples at a time.
        device: where model lies.
        task: what is learned: classification, multilabel or regression.

    Returns:
        ``accuracy``, 0 to 1; ``accuracy_by_class``, a list with None for a class without samples; ``loss``, the mean
        cross entropy in nats; ``score``, the primary metric of the task: accuracy, AUROC over the labels, or RMSE.

    Raises:
        DataError: data is empty.
        ModelError: model does not give num_classes outputs.

    Example:
        >>> import torch, smule_crypten as smule
        >>> samples = smule.Samples(torch.eye(2).view(2, 2, 1, 1), torch.tensor([0, 1]), torch.arange(2))
        >>> smule.evaluate(torch.nn.Flatten(), samples, num_classes=2).accuracy
        1.0
    """
    task = as_task(task)
    if len(data) == 0:
        raise DataError("there are no samples to evaluate on; raise data.max_test or give a data set with a test part")
    outputs_NC = predict_samples(model, data, batch_size, device)
    if outputs_NC.shape[1:] != (num_classes,):
        raise ModelError(
            f"the network gives outputs of shape {tuple(outputs_NC.shape[1:])} a sample, the data has {num_classes} "
            f"classes, labels or targets; build the network with {num_classes} outputs"
        )
    targets = data.targets.cpu()
    return Evaluation(
        accuracy=task.accuracy(outputs_NC, targets),
        accuracy_by_class=task.accuracy_by_class(outputs_NC, targets),
        loss=task.loss(outputs_NC, targets).item(),
        score=task.value(outputs_NC, targets),
    )


def accuracy(scores_NC: torch.Tensor, labels_N: torch.Tensor) -> float:
    """Share of the samples whose highest score is that of their label."""
    return float((scores_NC.argmax(1) == labels_N).double().mean())


def predict_logits(model: nn.Module, inputs_NX: torch.Tensor, batch_size: int, device: torch.device) -> torch.Tensor:
    """Logits (N, C) on the CPU, computed in evaluation mode on device, where model lies; its modes are restored."""
    return _predicted(model, (batch.to(device) for batch in torch.split(inputs_NX, batch_size)))


def predict_samples(model: nn.Module, samples: Samples, batch_size: int, device: torch.device) -> torch.Tensor:
    """As predict_logits, of samples, whose inputs need not be in memory."""
    return _predicted(model, samples.blocks(batch_size, device))


def _predicted(model: nn.Module, batches: Iterable[torch.Tensor]) -> torch.Tensor:
    with evaluation_mode(model), torch.no_grad():  # unlike inference mode: the result may serve as soft labels
        return torch.cat([model(batch_NX).cpu() for batch_NX in batches])
