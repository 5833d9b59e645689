"""The reference network as a bare CrypTen script would evaluate it; the other side of secure_inference.py."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from smule_crypten.mpc.compat import crypten
from smule_crypten.types import Cost


def evaluate(network: nn.Module, inputs_NX: torch.Tensor, model_owner: int, data_owner: int) -> torch.Tensor | None:
    """Logits (N, C) at the data owner; what CrypTen returns to the model owner is of no use.

    Both parties pass tensors of the same shapes. CrypTen reads the values of the owner only.
    """
    with crypten.no_grad():
        p = {name: crypten.cryptensor(value.detach(), src=model_owner) for name, value in network.named_parameters()}
        x = crypten.cryptensor(inputs_NX, src=data_owner)
        for number in (1, 2, 3):
            x = x.conv2d(p[f"conv{number}.weight"], padding=1) + p[f"conv{number}.bias"].view(1, -1, 1, 1)
            x = x.avg_pool2d(2).relu()
        logits = x.flatten(1).matmul(p["classifier.weight"].t()) + p["classifier.bias"]
        opened: torch.Tensor | None = logits.get_plain_text(dst=data_owner)
        return opened


class CollectiveCounter:
    """Counts the payload that this party sends through CrypTen's communicator, and the rounds.

    gloo's all_reduce between two parties sends every byte of a tensor once in each direction. Its reduce is counted
    as if it sent the one share that has to cross; it sends more than that.
    """

    def __init__(self) -> None:
        self._communicator = crypten.communicator.get()
        self._rounds = 0
        self._bytes_sent = 0

    def __enter__(self) -> CollectiveCounter:
        all_reduce, reduce = self._communicator.all_reduce, self._communicator.reduce

        def counted_all_reduce(tensors: Any, *arguments: Any, **options: Any) -> Any:
            self._count(tensors)
            return all_reduce(tensors, *arguments, **options)

        def counted_reduce(tensors: Any, dst: int, *arguments: Any, **options: Any) -> Any:
            self._count([] if dst == dist.get_rank() else tensors)
            return reduce(tensors, dst, *arguments, **options)

        self._communicator.all_reduce, self._communicator.reduce = counted_all_reduce, counted_reduce
        return self

    def __exit__(self, *exception: object) -> None:
        del self._communicator.all_reduce, self._communicator.reduce

    def traffic(self) -> Cost:
        return Cost(rounds=self._rounds, bytes_sent=self._bytes_sent)

    def _count(self, tensors: Any) -> None:
        self._rounds += 1
        self._bytes_sent += sum(tensor.nbytes for tensor in (tensors if isinstance(tensors, list) else [tensors]))
