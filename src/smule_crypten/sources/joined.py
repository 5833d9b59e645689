"""Inputs of several places as one source, as where public samples in memory join own ones in files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch

from smule_crypten.errors import DataError
from smule_crypten.sources.lazy_inputs import Constants, LazyInputs
from smule_crypten.sources.source import Positions


@dataclass(frozen=True, eq=False)
class InMemory:
    """A tensor (N, X) as a Source."""

    inputs_NX: torch.Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.inputs_NX.shape)

    @property
    def dtype(self) -> torch.dtype:
        return self.inputs_NX.dtype

    @property
    def workers(self) -> int:
        return 0

    @property
    def fingerprint(self) -> str:
        """Of the values themselves."""
        digest = hashlib.sha256(f"{self.shape} {self.dtype}\n".encode())
        digest.update(self.inputs_NX.contiguous().numpy().reshape(-1).view(np.uint8).data)
        return digest.hexdigest()

    def read(self, positions_B: Positions) -> torch.Tensor:
        return self.inputs_NX[torch.from_numpy(positions_B)]


@dataclass(frozen=True, eq=False)
class Joined:
    """A Source of the inputs of first, as they are there, and then those of second."""

    first: LazyInputs
    second: LazyInputs

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.first) + len(self.second), *self.first.input_shape)

    @property
    def dtype(self) -> torch.dtype:
        return self.first.dtype

    @property
    def workers(self) -> int:
        return max(self.first.source.workers, self.second.source.workers)

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(f"{self.first.fingerprint} {self.second.fingerprint}".encode()).hexdigest()

    def read(self, positions_B: Positions) -> torch.Tensor:
        of_first_B = torch.from_numpy(positions_B < len(self.first))
        positions = torch.from_numpy(positions_B)
        read_BX = torch.empty(len(positions_B), *self.shape[1:], dtype=self.dtype)
        read_BX[of_first_B] = self.first.read(positions[of_first_B])
        read_BX[~of_first_B] = self.second.read(positions[~of_first_B] - len(self.first))
        return read_BX


def joined(first: LazyInputs, second: LazyInputs) -> LazyInputs:
    """The inputs of both, none of them read.

    Raises:
        DataError: they have another shape or type.
    """
    if (first.input_shape, first.dtype) != (second.input_shape, second.dtype):
        raise DataError(
            f"inputs of shape {first.input_shape} and type {first.dtype} cannot join others of shape "
            f"{second.input_shape} and type {second.dtype}; read both alike"
        )
    if first.source is second.source and _are_alike(first.constants, second.constants):
        return LazyInputs(first.source, torch.cat([first.positions_N, second.positions_N]), first.constants)
    both = Joined(first, second)
    return LazyInputs(both, torch.arange(both.shape[0]))


def _are_alike(first: Constants | None, second: Constants | None) -> bool:
    if first is None or second is None:
        return first is second
    return torch.equal(first.mean, second.mean) and torch.equal(first.std, second.std)
