"""Samples whose inputs are read as they are needed, behind the contract of those in memory.

Whatever asks for all inputs at once is refused; what can do with some of them at a time asks for `read` and `blocks`,
and gets the same numbers as it would from memory, to the bit.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from smule_crypten.config.sections import DataConfig
from smule_crypten.data.samples import CPU, Samples
from smule_crypten.data.targets import unknown_like
from smule_crypten.errors import DataError
from smule_crypten.sources.joined import InMemory, joined
from smule_crypten.sources.lazy_inputs import Constants, LazyInputs
from smule_crypten.types import InputShape

MOST_BYTES = 2 << 30
"""Of a split's inputs as float32; where there are more, and data.in_memory does not say, they are read as needed."""


@dataclass(frozen=True)
class Keeping:
    """How a data set is held: data.in_memory and data.workers."""

    in_memory: bool | None = None
    workers: int = 0

    @classmethod
    def of(cls, config: DataConfig) -> Keeping:
        return cls(config.in_memory, config.workers)

    @property
    def most_bytes(self) -> int:
        """Of a split's inputs in memory, as float32."""
        if self.in_memory is None:
            return MOST_BYTES
        return sys.maxsize if self.in_memory else 0

    def is_in_memory(self, num_bytes: int) -> bool:
        """Whether inputs of so many bytes as float32 are."""
        return num_bytes <= self.most_bytes


IN_MEMORY = Keeping(in_memory=True)


class LazySamples(Samples):
    """As Samples, with inputs that are not in memory.

    Args:
        lazy: (N, X), where they are read from.
        targets, sample_ids: as of Samples.
    """

    lazy: LazyInputs

    def __init__(self, lazy: LazyInputs, targets: torch.Tensor, sample_ids: torch.Tensor) -> None:
        for name, value in (("lazy", lazy), ("targets", targets), ("sample_ids", sample_ids), ("copies", None)):
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"LazySamples({self.shape}, {self.dtype})"

    @property
    def inputs(self) -> torch.Tensor:
        """Refused: there may be more than memory holds."""
        raise DataError(
            f"the {len(self):,} inputs of the data are read as they are needed, and this needs all of them in memory; "
            "set data.in_memory=true, or take fewer by data.max_train and data.max_test"
        )

    @property
    def is_in_memory(self) -> bool:
        return False

    @property
    def shape(self) -> tuple[int, ...]:
        return self.lazy.shape

    @property
    def input_shape(self) -> InputShape:
        return self.lazy.input_shape

    @property
    def dtype(self) -> torch.dtype:
        return self.lazy.dtype

    @property
    def source(self) -> LazyInputs:
        return self.lazy

    def select(self, indices: torch.Tensor) -> LazySamples:
        return LazySamples(self.lazy.at(indices), self.targets[indices], self.sample_ids[indices])

    def with_others(self, others: Samples) -> Samples:
        if len(others) == 0:
            return self
        if isinstance(others, LazySamples):
            lazy = others.lazy
        else:
            lazy = LazyInputs(InMemory(others.inputs), torch.arange(len(others)))
        return LazySamples(
            joined(self.lazy, lazy),
            torch.cat([self.targets, others.targets]),
            torch.cat([self.sample_ids, others.sample_ids]),
        )

    def with_targets(self, targets: torch.Tensor) -> LazySamples:
        return LazySamples(self.lazy, targets, self.sample_ids)

    def without_labels(self) -> LazySamples:
        return self.with_targets(unknown_like(self.targets))

    def normalized(self, mean: Sequence[float], std: Sequence[float]) -> LazySamples:
        constants = Constants(self._along_first_axis(mean, "mean"), self._along_first_axis(std, "std"))
        return LazySamples(self.lazy.normalized(constants), self.targets, self.sample_ids)

    def in_memory(self) -> Samples:
        return Samples(self.lazy.read(), self.targets, self.sample_ids)

    def read(self, indices: torch.Tensor) -> torch.Tensor:
        return self.lazy.read(indices.cpu())

    def batches(self, batches: Sequence[torch.Tensor], device: torch.device = CPU) -> Iterator[torch.Tensor]:
        return self.lazy.batches(batches, device)

    def blocks(self, size: int, device: torch.device = CPU) -> Iterator[torch.Tensor]:
        return self.lazy.batches(torch.split(torch.arange(len(self)), size), device)
