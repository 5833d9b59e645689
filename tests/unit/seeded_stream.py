"""A stream of a private training that follows from its key alone, so that two trainings can be compared."""

from __future__ import annotations

import torch


class SeededStream:
    """key: 32 bytes, of which seven decide."""

    def __init__(self, key: bytes) -> None:
        self._generator = torch.Generator().manual_seed(int.from_bytes(key[:7], "big"))

    def bits(self, size: tuple[int, ...], bitlength: int) -> torch.Tensor:
        return torch.randint(2**bitlength, size, generator=self._generator)

    def normal(self, size: tuple[int, ...]) -> torch.Tensor:
        return torch.randn(size, generator=self._generator)
