"""Where a batch of inputs comes from: of samples in memory from the device, of others from files, read ahead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from smule_crypten.data.samples import Samples


class FetchedInputs:
    """Inputs that are not in memory, to be indexed as a tensor on the device would be.

    What is announced is read ahead where data.workers says so, and asked for in that order.
    """

    def __init__(self, samples: Samples, device: torch.device) -> None:
        self._samples, self._device = samples, device
        self._announced: Iterator[torch.Tensor] = iter(())
        self._waiting: list[torch.Tensor] = []

    def announce(self, batches: Sequence[torch.Tensor]) -> None:
        """The batches of an epoch, of positions (int64); nobody asks for empty ones."""
        due = [positions_B for positions_B in batches if len(positions_B) > 0]
        self._announced, self._waiting = self._samples.batches(due, self._device), due[::-1]

    def __getitem__(self, positions_B: torch.Tensor) -> torch.Tensor:
        """The inputs at these positions, of the CPU, (B, X), on the device.

        Raises:
            DataError: they cannot be read.
        """
        if self._waiting and torch.equal(self._waiting[-1], positions_B):
            self._waiting.pop()
            inputs_BX = next(self._announced)
            if not self._waiting:
                next(self._announced, None)  # the end, with which the processes end that read ahead
            return inputs_BX
        return self._samples.read(positions_B).to(self._device)


def inputs_of(samples: Samples, device: torch.device) -> torch.Tensor | FetchedInputs:
    """All inputs on the device, or, where they are not in memory, what fetches a batch of them."""
    return samples.inputs.to(device) if samples.is_in_memory else FetchedInputs(samples, device)


def announce(inputs: torch.Tensor | FetchedInputs, batches: Sequence[torch.Tensor]) -> None:
    """What is asked for next; nothing to do for inputs in memory."""
    if isinstance(inputs, FetchedInputs):
        inputs.announce(batches)
