"""The table of data sets, and the one way to load one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch

from smule_crypten.config.config_reading import suggest
from smule_crypten.config.sections import DataConfig
from smule_crypten.data.bundled_sets import load_breast_cancer, load_diabetes, load_digits, load_digits_pairs
from smule_crypten.data.files_table import load_table
from smule_crypten.data.loaders import load_idx, load_target, load_torchvision_set
from smule_crypten.data.loaders_folder import load_image_folder
from smule_crypten.data.loaders_npz import load_npz
from smule_crypten.data.loaders_series import load_series
from smule_crypten.data.samples import DataBundle, Samples, check_samples, random_positions
from smule_crypten.errors import ConfigError, DataError
from smule_crypten.metric_names import TaskName

LOADERS: dict[str, Callable[[DataConfig], DataBundle]] = {
    "digits": load_digits,
    "digits_pairs": load_digits_pairs,
    "breast_cancer": load_breast_cancer,
    "diabetes": load_diabetes,
    "fashion_mnist": load_torchvision_set,
    "mnist": load_torchvision_set,
    "cifar10": load_torchvision_set,
    "cifar100": load_torchvision_set,
    "idx": load_idx,
    "image_folder": load_image_folder,
    "npz": load_npz,
    "series": load_series,
    "table": load_table,
    "target": load_target,
}

_NEEDS_NO_PATH = ("digits", "digits_pairs", "breast_cancer", "diabetes", "target")
_NEED_NOT_BE_IN_MEMORY = ("image_folder", "npz", "table")
_OTHER_SCALE = 10
"""Splits whose largest values differ by more hardly have the same unit."""
_LARGE = 20.0
"""Inputs whose root mean square is more were hardly normalized."""
_SOME = 1000
"""Samples that tell that: every process of a run loads the data, and a normalized copy of all takes time and memory."""
_FEW = 64
"""Likewise, of samples that are read as they are needed."""


def load_data(config: DataConfig, task: TaskName = "classification") -> DataBundle:
    """Load and check a data set; inputs are as stored, see Samples.normalized.

    max_train and max_test take a uniformly random subset, the same in every run. Sample ids stay those of the whole
    set. Nothing is downloaded unless config.download is set.

    Raises:
        ConfigError: unknown name or option, or a setting that this data set cannot use.
        DataError: files are missing or damaged, or hold what the task cannot be learned from.
    """
    _check_settings(config)
    bundle = load_table(config, task) if config.name == "table" else LOADERS[config.name](config)
    _check_bundle(bundle, config.name, task)
    train = bundle.train.select(random_positions(len(bundle.train), config.max_train))
    test = bundle.test.select(random_positions(len(bundle.test), config.max_test))
    notes = (*bundle.notes, *_as_needed(train, test, config), *_doubts(train, test), *_large(_looked_at(train), config))
    return dataclasses.replace(bundle, train=train, test=test, notes=notes)


def _doubts(train: Samples, test: Samples) -> list[str]:
    """What can be learned from, but hardly is meant: inputs that a conversion has ruined, and scales that differ."""
    doubts = []
    looked_at = ["" if part.is_in_memory else " looked at" for part in (train, test)]
    train, test = _looked_at(train), _looked_at(test)
    largest = [float(part.inputs.abs().max()) for part in (train, test)]
    for name, part, how in (("train", train, looked_at[0]), ("test", test, looked_at[1])):
        values = part.inputs.flatten(1)
        flat = int((values.amax(1) == values.amin(1)).sum())
        if flat and values.shape[1] > 1:
            doubts.append(
                f"{name}: {flat} of {len(part)} inputs{how} hold one value only; see whether they were read rightly"
            )
    if train.inputs.dim() == 3 and train.inputs.shape[1] == train.inputs.shape[2] > 1:
        side = train.inputs.shape[1]
        doubts.append(
            f"inputs of {side}x{side} are taken as {side} channels of {side} steps in time; if they are grey images, "
            "give them an axis of one channel, images[:, None]"
        )
    if train.inputs.dtype == torch.uint8 and largest[0] <= 1:
        doubts.append("train: bytes of 0 and 1 only, where 255 is white; were values of 0..1 cut to whole numbers?")
    if train.inputs.is_floating_point() and max(largest) > _OTHER_SCALE * min(largest):
        doubts.append(
            f"values go up to {largest[0]:g} in train and {largest[1]:g} in test; are they on the same scale?"
        )
    return doubts


def _as_needed(train: Samples, test: Samples, config: DataConfig) -> list[str]:
    """Whether data are read as they are needed."""
    if train.is_in_memory and test.is_in_memory:
        return ["data.workers has no effect: all inputs are in memory"] if config.workers else []
    return ["inputs are read as they are needed (data.in_memory); what is damaged is found when its turn comes"]


def _looked_at(part: Samples) -> Samples:
    """All that are in memory, and a few of those that are not: reading one may take as long as learning from it."""
    return part if part.is_in_memory else part.select(random_positions(len(part), _FEW)).in_memory()


def _large(train: Samples, config: DataConfig) -> list[str]:
    """Inputs that no network learns from well. Whether they are also too large for fixed point is seen later."""
    try:
        some = train.select(random_positions(len(train), _SOME))
        size = float(some.normalized(config.mean, config.std).inputs.square().mean().sqrt())
    except ConfigError:
        return []  # constants of another number, which who normalizes refuses
    if size <= _LARGE:
        return []
    return [
        f"inputs are of size {size:.3g} after normalization by data.mean and data.std, where networks expect about 1; "
        "set both by what is publicly known of such data"
    ]


def _check_settings(config: DataConfig) -> None:
    if config.name not in LOADERS:
        raise ConfigError(f"data.name: unknown data set {config.name!r} {suggest(config.name, list(LOADERS))}")
    if config.in_memory is False and config.name not in _NEED_NOT_BE_IN_MEMORY:
        raise ConfigError(
            f"data.in_memory=false: data set {config.name!r} is always held in memory; only image_folder, npz (as a "
            "folder of .npy files) and table can be read as they are needed"
        )
    if config.workers and (config.name != "image_folder" or config.in_memory):
        what = "data.in_memory=true" if config.in_memory else f"data set {config.name!r}"
        raise ConfigError(f"data.workers: has no effect with {what}; only image files are decoded as they are needed")
    if config.path is not None and config.name in _NEEDS_NO_PATH:
        raise ConfigError(
            f"data.path: has no effect on data set {config.name!r}; leave it out or choose another data, "
            "as data=table for a CSV file"
        )
    if config.targets and config.name != "table":
        raise ConfigError(f"data.target: has no effect on data set {config.name!r}; only a table has columns")
    if config.download and LOADERS[config.name] is not load_torchvision_set:
        raise ConfigError(f"data.download: data set {config.name!r} cannot be downloaded; set data.download=false")


def _check_bundle(bundle: DataBundle, dataset: str, task: TaskName) -> None:
    if bundle.num_classes < 2 and bundle.train.targets.dim() == 1 and task == "classification":
        raise DataError(f"data set {dataset!r}: {bundle.num_classes} class(es); at least 2 are needed to learn")
    check_samples(bundle.train, dataset=dataset, split="train", num_classes=bundle.num_classes, task=task)
    check_samples(bundle.test, dataset=dataset, split="test", num_classes=bundle.num_classes, task=task)
    train, test = bundle.train, bundle.test
    if train.input_shape != test.input_shape or train.dtype != test.dtype:
        raise DataError(
            f"data set {dataset!r}: train inputs are {train.input_shape} {train.dtype}, test inputs are "
            f"{test.input_shape} {test.dtype}; give both the same shape and type"
        )
