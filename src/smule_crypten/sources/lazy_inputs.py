"""Inputs that are in memory a batch at a time. N inputs; X, the axes of one, as in types.py; B, those of a batch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from smule_crypten.errors import DataError
from smule_crypten.sources.reading_ahead import read_ahead
from smule_crypten.sources.source import Positions, Source
from smule_crypten.types import InputShape


@dataclass(frozen=True, eq=False)
class Constants:
    """Of the normalization, as float32 (1, C, 1, ..)."""

    mean: torch.Tensor
    std: torch.Tensor

    def applied(self, inputs_BX: torch.Tensor) -> torch.Tensor:
        """(x - mean) / std as float32, uint8 scaled to [0, 1] first; a new tensor.

        Divisors are tensors: CUDA would multiply by the reciprocal of a number, and round otherwise than a CPU.
        """
        result_BX = inputs_BX.to(torch.float32, copy=True)
        if inputs_BX.dtype == torch.uint8:
            result_BX.div_(torch.full((1,), 255.0, device=result_BX.device))
        return result_BX.sub_(self.mean.to(result_BX.device)).div_(self.std.to(result_BX.device))


@dataclass(frozen=True, eq=False)
class LazyInputs:
    """Some inputs of a source, in an order of their own, normalized once they are read if there are constants.

    positions_N: in the source, int64.
    """

    source: Source
    positions_N: torch.Tensor
    constants: Constants | None = None

    def __len__(self) -> int:
        return len(self.positions_N)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.source.shape[1:])

    @property
    def input_shape(self) -> InputShape:
        return tuple(self.source.shape[1:])

    @property
    def dtype(self) -> torch.dtype:
        return self.source.dtype if self.constants is None else torch.float32

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what these inputs follow from, without reading them."""
        digest = hashlib.sha256(f"{self.source.fingerprint} {self.shape} {self.dtype}\n".encode())
        digest.update(self.positions_N.contiguous().numpy().data)
        for values in () if self.constants is None else (self.constants.mean, self.constants.std):
            digest.update(values.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def at(self, indices: torch.Tensor) -> LazyInputs:
        """Those at these positions among these (int64), not read."""
        return LazyInputs(self.source, self.positions_N[indices], self.constants)

    def normalized(self, constants: Constants) -> LazyInputs:
        """Normalized once they are read; to be asked for once."""
        if self.constants is not None:
            raise ValueError("these inputs are normalized already")
        return LazyInputs(self.source, self.positions_N, constants)

    def as_stored(self) -> LazyInputs:
        """Before they are normalized."""
        return LazyInputs(self.source, self.positions_N)

    def read(self, indices: torch.Tensor | None = None) -> torch.Tensor:
        """Those at these positions among these, or all of them, (B, X) on the CPU.

        Raises:
            DataError: as Source.read; or one of them holds NaN or infinite values.
        """
        positions_B = (self.positions_N if indices is None else self.positions_N[indices]).numpy()
        return self._finished(self.source.read(positions_B), positions_B)

    def batches(self, batches: Sequence[torch.Tensor], device: torch.device) -> Iterator[torch.Tensor]:
        """One batch of positions after another, on the device; by processes that read ahead, if there are any.

        They hand on inputs as they lie in the source, so that bytes stay bytes until a batch is needed.
        """
        chosen = [self.positions_N[indices].numpy() for indices in batches]
        for positions_B, raw_BX in zip(chosen, read_ahead(self.source, chosen, device), strict=True):
            yield self._finished(raw_BX, positions_B)

    def _finished(self, raw_BX: torch.Tensor, positions_B: Positions) -> torch.Tensor:
        if raw_BX.is_floating_point():
            finite_B = torch.isfinite(raw_BX).flatten(1).all(1).cpu()
            if not bool(finite_B.all()):
                first = int(positions_B[~finite_B.numpy()][0])
                raise DataError(
                    f"input {first}, counted from 0 in its file or folder, holds NaN or infinite values; repair or "
                    "remove it"
                )
        return raw_BX if self.constants is None else self.constants.applied(raw_BX)
