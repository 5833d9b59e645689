"""Labelled images in memory, with stable sample ids. N samples, C channels, H x W pixels."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from smule_crypten.errors import ConfigError, DataError

_SUBSET_SEED = 20240229
"""Public: max_train and max_test choose the same samples at everyone who uses the same data."""


UNKNOWN = -1
"""The label of a sample whose label nobody may look at."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples in memory, with labels and ids that stay.

    Attributes:
        inputs_NX: uint8 (0 to 255) or float32.
        labels_N: class indices, int64; -1 where nobody may look at the label.
        sample_ids_N: int64. The index in the whole set, whatever was selected since.

    Example:
        >>> import torch, smule_crypten as smule
        >>> images = torch.randint(0, 256, (6, 1, 8, 8), dtype=torch.uint8)
        >>> samples = smule.Samples(images, torch.tensor([0, 1, 2, 0, 1, 2]), torch.arange(6))
        >>> samples.select(torch.tensor([4, 5])).sample_ids.tolist()
        [4, 5]
        >>> samples.normalized(mean=[0.5], std=[0.25]).inputs.dtype
        torch.float32
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    sample_ids: torch.Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def select(self, indices: torch.Tensor) -> Samples:
        """The samples at these positions (int64), in their order."""
        return Samples(self.inputs[indices], self.targets[indices], self.sample_ids[indices])

    def of_ids(self, sample_ids: torch.Tensor) -> Samples:
        """The samples of these ids (int64), in their order; each id must be among sample_ids_N."""
        order = self.sample_ids.argsort()
        return self.select(order[torch.searchsorted(self.sample_ids[order], sample_ids)])

    def with_others(self, others: Samples) -> Samples:
        """These samples and then the others; no copy where there are no others."""
        if len(others) == 0:
            return self
        return Samples(
            torch.cat([self.inputs, others.inputs]),
            torch.cat([self.targets, others.targets]),
            torch.cat([self.sample_ids, others.sample_ids]),
        )

    def without_labels(self) -> Samples:
        """The same images with -1 for each label."""
        return Samples(self.inputs, torch.full_like(self.targets, UNKNOWN), self.sample_ids)

    def normalized(self, mean: Sequence[float], std: Sequence[float]) -> Samples:
        """(x - mean) / std as float32, uint8 scaled to [0, 1] first; one value for all channels, or one a channel.

        Raises:
            ConfigError: mean or std has another number of values.
        """
        mean_1C11 = self._per_channel(mean, "mean")
        std_1C11 = self._per_channel(std, "std")
        inputs_NX = self.inputs.to(torch.float32, copy=True)
        if self.inputs.dtype == torch.uint8:
            inputs_NX.div_(255)
        return Samples(inputs_NX.sub_(mean_1C11).div_(std_1C11), self.targets, self.sample_ids)

    @staticmethod
    def unlabelled(inputs_NX: torch.Tensor) -> Samples:
        """Images that nothing else is known of, numbered from 0."""
        count = len(inputs_NX)
        return Samples(inputs_NX, torch.full((count,), UNKNOWN), torch.arange(count))

    def class_counts(self, num_classes: int) -> torch.Tensor:
        """How many samples each class has, (num_classes,) int64."""
        return torch.bincount(self.targets, minlength=num_classes)

    def _per_channel(self, values: Sequence[float], key: str) -> torch.Tensor:
        channels = self.inputs.shape[1]
        if len(values) not in (1, channels):
            raise ConfigError(
                f"data.{key}: {len(values)} values for images with {channels} channel(s); "
                "give one value for all channels or one a channel"
            )
        return torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1)


