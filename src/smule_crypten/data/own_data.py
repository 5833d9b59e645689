"""What the callable of a user returns, as a data set: a DataBundle, or torch Datasets of (input, label)."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from smule_crypten.config.options import one_line
from smule_crypten.data.arrays import Layout, as_inputs, as_labels
from smule_crypten.data.samples import DataBundle, Samples, numbered_classes
from smule_crypten.errors import DataError
from smule_crypten.names import class_names_of

_READ_BATCH = 1000


def own_bundle(result: object, layout: Layout | None, source: object) -> DataBundle:
    """`result` as a data set of plain tensors. Class names are those of the Datasets; without any, numbers.

    Args:
        layout: order of the axes of images; None asks for it where their shape speaks for (N, H, W, C).
        source: what the user calls the callable.

    Raises:
        DataError: result is something else, or its inputs, labels or class names cannot be used.
    """
    if isinstance(result, DataBundle):
        names = class_names_of(result.class_names, f"class_names of the DataBundle of {source}")
        train, test = (_of_labelled(getattr(result, split), split, layout) for split in ("train", "test"))
        return DataBundle(train, test, _names(names, train), result.notes)
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise DataError(
            f"data.options._target_: {source} returned a {type(result).__name__}; "
            "return a DataBundle or a pair (train, test) of torch Datasets"
        )
    names, test_names = (_classes_of(dataset, split) for dataset, split in zip(result, ("train", "test"), strict=True))
    if names is not None and test_names is not None and names != test_names:
        raise DataError(
            f"data.options._target_: the Datasets of {source} have different classes ({len(names)} and "
            f"{len(test_names)}, or in another order); give both the same list as classes, and number labels by it"
        )
    train, test = (
        _of_dataset(dataset, split, layout) for dataset, split in zip(result, ("train", "test"), strict=True)
    )
    return DataBundle(train, test, _names(names or test_names, train))


def count_classes(labels_N: torch.Tensor, dataset: str) -> int:
    """The highest training label + 1. One label a sample or more points to labels that are no class numbers.

    Of several labels or numbers per sample, their columns.

    Raises:
        DataError: there are no labels, or such.
    """
    if labels_N.numel() == 0:
        raise DataError(f"data set {dataset!r}, split 'train': empty; check data.path and the files in it")
    if labels_N.dim() == 2:
        return labels_N.shape[1]
    highest = int(labels_N.max())
    if highest >= labels_N.numel():
        raise DataError(
            f"data set {dataset!r}, split 'train': label {highest} among {labels_N.numel()} samples; "
            "number the classes from 0 without gaps"
        )
    return highest + 1


def _names(names: tuple[str, ...] | None, train: Samples) -> tuple[str, ...]:
    return names or numbered_classes(count_classes(train.targets, "target"))


def _of_labelled(part: object, split: str, layout: Layout | None) -> Samples:
    where = f"data set 'target', split {split!r}"
    if not isinstance(part, Samples):
        raise DataError(f"{where}: is a {type(part).__name__}; give Samples in the DataBundle")
    return Samples(
        as_inputs(part.inputs, f"{where}: inputs", layout),
        as_labels(part.targets, f"{where}: labels"),
        as_labels(part.sample_ids, f"{where}: sample ids"),
    )


def _of_dataset(dataset: Dataset[Any], split: str, layout: Layout | None) -> Samples:
    """Read once, in batches. A generator of its own keeps the loader away from the global random state."""
    where = f"data set 'target', split {split!r}"
    try:
        with torch.no_grad():  # inputs may come out of a network
            batches = list(DataLoader(dataset, batch_size=_READ_BATCH, generator=torch.Generator()))
            images = torch.cat([images for images, _ in batches])
            labels = torch.cat([labels for _, labels in batches])
    except Exception as error:  # the data set is the user's code
        raise DataError(
            f"{where}: cannot be read ({one_line(error)}); yield (input tensor of one size, integer label)"
        ) from error
    inputs_NX = as_inputs(images, f"{where}: inputs", layout)
    return Samples(inputs_NX, as_labels(labels, f"{where}: labels"), torch.arange(len(inputs_NX)))


def _classes_of(dataset: object, split: str) -> tuple[str, ...] | None:
    """`classes` of the data set, or of the one that it is a part of."""
    where = f"data set 'target': classes of the {split} Dataset"
    for _ in range(8):
        if dataset is None or inspect.isclass(dataset):
            return None
        names = class_names_of(getattr(dataset, "classes", None), where)
        if names is not None:
            return names
        dataset = getattr(dataset, "dataset", None)
    return None
