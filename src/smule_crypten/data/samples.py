"""Labelled samples, with stable ids. N samples; X, the axes of one input, as in types.py."""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from smule_crypten.data.origin import Origin
from smule_crypten.data.targets import UNKNOWN, check_targets, unknown_like
from smule_crypten.errors import ConfigError, DataError
from smule_crypten.metric_names import TaskName
from smule_crypten.sources.lazy_inputs import Constants, LazyInputs
from smule_crypten.types import InputShape

CPU = torch.device("cpu")
_SUBSET_SEED = 20240229
"""Public: max_train and max_test choose the same samples at everyone who uses the same data."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples in memory, with labels and ids that stay. Of larger data, LazySamples.

    Attributes:
        inputs: (N, X), uint8 (0 to 255) or float32. X is (features,), (channels, time) or (channels, height, width).
        targets: (N,) class indices, int64; -1 where nobody may look at the label. Of several labels (N, C) float32 of 0
            and 1, of numbers (N, C) float32; NaN where nobody may look.
        sample_ids: (N,) int64. The index in the whole set, whatever was selected since.
        copies: (N, K, X) float32, features of each image as it is and cropped and flipped at random, from which
            training draws in place of inputs; None where there are none.

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
    copies: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def is_in_memory(self) -> bool:
        """Whether `inputs` is there; if not, they are read a batch at a time."""
        return True

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, X)."""
        return tuple(self.inputs.shape)

    @property
    def input_shape(self) -> InputShape:
        """X."""
        return tuple(self.inputs.shape[1:])

    @property
    def dtype(self) -> torch.dtype:
        """Of the inputs."""
        return self.inputs.dtype

    @property
    def source(self) -> torch.Tensor | LazyInputs:
        """The inputs, or where they are read."""
        return self.inputs

    def read(self, indices: torch.Tensor) -> torch.Tensor:
        """The inputs at these positions, (B, X).

        Raises:
            DataError: inputs that are not in memory cannot be read; so of batches, blocks and in_memory, too.
        """
        return self.inputs[indices]

    def batches(self, batches: Sequence[torch.Tensor], device: torch.device = CPU) -> Iterator[torch.Tensor]:
        """As read, of one batch of positions after another, on the device."""
        return (self.inputs[indices].to(device) for indices in batches)

    def blocks(self, size: int, device: torch.device = CPU) -> Iterator[torch.Tensor]:
        """All inputs in their order, so many at a time."""
        return (block.to(device) for block in torch.split(self.inputs, size))

    def in_memory(self) -> Samples:
        """The same, with inputs in memory; to be asked of a few samples."""
        return self

    def select(self, indices: torch.Tensor) -> Samples:
        """The samples at these positions (int64), in their order."""
        copies = None if self.copies is None else self.copies[indices]
        return Samples(self.inputs[indices], self.targets[indices], self.sample_ids[indices], copies)

    def of_ids(self, sample_ids: torch.Tensor) -> Samples:
        """The samples of these ids (int64), in their order; each id must be among sample_ids."""
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
            None if self.copies is None or others.copies is None else torch.cat([self.copies, others.copies]),
        )

    def without_copies(self) -> Samples:
        """The same, to be asked about or looked at, not to be trained on."""
        return self if self.copies is None else dataclasses.replace(self, copies=None)

    def with_targets(self, targets: torch.Tensor) -> Samples:
        """The same inputs with other targets."""
        return dataclasses.replace(self, targets=targets)

    def without_labels(self) -> Samples:
        """The same inputs with unknown targets."""
        return self.with_targets(unknown_like(self.targets))

    def normalized(self, mean: Sequence[float], std: Sequence[float]) -> Samples:
        """(x - mean) / std as float32, uint8 scaled to [0, 1] first; one value for all, or one each on X's first axis.

        Raises:
            ConfigError: mean or std has another number of values.
        """
        constants = Constants(self._along_first_axis(mean, "mean"), self._along_first_axis(std, "std"))
        return Samples(constants.applied(self.inputs), self.targets, self.sample_ids)

    @staticmethod
    def unlabelled(inputs_NX: torch.Tensor) -> Samples:
        """Inputs that nothing else is known of, numbered from 0."""
        count = len(inputs_NX)
        return Samples(inputs_NX, torch.full((count,), UNKNOWN), torch.arange(count))

    def class_counts(self, num_classes: int) -> torch.Tensor:
        """How many samples each class has, (num_classes,) int64; of one class per sample."""
        return torch.bincount(self.targets, minlength=num_classes)

    def _along_first_axis(self, values: Sequence[float], key: str) -> torch.Tensor:
        channels = self.input_shape[0]
        if len(values) not in (1, channels):
            unit = "feature" if len(self.input_shape) == 1 else "channel"
            raise ConfigError(
                f"data.{key}: {len(values)} values for inputs with {channels} {unit}(s); "
                f"give one value for all {unit}s or one a {unit}"
            )
        return along_first_axis(values, len(self.input_shape))


