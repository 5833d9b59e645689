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
class LabelledImages:
    """Samples in memory, with labels and ids that stay.

    Attributes:
        images_NCHW: uint8 (0 to 255) or float32.
        labels_N: class indices, int64; -1 where nobody may look at the label.
        sample_ids_N: int64. The index in the whole set, whatever was selected since.

    Example:
        >>> import torch, smule_crypten as smule
        >>> images = torch.randint(0, 256, (6, 1, 8, 8), dtype=torch.uint8)
        >>> samples = smule.LabelledImages(images, torch.tensor([0, 1, 2, 0, 1, 2]), torch.arange(6))
        >>> samples.select(torch.tensor([4, 5])).sample_ids_N.tolist()
        [4, 5]
        >>> samples.normalized(mean=[0.5], std=[0.25]).images_NCHW.dtype
        torch.float32
    """

    images_NCHW: torch.Tensor
    labels_N: torch.Tensor
    sample_ids_N: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels_N)

    def select(self, indices: torch.Tensor) -> LabelledImages:
        """The samples at these positions (int64), in their order."""
        return LabelledImages(self.images_NCHW[indices], self.labels_N[indices], self.sample_ids_N[indices])

    def of_ids(self, sample_ids: torch.Tensor) -> LabelledImages:
        """The samples of these ids (int64), in their order; each id must be among sample_ids_N."""
        order = self.sample_ids_N.argsort()
        return self.select(order[torch.searchsorted(self.sample_ids_N[order], sample_ids)])

    def with_others(self, others: LabelledImages) -> LabelledImages:
        """These samples and then the others; no copy where there are no others."""
        if len(others) == 0:
            return self
        return LabelledImages(
            torch.cat([self.images_NCHW, others.images_NCHW]),
            torch.cat([self.labels_N, others.labels_N]),
            torch.cat([self.sample_ids_N, others.sample_ids_N]),
        )

    def without_labels(self) -> LabelledImages:
        """The same images with -1 for each label."""
        return LabelledImages(self.images_NCHW, torch.full_like(self.labels_N, UNKNOWN), self.sample_ids_N)

    def normalized(self, mean: Sequence[float], std: Sequence[float]) -> LabelledImages:
        """(x - mean) / std as float32, uint8 scaled to [0, 1] first; one value for all channels, or one a channel.

        Raises:
            ConfigError: mean or std has another number of values.
        """
        mean_1C11 = self._per_channel(mean, "mean")
        std_1C11 = self._per_channel(std, "std")
        images_NCHW = self.images_NCHW.to(torch.float32, copy=True)
        if self.images_NCHW.dtype == torch.uint8:
            images_NCHW.div_(255)
        return LabelledImages(images_NCHW.sub_(mean_1C11).div_(std_1C11), self.labels_N, self.sample_ids_N)

    def class_counts(self, num_classes: int) -> torch.Tensor:
        """How many samples each class has, (num_classes,) int64."""
        return torch.bincount(self.labels_N, minlength=num_classes)

    def _per_channel(self, values: Sequence[float], key: str) -> torch.Tensor:
        channels = self.images_NCHW.shape[1]
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
        >>> part = smule.LabelledImages(torch.zeros(2, 1, 8, 8), torch.tensor([0, 1]), torch.arange(2))
        >>> bundle = smule.DataBundle(train=part, test=part, class_names=("cat", "dog"))
        >>> bundle.input_shape, bundle.num_classes
        ((1, 8, 8), 2)
    """

    train: LabelledImages
    test: LabelledImages
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        channels, height, width = self.train.images_NCHW.shape[1:]
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


def check_images(images: LabelledImages, *, dataset: str, split: str, num_classes: int) -> None:
    """Refuse what cannot be learned from.

    Raises:
        DataError: wrong rank, type or count, no samples, repeated sample ids, labels outside 0..num_classes-1, NaN or
            infinite values. The message names data set, split, the first bad sample and the remedy.
    """
    where = f"data set {dataset!r}, split {split!r}"
    _check_structure(images, where)
    bad_label_N = (images.labels_N < 0) | (images.labels_N >= num_classes)
    if bad_label_N.any():
        first = int(bad_label_N.nonzero()[0])
        raise DataError(
            f"{where}: label {int(images.labels_N[first])} of sample {int(images.sample_ids_N[first])} is outside "
            f"0..{num_classes - 1}; number the classes from 0, the same way in both splits"
        )
    if not images.images_NCHW.is_floating_point():
        return
    bad_image_N = ~torch.isfinite(images.images_NCHW).flatten(1).all(1)
    if bad_image_N.any():
        first = int(bad_image_N.nonzero()[0])
        raise DataError(
            f"{where}: sample {int(images.sample_ids_N[first])} holds NaN or infinite values, the first of "
            f"{int(bad_image_N.sum())} such samples; repair or remove them"
        )


def _check_structure(images: LabelledImages, where: str) -> None:
    shape = tuple(images.images_NCHW.shape)
    if images.images_NCHW.dim() != 4:
        remedy = "; give grey images an axis of one channel, images[:, None]" if len(shape) == 3 else ""
        raise DataError(
            f"{where}: images have shape {shape}; 4 axes (samples, channels, height, width) are needed{remedy}"
        )
    if images.labels_N.dim() != 1 or images.sample_ids_N.dim() != 1:
        raise DataError(f"{where}: labels have shape {tuple(images.labels_N.shape)}; one label a sample is needed")
    if not shape[0] == len(images.labels_N) == len(images.sample_ids_N):
        raise DataError(
            f"{where}: {shape[0]} images, {len(images.labels_N)} labels and {len(images.sample_ids_N)} sample ids; "
            "give each image one label and one id"
        )
    if 0 in shape:
        raise DataError(f"{where}: empty, images have shape {shape}; check data.path and the files in it")
    _check_types(images, where)


def _check_types(images: LabelledImages, where: str) -> None:
    if images.images_NCHW.dtype not in (torch.uint8, torch.float32):
        raise DataError(f"{where}: images are {images.images_NCHW.dtype}; convert them to uint8 or float32")
    if images.labels_N.dtype != torch.int64 or images.sample_ids_N.dtype != torch.int64:
        raise DataError(f"{where}: labels are {images.labels_N.dtype}; convert labels and sample ids to int64")
    if (images.sample_ids_N.sort().values.diff() == 0).any():
        raise DataError(f"{where}: some sample ids occur more than once; give each sample an id of its own")