@dataclass(frozen=True, eq=False)
class DataBundle:
    """A whole data set.

    Attributes:
        train: sample ids are unique within it.
        test: likewise, apart from train.
        class_names: what the labels 0, 1, 2 and so on stand for.
        notes: what its reader counted, left out and changed, one line each.

    Example:
        >>> import torch, smule_crypten as smule
        >>> part = smule.Samples(torch.zeros(2, 1, 8, 8), torch.tensor([0, 1]), torch.arange(2))
        >>> bundle = smule.DataBundle(train=part, test=part, class_names=("cat", "dog"))
        >>> bundle.input_shape, bundle.num_classes
        ((1, 8, 8), 2)
    """

    train: Samples
    test: Samples
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        channels, height, width = self.train.inputs.shape[1:]
        return channels, height, width

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def public_class_names(self) -> tuple[str, ...] | None:
        """What the parties of a run compare; None where the classes are only numbered.

        In Unicode's composed form: a name with an umlaut may be spelled in two ways that look the same.
        """
        if self.class_names == numbered_classes(self.num_classes):
            return None
        return tuple(unicodedata.normalize("NFC", name) for name in self.class_names)


def numbered_classes(num_classes: int) -> tuple[str, ...]:
    """The names of classes of a data set without names."""
    return tuple(str(label) for label in range(num_classes))


def random_positions(count: int, limit: int | None) -> torch.Tensor:
    """Sorted positions (int64) of `limit` samples drawn uniformly from count; of all where limit does not bind.

    The draw is seeded with a public constant. Expected class shares are those of the whole set.
    """
    if limit is None or limit >= count:
        return torch.arange(count)
    generator = torch.Generator().manual_seed(_SUBSET_SEED)
    return torch.randperm(count, generator=generator)[:limit].sort().values


def check_samples(images: Samples, *, dataset: str, split: str, num_classes: int) -> None:
    """Refuse what cannot be learned from.

    Raises:
        DataError: wrong rank, type or count, no samples, repeated sample ids, labels outside 0..num_classes-1, NaN or
            infinite values. The message names data set, split, the first bad sample and the remedy.
    """
    where = f"data set {dataset!r}, split {split!r}"
    _check_structure(images, where)
    bad_label_N = (images.targets < 0) | (images.targets >= num_classes)
    if bad_label_N.any():
        first = int(bad_label_N.nonzero()[0])
        raise DataError(
            f"{where}: label {int(images.targets[first])} of sample {int(images.sample_ids[first])} is outside "
            f"0..{num_classes - 1}; number the classes from 0, the same way in both splits"
        )
    if not images.inputs.is_floating_point():
        return
    bad_image_N = ~torch.isfinite(images.inputs).flatten(1).all(1)
    if bad_image_N.any():
        first = int(bad_image_N.nonzero()[0])
        raise DataError(
            f"{where}: sample {int(images.sample_ids[first])} holds NaN or infinite values, the first of "
            f"{int(bad_image_N.sum())} such samples; repair or remove them"
        )


def _check_structure(images: Samples, where: str) -> None:
    shape = tuple(images.inputs.shape)
    if images.inputs.dim() != 4:
        remedy = "; give grey images an axis of one channel, images[:, None]" if len(shape) == 3 else ""
        raise DataError(
            f"{where}: images have shape {shape}; 4 axes (samples, channels, height, width) are needed{remedy}"
        )
    if images.targets.dim() != 1 or images.sample_ids.dim() != 1:
        raise DataError(f"{where}: labels have shape {tuple(images.targets.shape)}; one label a sample is needed")
    if not shape[0] == len(images.targets) == len(images.sample_ids):
        raise DataError(
            f"{where}: {shape[0]} images, {len(images.targets)} labels and {len(images.sample_ids)} sample ids; "
            "give each image one label and one id"
        )
    if 0 in shape:
        raise DataError(f"{where}: empty, images have shape {shape}; check data.path and the files in it")
    _check_types(images, where)


def _check_types(images: Samples, where: str) -> None:
    if images.inputs.dtype not in (torch.uint8, torch.float32):
        raise DataError(f"{where}: images are {images.inputs.dtype}; convert them to uint8 or float32")
    if images.targets.dtype != torch.int64 or images.sample_ids.dtype != torch.int64:
        raise DataError(f"{where}: labels are {images.targets.dtype}; convert labels and sample ids to int64")
    if (images.sample_ids.sort().values.diff() == 0).any():
        raise DataError(f"{where}: some sample ids occur more than once; give each sample an id of its own")