@dataclass(frozen=True, eq=False)
class PublicPool:
    """Samples in memory that both parties have: inputs as networks see them, targets unknown, ids beyond own ones.

    digest: SHA-256 of what both must have in common: content, shape and normalisation.
    """

    samples: Samples
    digest: str


@dataclass(frozen=True, eq=False)
class DataBundle:
    """A whole data set.

    Attributes:
        train: sample ids are unique within it.
        test: likewise, apart from train.
        class_names: what the labels 0, 1, 2 and so on stand for.
        notes: what its reader counted, left out and changed, one line each.
        columns: of a table, by column, what its public schema says; the parties compare it.
        target_constants: public mean and deviation of each target of a regression, where the data set knows them; they
            stand where data.target_mean and data.target_std do not say others.
        origin: what the samples were made of, where they are features of a public map; the program sets it.
        public_pool: public samples that both parties have, where they ask about some; the program sets it.

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
    columns: Mapping[str, str] = field(default_factory=dict)
    target_constants: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    origin: Origin | None = None
    public_pool: PublicPool | None = None

    @property
    def input_shape(self) -> InputShape:
        """X: the axes of one input."""
        return self.train.input_shape

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


def along_first_axis(values: Sequence[float], axes: int) -> torch.Tensor:
    """One value for all, or one for each place of the first of so many axes of an input, as (1, C, 1, ..) float32."""
    return torch.tensor(values, dtype=torch.float32).view(1, -1, *[1] * (axes - 1))


def numbered_classes(num_classes: int) -> tuple[str, ...]:
    """Of a data set without names."""
    return tuple(str(label) for label in range(num_classes))


def random_positions(count: int, limit: int | None) -> torch.Tensor:
    """Sorted positions (int64) of `limit` samples drawn uniformly from count; of all where limit does not bind.

    The draw is seeded with a public constant. Expected class shares are those of the whole set.
    """
    if limit is None or limit >= count:
        return torch.arange(count)
    generator = torch.Generator().manual_seed(_SUBSET_SEED)
    return torch.randperm(count, generator=generator)[:limit].sort().values


def check_samples(
    samples: Samples, *, dataset: str, split: str, num_classes: int, task: TaskName = "classification"
) -> None:
    """Refuse what cannot be learned from.

    Raises:
        DataError: wrong rank, type or count, no samples, repeated sample ids, targets that are none of the task, NaN or
            infinite values in memory. The message names data set, split, the first bad sample and the remedy.
    """
    where = f"data set {dataset!r}, split {split!r}"
    _check_structure(samples, where)
    check_targets(samples.targets, samples.sample_ids, task, num_classes, where)
    if not samples.dtype.is_floating_point or not samples.is_in_memory:
        return
    bad_input_N = ~torch.isfinite(samples.inputs).flatten(1).all(1)
    if bad_input_N.any():
        first = int(bad_input_N.nonzero()[0])
        raise DataError(
            f"{where}: sample {int(samples.sample_ids[first])} holds NaN or infinite values, the first of "
            f"{int(bad_input_N.sum())} such samples; repair or remove them"
        )


def _check_structure(samples: Samples, where: str) -> None:
    shape = samples.shape
    if not 2 <= len(shape) <= 4:
        raise DataError(
            f"{where}: inputs have shape {shape}; (samples, features), (samples, channels, time) or "
            "(samples, channels, height, width) is needed"
        )
    if len(shape) == 3 and samples.dtype == torch.uint8:
        # As signals they would be learned from without a word.
        raise DataError(
            f"{where}: inputs of shape {shape} and whole numbers of 8 bits look like grey images; give these an axis "
            "of one channel, images[:, None], and signals as float32"
        )
    if samples.targets.dim() not in (1, 2) or samples.sample_ids.dim() != 1:
        raise DataError(f"{where}: labels have shape {tuple(samples.targets.shape)}; give each sample one row of them")
    if not shape[0] == len(samples.targets) == len(samples.sample_ids):
        raise DataError(
            f"{where}: {shape[0]} inputs, {len(samples.targets)} labels and {len(samples.sample_ids)} sample ids; "
            "give each input one label and one id"
        )
    if 0 in shape:
        raise DataError(f"{where}: empty, inputs have shape {shape}; check data.path and the files in it")
    _check_types(samples, where)


def _check_types(samples: Samples, where: str) -> None:
    if samples.dtype not in (torch.uint8, torch.float32):
        raise DataError(f"{where}: inputs are {samples.dtype}; convert them to uint8 or float32")
    if samples.sample_ids.dtype != torch.int64:
        raise DataError(f"{where}: sample ids are {samples.sample_ids.dtype}; convert them to int64")
    if (samples.sample_ids.sort().values.diff() == 0).any():
        raise DataError(f"{where}: some sample ids occur more than once; give each sample an id of its own")
