"""Who follows a party's learning: a report, files from which it goes on, or nobody."""

from __future__ import annotations

from typing import Literal, Protocol

from torch import nn

from smule_crypten.mutual_learning.peer import Answers
from smule_crypten.training.evaluate import Outcome
from smule_crypten.training.trainer import EpochResult

Phase = Literal["standalone", "smule"]
"""Training alone, and with the peer."""


class Observer(Protocol):
    """Is told what happens, in order. An exception of it ends the learning."""

    def epoch(self, phase: Phase, result: EpochResult, tested: Outcome) -> None:
        """An epoch is done; what the network does on the test samples after it."""
        ...

    def exchanged(self, epoch: int, answers: Answers, seconds: float) -> None:
        """The exchange that begins this epoch is done, in so many seconds without its preparation."""
        ...

    def message(self, text: str) -> None:
        """Something that a person should know."""
        ...

    def kept(self, phase: Phase, network: nn.Module, model_step: int) -> None:
        """The network that a training has come to, and the optimizer steps behind it."""
        ...

    def reached(self) -> None:
        """After each epoch alone, before the first exchange and after each one.

        Who goes on from the state of this moment comes to the same end.
        """
        ...


class Silent:
    """An Observer that takes no notice; others override what they want to know."""

    def epoch(self, phase: Phase, result: EpochResult, tested: Outcome) -> None: ...

    def exchanged(self, epoch: int, answers: Answers, seconds: float) -> None: ...

    def message(self, text: str) -> None: ...

    def kept(self, phase: Phase, network: nn.Module, model_step: int) -> None: ...

    def reached(self) -> None: ...
