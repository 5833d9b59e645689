"""Links that hold what the other side will say and keep what they are told: no process, no network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from smule_crypten.models.translate import translate

ENTROPY = "0123456789abcdef" * 4


class ScriptedLink:
    """The other side says `messages` and then the bytes of `tensors`, in order."""

    def __init__(self, messages: Sequence[object], tensors: Sequence[torch.Tensor] = ()) -> None:
        self._messages = list(messages)
        self._tensors = list(tensors)
        self.told: list[Any] = []
        self.transferred: list[bytes] = []
        self.message_limit: int | None = None

    def send_json(self, value: object) -> int:
        self.told.append(value)
        return 1

    def receive_json(self) -> tuple[Any, int]:
        return self._messages.pop(0), 10

    def limit_messages(self, num_bytes: int) -> None:
        self.message_limit = num_bytes

    def transfer(self, outgoing: Sequence[memoryview], incoming: Sequence[memoryview]) -> None:
        self.transferred += [bytes(buffer) for buffer in outgoing]
        for buffer in incoming:
            buffer[:] = self._tensors.pop(0).numpy().tobytes()


def small_architecture() -> dict[str, Any]:
    """One linear layer and one ReLU on 2 inputs, as JSON."""
    layers = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2, 3), torch.nn.ReLU())
    return translate(layers, (1, 1, 2)).architecture.to_json()


def terms(**changes: object) -> dict[str, Any]:
    """What both parties state in an ordinary run."""
    architecture = small_architecture()
    ordinary = {"architectures": [architecture] * 2, "scheme": scheme(), "randomness": "fresh", "seed": 0}
    return ordinary | changes


def scheme(**changes: object) -> dict[str, Any]:
    """The scheme section of the terms."""
    return {"name": "crypten", "precision_bits": 16, "micro_batch": 4, "options": {}} | changes


def announcement(**changes: object) -> dict[str, Any]:
    return {"exchange": 1, "counts": [5, 0], "entropy": ENTROPY} | changes
